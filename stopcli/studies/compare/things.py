"""What is compared: runs that differ by their seed alone stand together, one a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stopcli.counts import agreeing, counted
from stopcli.errors import ConfigError, RequestError
from stopcli.runs.metrics import Columns
from stopcli.runs.recorded import Experiment, RecordedRun, experiments_of, read_recorded, without_studies
from stopcli.studies.compare.labels import short_labels
from stopcli.studies.compare.outcomes import RunResult, outcome_of

# Commands whose runs have no epochs.
_WITHOUT_EPOCHS = ("lr-range",)


@dataclass(frozen=True)
class Arm:
    """A run or an arm with its seeds.

    Attributes:
        outcomes: of its runs, one a seed, by seed; of those that finished, or where none did, of what there is.
        left_out: of runs that did not finish, where others did.
    """

    label: str
    outcomes: tuple[RunResult, ...]
    left_out: tuple[RunResult, ...]

    @property
    def first(self) -> RecordedRun:
        """Its settings are those of all of its runs, but for the seed."""
        return self.outcomes[0].run

    @property
    def finished(self) -> bool:
        return all(outcome.run.finished for outcome in self.outcomes)


def read_arms(paths: Sequence[Path]) -> tuple[list[Arm], list[str]]:
    """The arms in some folders of runs and sweeps, and what the user should know of them.

    Raises:
        RunFolderError: a folder is no run's, or a run is damaged.
        RequestError: there are fewer than two arms.
    """
    folders, told = without_studies(paths)
    told += [f"{path} is named more than once, and counts once" for path in _repeated(folders)]
    outcomes: dict[Path, RunResult] = {}
    runs = read_recorded(folders)
    for run in runs:
        found = _outcome(run, told)
        if found is not None:
            outcomes[run.path] = found
    arms = []
    for experiment in experiments_of([run for run in runs if run.path in outcomes]):
        arms.append(_arm(experiment, [outcomes[run.path] for run in experiment.runs], told))
    _check(arms, told)
    return _with_short_labels(arms), told


def baseline_of(arms: Sequence[Arm], given: str) -> Arm:
    """The arm that others are compared with: the first, or the one that is named by its label or its folder.

    Raises:
        ConfigError: none is, or several are.
    """
    if not given:
        return arms[0]
    named = [arm for arm in arms if given.casefold() == arm.label.casefold()]
    named = named or [arm for arm in arms if _lies_in(arm, Path(given))]
    if len(named) != 1:
        several = "a name of one of them alone: " if named else ""
        raise ConfigError("baseline", given, several + ", ".join(repr(arm.label) for arm in arms))
    return named[0]


def _lies_in(arm: Arm, folder: Path) -> bool:
    run = arm.first
    return folder.resolve() in (run.path.resolve(), (run.sweep or run.path).resolve())


def _repeated(paths: Sequence[Path]) -> list[Path]:
    resolved = [path.resolve() for path in paths]
    return [path for i, path in enumerate(paths) if path.resolve() in resolved[:i]]


def _outcome(run: RecordedRun, told: list[str]) -> RunResult | None:
    if run.command in _WITHOUT_EPOCHS:
        told.append(f"{run.path} is a range test, which has no epochs to compare; it is left out")
        return None
    columns: Columns = {}
    why = "it has no complete epoch"
    try:
        if len(run.metrics["epoch"]):
            columns = run.metrics
    except RequestError as error:
        why = error.message
    found = outcome_of(run, columns)
    if found is None:
        told.append(f"{run.path} ({run.state}) is left out: {why}")
    elif not columns:
        told.append(f"{run.path} has no curves: {why}")
    return found


def _arm(experiment: Experiment, outcomes: Sequence[RunResult], told: list[str]) -> Arm:
    by_seed: dict[int, RunResult] = {}
    twice: list[tuple[RunResult, RunResult]] = []
    # Of a seed's runs a finished one, and of several the first.
    for outcome in sorted(outcomes, key=lambda outcome: not outcome.run.finished):
        kept = by_seed.setdefault(outcome.run.seed, outcome)
        if kept is not outcome:
            twice.append((kept, outcome))
    told += _on_doubles(experiment.label, twice)
    ordered = [by_seed[seed] for seed in sorted(by_seed)]
    finished = tuple(outcome for outcome in ordered if outcome.run.finished)
    left_out = tuple(outcome for outcome in ordered if not outcome.run.finished) if finished else ()
    if left_out:
        told.append(_on_left_out(experiment.label, left_out, len(ordered)))
    arm = Arm(experiment.label, finished or tuple(ordered), left_out)
    if not finished:
        states = ", ".join(dict.fromkeys(outcome.run.state for outcome in ordered))
        epochs = max(outcome.cost.get("epochs", 0) for outcome in ordered)
        at_last = "" if all(outcome.measured for outcome in ordered) else ", the values of its last epoch on record"
        told.append(f"{arm.label} has not finished ({states} at epoch {epochs:g}): shown is what there is{at_last}")
    return arm


def _on_doubles(label: str, twice: Sequence[tuple[RunResult, RunResult]]) -> list[str]:
    if not twice:
        return []
    kept, other = next(((kept, other) for kept, other in twice if not _agree(kept, other)), twice[0])
    seeds = counted(len(twice), "seed") if len(twice) > 1 else f"seed {kept.run.seed}"
    where = f"such as {kept.run.path} and {other.run.path}" if len(twice) > 1 else f"{kept.run.path}, {other.run.path}"
    same = "identical by design, and counted once"
    if not _agree(kept, other):
        same = "and these do not agree although their settings do (another machine or version?); the first counts"
    return [f"{label}: {seeds} {agreeing(len(twice), 'is', 'are')} there more than once ({where}), {same}"]


def _agree(kept: RunResult, other: RunResult) -> bool:
    # One that did not finish is the beginning of the other.
    return not other.run.finished or (kept.final, kept.saved) == (other.final, other.saved)


def _on_left_out(label: str, left_out: Sequence[RunResult], of: int) -> str:
    runs = ", ".join(f"seed {outcome.run.seed} {outcome.run.state}" for outcome in left_out[:5])
    more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    counts = agreeing(len(left_out), "does", "do")
    return f"{label}: {len(left_out)} of {counted(of, 'run')} did not finish and {counts} not count ({runs}{more})"


def _check(arms: Sequence[Arm], told: Sequence[str]) -> None:
    if len(arms) > 1:
        return
    hint = "Name another run or sweep beside it; runs that differ by their seed alone stand together."
    left = "".join(f" {each}." for each in told)
    if not arms:
        raise RequestError(f"nothing is there to compare.{left}", hint=hint)
    (only,) = arms
    runs = counted(len(only.outcomes), "run")
    raise RequestError(f"there is nothing to compare {only.label} ({runs}) with.{left}", hint=hint)


def _with_short_labels(arms: Sequence[Arm]) -> list[Arm]:
    """Without what is the same for all, and with the state of what did not finish."""
    labels = short_labels([(arm.label, arm.first) for arm in arms])
    return [
        Arm(label + ("" if arm.finished else f" ({arm.first.state})"), arm.outcomes, arm.left_out)
        for label, arm in zip(labels, arms, strict=True)
    ]
