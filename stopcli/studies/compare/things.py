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
from stopcli.studies.compare.outcomes import Outcome, outcome_of

# Commands whose runs have no epochs.
_WITHOUT_EPOCHS = ("lr-range",)


@dataclass(frozen=True)
class Thing:
    """A run or an arm with its seeds.

    Attributes:
        outcomes: of its runs, one a seed, by seed; of those that finished, or where none did, of what there is.
        left_out: of runs that did not finish, where others did.
    """

    label: str
    outcomes: tuple[Outcome, ...]
    left_out: tuple[Outcome, ...]

    @property
    def first(self) -> RecordedRun:
        """Its settings are those of all of its runs, but for the seed."""
        return self.outcomes[0].run

    @property
    def finished(self) -> bool:
        return all(outcome.run.finished for outcome in self.outcomes)


def read_things(paths: Sequence[Path]) -> tuple[list[Thing], list[str]]:
    """The things in some folders of runs and sweeps, and what the user should know of them.

    Raises:
        RunFolderError: a folder is no run's, or a run is damaged.
        RequestError: there are fewer than two things.
    """
    folders, told = without_studies(paths)
    told += [f"{path} is named more than once, and counts once" for path in _repeated(folders)]
    outcomes: dict[Path, Outcome] = {}
    runs = read_recorded(folders)
    for run in runs:
        found = _outcome(run, told)
        if found is not None:
            outcomes[run.path] = found
    things = []
    for experiment in experiments_of([run for run in runs if run.path in outcomes]):
        things.append(_thing(experiment, [outcomes[run.path] for run in experiment.runs], told))
    _check(things, told)
    return _with_short_labels(things), told


def baseline_of(things: Sequence[Thing], given: str) -> Thing:
    """The thing that others are compared with: the first, or the one that is named by its label or its folder.

    Raises:
        ConfigError: none is, or several are.
    """
    if not given:
        return things[0]
    named = [thing for thing in things if given.casefold() == thing.label.casefold()]
    named = named or [thing for thing in things if _lies_in(thing, Path(given))]
    if len(named) != 1:
        several = "a name of one of them alone: " if named else ""
        raise ConfigError("baseline", given, several + ", ".join(repr(thing.label) for thing in things))
    return named[0]


def _lies_in(thing: Thing, folder: Path) -> bool:
    run = thing.first
    return folder.resolve() in (run.path.resolve(), (run.sweep or run.path).resolve())


def _repeated(paths: Sequence[Path]) -> list[Path]:
    resolved = [path.resolve() for path in paths]
    return [path for i, path in enumerate(paths) if path.resolve() in resolved[:i]]


def _outcome(run: RecordedRun, told: list[str]) -> Outcome | None:
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


def _thing(experiment: Experiment, outcomes: Sequence[Outcome], told: list[str]) -> Thing:
    by_seed: dict[int, Outcome] = {}
    twice: list[tuple[Outcome, Outcome]] = []
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
    thing = Thing(experiment.label, finished or tuple(ordered), left_out)
    if not finished:
        states = ", ".join(dict.fromkeys(outcome.run.state for outcome in ordered))
        epochs = max(outcome.cost.get("epochs", 0) for outcome in ordered)
        at_last = "" if all(outcome.measured for outcome in ordered) else ", the values of its last epoch on record"
        told.append(f"{thing.label} has not finished ({states} at epoch {epochs:g}): shown is what there is{at_last}")
    return thing


def _on_doubles(label: str, twice: Sequence[tuple[Outcome, Outcome]]) -> list[str]:
    if not twice:
        return []
    kept, other = next(((kept, other) for kept, other in twice if not _agree(kept, other)), twice[0])
    seeds = counted(len(twice), "seed") if len(twice) > 1 else f"seed {kept.run.seed}"
    where = f"such as {kept.run.path} and {other.run.path}" if len(twice) > 1 else f"{kept.run.path}, {other.run.path}"
    same = "identical by design, and counted once"
    if not _agree(kept, other):
        same = "and these do not agree although their settings do (another machine or version?); the first counts"
    return [f"{label}: {seeds} {agreeing(len(twice), 'is', 'are')} there more than once ({where}), {same}"]


def _agree(kept: Outcome, other: Outcome) -> bool:
    # One that did not finish is the beginning of the other.
    return not other.run.finished or (kept.final, kept.saved) == (other.final, other.saved)


def _on_left_out(label: str, left_out: Sequence[Outcome], of: int) -> str:
    runs = ", ".join(f"seed {outcome.run.seed} {outcome.run.state}" for outcome in left_out[:5])
    more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    counts = agreeing(len(left_out), "does", "do")
    return f"{label}: {len(left_out)} of {counted(of, 'run')} did not finish and {counts} not count ({runs}{more})"


def _check(things: Sequence[Thing], told: Sequence[str]) -> None:
    if len(things) > 1:
        return
    hint = "Name another run or sweep beside it; runs that differ by their seed alone stand together."
    left = "".join(f" {each}." for each in told)
    if not things:
        raise RequestError(f"nothing is there to compare.{left}", hint=hint)
    (only,) = things
    runs = counted(len(only.outcomes), "run")
    raise RequestError(f"there is nothing to compare {only.label} ({runs}) with.{left}", hint=hint)


def _with_short_labels(things: Sequence[Thing]) -> list[Thing]:
    """Without what is the same for all, and with the state of what did not finish."""
    labels = short_labels([(thing.label, thing.first) for thing in things])
    return [
        Thing(label + ("" if thing.finished else f" ({thing.first.state})"), thing.outcomes, thing.left_out)
        for label, thing in zip(labels, things, strict=True)
    ]
