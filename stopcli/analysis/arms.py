"""Arms: runs that belong together, named and compared by what they came to."""

from __future__ import annotations

import contextlib
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from stopcli.analysis.run_result import RunResult, result_of
from stopcli.configs.registry import experiment_settings
from stopcli.errors import ConfigError, RequestError, did_you_mean
from stopcli.quantities import agreeing, counted
from stopcli.runs.folder import DEFAULT_RUNS_DIR
from stopcli.runs.headline import Headline
from stopcli.runs.metrics import Columns
from stopcli.runs.recording import Recording, notes_of, read_runs_and_recordings
from stopcli.runs.run import Run, resolve_run, without_analyses
from stopcli.runs.summary import RECORDED
from stopcli.stats.differences import Difference, Ratio, difference_by_seed, ratio_of
from stopcli.stats.intervals import MeanInterval, mean_interval


@dataclass(frozen=True)
class Experiment:
    """Runs that differ only in their seed."""

    label: str
    runs: tuple[Run, ...]


def experiment_of(run: Run) -> Mapping[str, Any]:
    """The command and the settings that a run shares with runs of other seeds, by name."""
    return {"command": run.command, **experiment_settings(run.command, run.settings)}


def experiments_of(runs: Iterable[Run], *, apart: bool = False) -> list[Experiment]:
    """Runs by experiment, in the order in which each first appears, with labels that tell them apart.

    Args:
        apart: runs of different folders, or sweeps, are different experiments, also where they differ only by seed, and
            are called as their folders are where that tells them apart.
    """
    groups: list[tuple[Mapping[str, Any], list[Run]]] = []
    for run in runs:
        for settings, group in groups:
            together = not apart or folder_of(group[0]) == folder_of(run)
            if together and settings == experiment_of(run) and group[0].group == run.group:
                group.append(run)
                break
        else:
            groups.append((experiment_of(run), [run]))
    folders = [folder_of(group[0]) for _, group in groups]
    if apart and len({folder.name for folder in folders}) == len(groups):
        return [Experiment(folder.name, tuple(group)) for folder, (_, group) in zip(folders, groups, strict=True)]
    labels = [group[0].title for _, group in groups]
    labels = _distinct(labels, _recorded_settings([group[0] for _, group in groups]))
    # By the folder that they lie in, its name or its path; in one sweep by the run's own, whose rules may have changed.
    for names in ([folder.name for folder in folders], map(str, folders), [group[0].path.name for _, group in groups]):
        labels = _distinct(labels, list(names))
    return [Experiment(label, tuple(group)) for label, (_, group) in zip(labels, groups, strict=True)]


def folder_of(run: Run) -> Path:
    """Its sweep's, or its own."""
    return run.sweep or run.path


def _recorded_settings(runs: Sequence[Run]) -> list[str]:
    """The settings by which a script's recorded runs of one name differ, as words; empty for other runs."""
    titles = [run.title if run.command == RECORDED and run.settings.get("name") else "" for run in runs]
    texts = dict[int, str]()
    for title in dict.fromkeys(filter(None, titles)):
        alike = [i for i, other in enumerate(titles) if other == title]
        texts |= zip(alike, _by_settings([runs[i] for i in alike]), strict=True)
    return [texts.get(i, "") for i in range(len(runs))]


def _distinct(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Labels that are given several times with different names, each with its name in brackets."""
    pairs = list(zip(labels, names, strict=True))
    names_of = {label: {name for other, name in pairs if other == label} for label in labels}
    return [f"{label} ({name})" if len(names_of[label]) > 1 else label for label, name in pairs]


# A run that nobody gave a name or a folder.
_BY_TIME = re.compile(r"\d{8}T\d{6}Z-")
# More settings in a label are no label.
_MOST_SETTINGS = 2
# Commands whose runs have no epochs.
_WITHOUT_EPOCHS = ("lr-range",)


class HasValues(Protocol):
    """Whatever an arm has one of for each seed."""

    @property
    def seed(self) -> int: ...

    def value(self, name: str) -> float | None:
        """One of its values; None where it has none of that name."""


@dataclass(frozen=True)
class SeedValues:
    """Values of one seed, by name."""

    seed: int
    values: Mapping[str, float | None]

    def value(self, name: str) -> float | None:
        return self.values.get(name)


AnyRun = TypeVar("AnyRun", bound=HasValues)


@dataclass(frozen=True)
class Arm(Generic[AnyRun]):
    """Runs that differ by their seed only.

    Attributes:
        label: in tables and figures.
        runs: that count, one a seed.
        left_out: that did not finish, where others did.
        name: in a sweep's plan.
        index: among the arms, from 0, which its colour goes by: it is the same whatever has finished.
        planned: runs that its sweep has of it.
        failed: the seeds of those that have failed, or whose process has died.
        config: of one of its runs, where it is a sweep's.
    """

    label: str
    runs: tuple[AnyRun, ...]
    left_out: tuple[AnyRun, ...] = ()
    name: str = ""
    index: int = 0
    planned: int = 0
    failed: tuple[int, ...] = ()
    config: Any = None

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    def values(self, name: str) -> list[float]:
        """One value of each run that has it."""
        return [value for run in self.runs if (value := run.value(name)) is not None]

    def by_seed(self, name: str) -> dict[int, float]:
        """The same by seed."""
        return {run.seed: value for run in self.runs if (value := run.value(name)) is not None}

    def without(self, name: str) -> list[AnyRun]:
        """The runs that do not have a value, such as those whose training has diverged."""
        return [run for run in self.runs if run.value(name) is None]

    def mean(self, name: str) -> float | None:
        """The mean of a value over the runs that have it; None where none has."""
        values = self.values(name)
        return statistics.fmean(values) if values else None

    def interval(self, name: str) -> MeanInterval | None:
        """The mean with its standard deviation and interval; None where no run has the value."""
        values = self.values(name)
        return mean_interval(values) if values else None


RunArm = Arm[RunResult]


def difference(arm: Arm[Any], other: Arm[Any], name: str) -> Difference | None:
    """A value of an arm's runs less that of another's, over the seeds that both have; None where there is none."""
    return difference_by_seed(arm.by_seed(name), other.by_seed(name))


def time_ratio(arm: Arm[Any], reference: Arm[Any]) -> Ratio | None:
    """How many times the reference's training time an arm's is, over the seeds that both have; None where there is
    none."""
    return ratio_of(arm.by_seed("train_seconds"), reference.by_seed("train_seconds"))


def short_labels(arms: Sequence[tuple[str, Run]]) -> list[str]:
    """Labels without the command where it is the same for all, and in the place of folders' times, as far as that tells
    them apart, the settings by which they differ.

    Args:
        arms: each with the label that it has, and a run of it.
    """
    commands = {run.command for _, run in arms}
    labels = []
    for label, run in arms:
        short = label.removeprefix(f"{run.command} ") if len(commands) == 1 else label
        # An arm's name is a folder's, of words between hyphens.
        labels.append(short.replace(run.arm, run.arm.replace("-", " "), 1) if run.sweep is not None else short)
    by_settings = _by_settings([run for _, run in arms])
    for i, (_, run) in enumerate(arms):
        nameless = run.sweep is None and not run.settings.get("name") and _BY_TIME.match(run.path.name)
        if nameless and by_settings[i] and by_settings.count(by_settings[i]) == 1 and by_settings[i] not in labels:
            labels[i] = by_settings[i]
    # Short is no use where it is the same.
    return labels if len(set(labels)) == len(labels) else [label for label, _ in arms]


def _by_settings(runs: Sequence[Run]) -> list[str]:
    """The settings by which runs differ, as words; empty where they are too many."""
    experiments = [experiment_of(run) for run in runs]
    names = dict.fromkeys(name for experiment in experiments for name in experiment)
    differ = [
        name
        for name in names
        if any(experiment_settings.get(name) != experiments[0].get(name) for experiment_settings in experiments)
    ]
    if len(differ) > _MOST_SETTINGS:
        return [""] * len(runs)
    return [", ".join(_setting_text(name, experiment.get(name)) for name in differ) for experiment in experiments]


def _setting_text(name: str, value: object) -> str:
    text = name.replace("_", " ")
    if value is None or value is False:
        return f"no {text}"
    if value is True:
        return text
    return f"{text} {' '.join(map(str, value)) if isinstance(value, list) else value}"


def first_run(arm: RunArm) -> Run:
    """Its settings are those of all runs of the arm, but for the seed."""
    return arm.runs[0].run


def headline_of_runs(runs: Iterable[Run]) -> Headline | None:
    """The metric that counts in runs of one experiment; None where none of them says which.

    Without a summary a run does not say, and what is assumed of it does not hold where it has recorded nothing of it.
    """
    for run in runs:
        if run.summary is not None or _recorded_by(run, run.headline):
            return run.headline
    return None


def _recorded_by(run: Run, headline: Headline) -> bool:
    try:
        return any(headline.column(rows) in run.metrics for rows in ("train", "val", "test"))
    except RequestError:
        return False


def is_finished(arm: RunArm) -> bool:
    return all(result.run.finished for result in arm.runs)


def read_arms(
    paths: Sequence[Path], metric: str = "", mode: str = "auto", *, apart: bool = False
) -> tuple[list[RunArm], list[str]]:
    """The arms in some folders of runs and sweeps, and warnings, a sentence without a full stop each. The runs that
    count are those that finished, or where none did, what there is.

    Args:
        apart: as for `experiments_of`.

    Raises:
        RunFolderError: a folder is no run's, or a run is damaged.
        RequestError: there are fewer than two arms.
    """
    folders, warnings = without_analyses(paths)
    warnings += [f"{path} is named more than once, and counts once" for path in _repeated(folders)]
    results: dict[Path, RunResult] = {}
    runs = read_runs_and_recordings(folders, by="folders", metric=metric, mode=mode)
    for run in runs:
        result = _result(run, warnings)
        if result is not None:
            results[run.path] = result
    arms = []
    for experiment in experiments_of([run for run in runs if run.path in results], apart=apart):
        arms.append(_arm(experiment, [results[run.path] for run in experiment.runs], warnings))
    _check(arms, warnings)
    warnings += notes_of(runs)
    return _with_short_labels(arms), warnings


def baseline_of(arms: Sequence[RunArm], name: str, root: Path = DEFAULT_RUNS_DIR) -> RunArm:
    """The arm that others are compared with: the first, or the one that is named by its label, or as a run is.

    Args:
        root: the runs folder.

    Raises:
        ConfigError: none is, or several are.
    """
    if not name:
        return arms[0]
    matches = [arm for arm in arms if name.casefold() == arm.label.casefold()]
    if not matches:
        # What names no run is refused with the labels.
        with contextlib.suppress(RequestError):
            folder = resolve_run(Path(name), root)
            matches = [arm for arm in arms if _lies_in(arm, folder)]
    if len(matches) != 1:
        several = "a name that only one of them has" if matches else "one of the arms"
        labels = [arm.label for arm in arms]
        expected = f"{several}: {', '.join(map(repr, labels))}"
        raise ConfigError("baseline", name, expected, hint="" if matches else did_you_mean(name, labels))
    return matches[0]


def _lies_in(arm: RunArm, folder: Path) -> bool:
    run = first_run(arm)
    folders = [run.path, run.sweep or run.path, *([run.path.parent] if isinstance(run, Recording) else [])]
    return folder.resolve() in (path.resolve() for path in folders)


def _repeated(paths: Sequence[Path]) -> list[Path]:
    resolved = [path.resolve() for path in paths]
    return [path for i, path in enumerate(paths) if path.resolve() in resolved[:i]]


def _result(run: Run, warnings: list[str]) -> RunResult | None:
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
        last = "" if all(result.measured for result in ordered) else ", those of its last recorded epoch"
        position = f"{states} at epoch {epochs:g}"
        warnings.append(f"{experiment.label} has not finished ({position}): its values so far are shown{last}")
    return Arm(experiment.label, finished or tuple(ordered), left_out)


def _on_repeated_seeds(repeated: Sequence[tuple[RunResult, RunResult]]) -> str:
    failed = [pair for pair in repeated if pair[1].run.state == "failed" and pair[0].run.finished]
    contrary = [pair for pair in repeated if not _agree(*pair)]
    if contrary:
        ending = "but their results differ (another machine or version?), and the first counts"
    elif failed:
        ending = "of which one has failed, and the one that has finished counts"
    else:
        ending = "identical by design, and counted once"
    first, other = (contrary or failed or repeated)[0]
    several = len(repeated) > 1
    seeds = counted(len(repeated), "seed") if several else f"seed {first.seed}"
    paths = f"such as {first.run.path} and {other.run.path}" if several else f"{first.run.path}, {other.run.path}"
    also = f"; {counted(len(failed), 'run')} of one that has finished had failed" if contrary and failed else ""
    return f"{seeds} {agreeing(len(repeated), 'is', 'are')} there more than once ({paths}), {ending}{also}"


def _agree(first: RunResult, other: RunResult) -> bool:
    # One that did not finish is the beginning of the other.
    return not other.run.finished or (first.final, first.saved) == (other.final, other.saved)


def _on_left_out(left_out: Sequence[RunResult], total: int) -> str:
    runs = ", ".join(f"seed {result.seed} {result.run.state}" for result in left_out[:5])
    more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    counts = agreeing(len(left_out), "does", "do")
    return f"{len(left_out)} of {counted(total, 'run')} did not finish and {counts} not count ({runs}{more})"


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
