"""The arms that are compared, read from folders: runs that differ by their seed only are one arm, one run a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stopcli.analysis.arms import Arm, RunArm
from stopcli.analysis.results import RunResult, result_of
from stopcli.counts import agreeing, counted
from stopcli.errors import ConfigError, RequestError
from stopcli.runs.metrics import Columns
from stopcli.runs.recorded import Experiment, RecordedRun, experiments_of, read_recorded, without_studies
from stopcli.studies.compare.labels import short_labels

# Commands whose runs have no epochs.
_WITHOUT_EPOCHS = ("lr-range",)


def first_run(arm: RunArm) -> RecordedRun:
    """Its settings are those of all runs of the arm, but for the seed."""
    return arm.runs[0].run


def is_finished(arm: RunArm) -> bool:
    return all(result.run.finished for result in arm.runs)


def read_arms(paths: Sequence[Path]) -> tuple[list[RunArm], list[str]]:
    """The arms in some folders of runs and sweeps, and warnings, a sentence without a full stop each. The runs that
    count are those that finished, or where none did, what there is.

    Raises:
        RunFolderError: a folder is no run's, or a run is damaged.
        RequestError: there are fewer than two arms.
    """
    folders, warnings = without_studies(paths)
    warnings += [f"{path} is named more than once, and counts once" for path in _repeated(folders)]
    results: dict[Path, RunResult] = {}
    runs = read_recorded(folders)
    for run in runs:
        result = _result(run, warnings)
        if result is not None:
            results[run.path] = result
    arms = []
    for experiment in experiments_of([run for run in runs if run.path in results]):
        arms.append(_arm(experiment, [results[run.path] for run in experiment.runs], warnings))
    _check(arms, warnings)
    return _with_short_labels(arms), warnings


def baseline_of(arms: Sequence[RunArm], name: str) -> RunArm:
    """The arm that others are compared with: the first, or the one that is named by its label or its folder.

    Raises:
        ConfigError: none is, or several are.
    """
    if not name:
        return arms[0]
    named = [arm for arm in arms if name.casefold() == arm.label.casefold()]
    named = named or [arm for arm in arms if _lies_in(arm, Path(name))]
    if len(named) != 1:
        several = "a name that only one of them has: " if named else ""
        raise ConfigError("baseline", name, several + ", ".join(repr(arm.label) for arm in arms))
    return named[0]


def _lies_in(arm: RunArm, folder: Path) -> bool:
    run = first_run(arm)
    return folder.resolve() in (run.path.resolve(), (run.sweep or run.path).resolve())


def _repeated(paths: Sequence[Path]) -> list[Path]:
    resolved = [path.resolve() for path in paths]
    return [path for i, path in enumerate(paths) if path.resolve() in resolved[:i]]


def _result(run: RecordedRun, warnings: list[str]) -> RunResult | None:
    if run.command in _WITHOUT_EPOCHS:
        warnings.append(f"{run.path} is a range test, which has no epochs to compare; it is left out")
        return None
    columns: Columns = {}
    reason = "it has no complete epoch"
    try:
        if len(run.metrics["epoch"]):
            columns = run.metrics
    except RequestError as error:
        reason = error.message
    result = result_of(run, columns)
    if result is None:
        warnings.append(f"{run.path} ({run.state}) is left out: {reason}")
    elif not columns:
        warnings.append(f"{run.path} has no curves: {reason}")
    return result


def _arm(experiment: Experiment, results: Sequence[RunResult], warnings: list[str]) -> RunArm:
    by_seed: dict[int, RunResult] = {}
    repeated: list[tuple[RunResult, RunResult]] = []
    # Of a seed's runs a finished one, and of several the first.
    for result in sorted(results, key=lambda result: not result.run.finished):
        first = by_seed.setdefault(result.seed, result)
        if first is not result:
            repeated.append((first, result))
    if repeated:
        warnings.append(f"{experiment.label}: {_on_repeated_seeds(repeated)}")
    ordered = [by_seed[seed] for seed in sorted(by_seed)]
    finished = tuple(result for result in ordered if result.run.finished)
    left_out = tuple(result for result in ordered if not result.run.finished) if finished else ()
    if left_out:
        warnings.append(f"{experiment.label}: {_on_left_out(left_out, len(ordered))}")
    if not finished:
        states = ", ".join(dict.fromkeys(result.run.state for result in ordered))
        epochs = max(result.cost.get("epochs", 0) for result in ordered)
        last = "" if all(result.measured for result in ordered) else ", the values of its last epoch on record"
        position = f"{states} at epoch {epochs:g}"
        warnings.append(f"{experiment.label} has not finished ({position}): shown is what there is{last}")
    return Arm(experiment.label, finished or tuple(ordered), left_out)


def _on_repeated_seeds(repeated: Sequence[tuple[RunResult, RunResult]]) -> str:
    contrary = [pair for pair in repeated if not _agree(*pair)]
    first, other = (contrary or repeated)[0]
    several = len(repeated) > 1
    seeds = counted(len(repeated), "seed") if several else f"seed {first.seed}"
    paths = f"such as {first.run.path} and {other.run.path}" if several else f"{first.run.path}, {other.run.path}"
    ending = "identical by design, and counted once"
    if contrary:
        ending = "and these do not agree although their settings do (another machine or version?); the first counts"
    return f"{seeds} {agreeing(len(repeated), 'is', 'are')} there more than once ({paths}), {ending}"


def _agree(first: RunResult, other: RunResult) -> bool:
    # One that did not finish is the beginning of the other.
    return not other.run.finished or (first.final, first.saved) == (other.final, other.saved)


def _on_left_out(left_out: Sequence[RunResult], of: int) -> str:
    runs = ", ".join(f"seed {result.seed} {result.run.state}" for result in left_out[:5])
    more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    counts = agreeing(len(left_out), "does", "do")
    return f"{len(left_out)} of {counted(of, 'run')} did not finish and {counts} not count ({runs}{more})"


def _check(arms: Sequence[RunArm], warnings: Sequence[str]) -> None:
    if len(arms) > 1:
        return
    hint = "Name another run or sweep beside it; runs that differ by their seed only are compared as one."
    reasons = "".join(f" {warning}." for warning in warnings)
    if not arms:
        raise RequestError(f"there is nothing to compare.{reasons}", hint=hint)
    (only,) = arms
    runs = counted(len(only.runs), "run")
    raise RequestError(f"there is nothing to compare {only.label} ({runs}) with.{reasons}", hint=hint)


def _with_short_labels(arms: Sequence[RunArm]) -> list[RunArm]:
    """Without what is the same for all, and with the state of what did not finish; numbered."""
    labels = short_labels([(arm.label, first_run(arm)) for arm in arms])
    states = ["" if is_finished(arm) else f" ({first_run(arm).state})" for arm in arms]
    return [replace(arm, label=labels[i] + states[i], index=i) for i, arm in enumerate(arms)]
