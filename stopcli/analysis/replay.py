"""What a stopping rule would have done on a run that is finished, from its metrics alone.

A run is trained the same way whatever rules watch it, and a rule only cuts it off. So a rule's stop on recorded metrics
is the stop that it would have had live, as long as it lies within the epochs that were recorded.

Which rules are replayed, and by which metric an epoch is kept: from a command's options.

Rules replayed on the runs of some folders, experiment by experiment, and what is to be known of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from stopcli.errors import ConfigError, MetricError, RequestError
from stopcli.quantities import counted
from stopcli.runs.metrics import Columns
from stopcli.runs.run import Experiment, RecordedRun, experiments_of, read_recorded, without_studies
from stopcli.stats.intervals import MeanInterval, mean_interval
from stopcli.stopping import BestEpoch, Patience, Rule, Verdict
from stopcli.stopping.combine import parse_rule
from stopcli.stopping.rule import finite_part, mode_warning, resolve_direction

_NO_METRICS = ("epoch", "step", "learning_rate")


def readable_metrics(columns: Columns) -> tuple[str, ...]:
    """The metrics that a rule may watch: nothing of test rows that were held out."""
    return tuple(name for name in columns if name not in _NO_METRICS and not name.startswith("test_"))


@dataclass(frozen=True)
class LabelledRule:
    """A rule that is replayed.

    Attributes:
        label: as the user writes it, such as `gl:2`.
        family: its kind, the first word of its label.
    """

    label: str
    rule: Rule[Any]

    @property
    def family(self) -> str:
        return self.label.split(":")[0]


@dataclass(frozen=True)
class EpochValues:
    """An epoch of a run.

    Attributes:
        value: of the selecting metric.
        accuracy: on the test rows, or on those that validate where no test rows are held out; None where the run has
            none.
    """

    epoch: int
    value: float
    accuracy: float | None


class RecordedHistory:
    """A run's metrics, as rules are replayed on them.

    Args:
        run: with one epoch or more.
        best: which epoch is kept.

    Attributes:
        epochs: that were recorded, to the one in which it broke off.
        broken: the verdict that ended the run because a metric was no number; None where it did not happen.
        accuracy: the column of the accuracy; None where there is none.

    Raises:
        RequestError: its metrics.csv is missing or damaged.
        MetricError: it has no such metric.
    """

    def __init__(self, run: RecordedRun, best: BestEpoch) -> None:
        self.run, self._columns, self._metric = run, run.metrics, best.monitor
        finite, self.broken = finite_part(self._columns, readable_metrics(self._columns))
        self.epochs = self.broken.epoch if self.broken else finite
        # The model of an epoch whose loss is no number is broken: no rule sees it, and it is never the best.
        self._seen = {name: values[:finite] for name, values in self._columns.items()}
        self._best = best.epochs(self._seen)
        self.accuracy = next((name for name in ("test_accuracy", "val_accuracy") if name in self._columns), None)

    @property
    def test_rows_validate(self) -> bool:
        """Whether the rows that rules look at are the test rows."""
        return bool(self.run.settings.get("validation", "test") == "test")

    @property
    def complete(self) -> bool:
        """Whether all epochs that were asked for are on record: nothing stopped the run before."""
        asked = self.run.settings.get("epochs")
        return isinstance(asked, int) and self.epochs >= asked

    @cached_property
    def best(self) -> EpochValues | None:
        """The best epoch of all."""
        return self._best_until(self.epochs)

    def replay(self, rule: Rule[Any]) -> Replay:
        """What a rule would have done.

        Raises:
            MetricError: the run lacks a metric that the rule reads, or has it with values that the rule refuses.
        """
        verdict = rule.first_stop(self._seen) or self.broken
        epochs = verdict.epoch if verdict else self.epochs
        return Replay(self, verdict, self._best_until(epochs), self._values_at(epochs))

    def _best_until(self, epoch: int) -> EpochValues | None:
        best = self._best[:epoch]
        return self._values_at(int(best[-1])) if len(best) and best[-1] else None

    def _values_at(self, epoch: int) -> EpochValues:
        accuracy = None if self.accuracy is None else float(self._columns[self.accuracy][epoch - 1])
        return EpochValues(epoch, float(self._columns[self._metric][epoch - 1]), accuracy)


@dataclass(frozen=True)
class Replay:
    """What a rule would have done on a run.

    Attributes:
        verdict: why and where the run would have ended; None where that lies beyond the recorded epochs.
        kept: the best epoch until then; None where no epoch counts.
        last: the epoch of the stop, or the last one that was recorded.
    """

    history: RecordedHistory
    verdict: Verdict | None
    selected: EpochValues | None
    last: EpochValues

    @property
    def fired(self) -> bool:
        """Whether the rule stopped the run, and not its end or a metric that is no number."""
        return self.verdict is not None and self.verdict.reason != "non_finite"

    def values(self) -> dict[str, float]:
        """What it came to by name, as far as there is a value.

        `regret` is how much worse the kept epoch is than the best one of all, in the selecting metric, ≥ 0;
        `accuracy_lost` the same in accuracy, which did not select, so that it may be below 0.
        """
        history, selected, best = self.history, self.selected, self.history.best
        told: dict[str, float | None] = {
            "epochs": self.last.epoch,
            "epochs_saved": history.epochs - self.last.epoch,
            "share_saved": 1 - self.last.epoch / history.epochs,
            "stop_value": self.last.value,
            "stop_accuracy": self.last.accuracy,
        }
        if selected is not None and best is not None:
            told |= {
                "kept_epoch": selected.epoch,
                "kept_value": selected.value,
                "kept_accuracy": selected.accuracy,
                "best_epoch": best.epoch,
                "best_value": best.value,
                "best_accuracy": best.accuracy,
                "regret": abs(best.value - selected.value),
            }
            if selected.accuracy is not None and best.accuracy is not None:
                told["accuracy_lost"] = best.accuracy - selected.accuracy
        return {name: value for name, value in told.items() if value is not None and np.isfinite(value)}


class RuleResults:
    """What a rule would have done on several runs.

    Attributes:
        replays: of one run or more, in their order.
    """

    def __init__(self, rule: LabelledRule, replays: Sequence[Replay]) -> None:
        self.rule, self.replays = rule, tuple(replays)
        self._values = [replay.values() for replay in replays]
        self._intervals: dict[str, MeanInterval | None] = {}

    @property
    def not_fired(self) -> int:
        """Runs in which it did not fire."""
        return sum(not replay.fired for replay in self.replays)

    def values(self, name: str) -> list[float]:
        """A value of each run that has it."""
        return [values[name] for values in self._values if name in values]

    def pairs(self, name: str, other: str) -> tuple[list[float], list[float]]:
        """Two values of each run that has both."""
        both = [(values[name], values[other]) for values in self._values if name in values and other in values]
        return [one for one, _ in both], [two for _, two in both]

    def mean(self, name: str) -> float | None:
        """The mean over the runs that have the value; None where none has."""
        values = self.values(name)
        return float(np.mean(values)) if values else None

    def interval(self, name: str) -> MeanInterval | None:
        """The mean with its interval; None where no run has the value."""
        if name not in self._intervals:
            values = self.values(name)
            self._intervals[name] = mean_interval(values) if values else None
        return self._intervals[name]


def replay_all(histories: Sequence[RecordedHistory], rules: Sequence[LabelledRule]) -> list[RuleResults]:
    """Every rule on every run.

    Raises:
        MetricError: as `RecordedHistory.replay`.
    """
    return [RuleResults(rule, [history.replay(rule.rule) for history in histories]) for rule in rules]


# Prechelt's own criteria (1998, section 2.3), but for the slowest, and patience from none to much.
DEFAULT_PATIENCE = (0, 5, 10, 20, 50, 100, 200)
DEFAULT_RULES = (
    *("gl:1", "gl:2", "gl:3", "gl:5", "pq:0.5", "pq:0.75", "pq:1", "pq:2", "pq:3"),
    *("up:2", "up:3", "up:4", "up:6", "up:8"),
)


@dataclass(frozen=True)
class ReplayOptions:
    """What is asked of some runs.

    Attributes:
        patience, min_delta: every patience is replayed with every min_delta.
        rules: as in `--stop`. Where neither patience nor rules are given, those that are usual.
        monitor, mode: what patience and threshold watch.
        baseline, start_from_epoch: of every patience.
        select: the metric whose best epoch is kept; empty for `monitor`.
    """

    patience: tuple[int, ...] | None = None
    min_delta: tuple[float, ...] = (0.0,)
    rules: tuple[str, ...] | None = None
    monitor: str = "val_loss"
    mode: str = "auto"
    baseline: float | None = None
    start_from_epoch: int = 0
    select: str = ""

    def labelled_rules(self) -> list[LabelledRule]:
        """The rules, each once.

        Raises:
            ConfigError: one of them does not exist, or a value is out of its range.
        """
        usual = self.patience is None and self.rules is None
        patience, rules = (DEFAULT_PATIENCE, DEFAULT_RULES) if usual else (self.patience or (), self.rules or ())
        labelled = [self._patience(epochs, delta) for delta in self.min_delta for epochs in patience]
        labelled += [LabelledRule(text, parse_rule(text, self.monitor, self.mode, setting="rule")) for text in rules]
        if not labelled:
            raise ConfigError("rule", "none", "one rule or more, here or with --patience")
        by_rule: dict[Rule[Any], LabelledRule] = {}
        for rule in labelled:
            by_rule.setdefault(rule.rule, rule)
        return list(by_rule.values())

    def _patience(self, epochs: int, min_delta: float) -> LabelledRule:
        if epochs < 0:
            raise ConfigError("patience", epochs, "whole numbers ≥ 0")
        if not (math.isfinite(min_delta) and min_delta >= 0):
            raise ConfigError("min_delta", min_delta, "finite numbers ≥ 0")
        rule = Patience(epochs, self.monitor, self.mode, min_delta, self.baseline, self.start_from_epoch)
        return LabelledRule(f"patience:{epochs}" + (f" δ={min_delta:g}" if min_delta else ""), rule)

    def selecting_rule(self) -> BestEpoch:
        """Which epoch is selected.

        Raises:
            ConfigError: the direction of the metric is not known.
        """
        if not self.select or self.select == self.monitor:
            return BestEpoch(self.monitor, self.mode, self.start_from_epoch)
        resolve_direction(self.select, "auto", setting="select")
        return BestEpoch(self.select, start_from_epoch=self.start_from_epoch)

    def warnings(self) -> list[str]:
        """What was asked for in vain or against the sense of words, as the training commands tell it."""
        told = [mode_warning(self.monitor, self.mode)]
        if not self.patience and self.rules is not None:
            told += ["min_delta has no effect without patience"] if any(self.min_delta) else []
            told += ["baseline has no effect without patience"] if self.baseline is not None else []
        return [warning for warning in told if warning]

    def check_metrics(self, run: RecordedRun) -> None:
        """Find out whether a run has the named metrics on record.

        Raises:
            RequestError: it has not.
        """
        _check(run, [("--monitor", self.monitor), ("--select", self.select or self.monitor)])


def check_rules(rules: Sequence[LabelledRule], run: RecordedRun) -> None:
    """Find out whether a run has on record what rules read.

    Raises:
        RequestError: it has not.
    """
    _check(run, [(rule.label, name) for rule in rules for name in rule.rule.monitors])


def _check(run: RecordedRun, needed: Sequence[tuple[str, str]]) -> None:
    there = readable_metrics(run.metrics)
    for what, name in needed:
        if name not in there:
            raise _missing(run, run.metrics, what, name)


def _missing(run: RecordedRun, columns: Columns, what: str, name: str) -> RequestError:
    told = f"{run.path}: {what} needs {name}, and on record are {', '.join(readable_metrics(columns)) or 'none'}"
    if name.startswith("test_") and name in columns:
        return RequestError(told, hint="Test rows that are held out choose nothing, or they would be no test any more.")
    if not any(column.startswith("val_") for column in columns):
        return RequestError(told, hint="The run was not validated: it says nothing of when it should have stopped.")
    return RequestError(told, hint="Name another with --monitor or --select, or leave the rule out.")


# Of more runs than this, a warning names the first ones.
_NAMED = 3


@dataclass(frozen=True)
class ExperimentResults:
    """Every rule on every run of an experiment.

    Attributes:
        histories: of its runs, by seed as they were given.
        rules: what each rule came to.
    """

    label: str
    histories: tuple[RecordedHistory, ...]
    rules: tuple[RuleResults, ...]

    @property
    def n(self) -> int:
        return len(self.histories)

    @property
    def title(self) -> str:
        """What it is, and how many runs of it there are."""
        return f"{self.label}, {counted(self.n, 'run')}"

    @property
    def accuracy(self) -> str | None:
        """The column that its accuracies are of."""
        return self.histories[0].accuracy


@dataclass(frozen=True)
class ReplayResults:
    """What was replayed.

    Attributes:
        selecting_rule: which epoch is selected.
        warnings: what the user should know, a sentence without a full stop each.
    """

    options: ReplayOptions
    selecting_rule: BestEpoch
    experiments: tuple[ExperimentResults, ...]
    warnings: tuple[str, ...]

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower value of the selecting metric is the better one."""
        return self.selecting_rule.is_better(0.0, 1.0)


def replay(paths: Sequence[Path], options: ReplayOptions) -> ReplayResults:
    """Replay rules on the runs in some folders.

    Raises:
        RequestError: there is nothing to replay, or not what is asked for.
    """
    folders, skipped = without_studies(paths)
    usable, left_out = _usable(read_recorded(folders))
    if not usable:
        told = [f"{run.path}: {why}" for run, why in left_out] + skipped
        raise RequestError(told[0], hint="Rules are replayed on runs that trained for an epoch or more.")
    for run in usable:
        options.check_metrics(run)
    rules, selecting_rule = options.labelled_rules(), options.selecting_rule()
    longest = max(usable, key=lambda run: len(run.metrics["epoch"]))
    if options.start_from_epoch >= len(longest.metrics["epoch"]):
        most = counted(len(longest.metrics["epoch"]), "epoch")
        expected = f"less than the {most} of {longest.path}, else none is ever watched"
        raise RequestError(f"--start-from-epoch: received {options.start_from_epoch}, expected {expected}")
    experiments, twice = _without_twins(experiments_of(usable))
    left_out += [(run, "the same settings and seed as another") for run in twice]
    results = tuple(_replay_experiment(experiment, rules, selecting_rule) for experiment in experiments)
    warnings = (*options.warnings(), *skipped, *_warnings(results, left_out))
    return ReplayResults(options, selecting_rule, results, warnings)


def _usable(runs: Iterable[RecordedRun]) -> tuple[list[RecordedRun], list[tuple[RecordedRun, str]]]:
    usable, left_out = [], []
    for run in runs:
        if run.command == "lr-range":
            left_out.append((run, "a range test, which has no epochs that a rule could watch"))
        elif not (run.path / "metrics.csv").is_file() or not len(run.metrics["epoch"]):
            left_out.append((run, f"no epoch on record ({run.state})"))
        else:
            usable.append(run)
    return usable, left_out


def _without_twins(experiments: Sequence[Experiment]) -> tuple[list[Experiment], list[RecordedRun]]:
    """Experiments with one run a seed: the same one again would pass for more evidence than there is."""
    kept, twice = [], []
    for experiment in experiments:
        by_seed: dict[int, RecordedRun] = {}
        for run in experiment.runs:
            other = by_seed.get(run.seed)
            if other is None or len(run.metrics["epoch"]) > len(other.metrics["epoch"]):
                by_seed[run.seed] = run
            if other is not None:
                twice.append(other if by_seed[run.seed] is run else run)
        kept.append(Experiment(experiment.label, tuple(by_seed.values())))
    return kept, twice


def _replay_experiment(
    experiment: Experiment, rules: Sequence[LabelledRule], selecting_rule: BestEpoch
) -> ExperimentResults:
    for run in experiment.runs:
        check_rules(rules, run)
    histories = [RecordedHistory(run, selecting_rule) for run in experiment.runs]
    try:
        results = replay_all(histories, rules)
    except MetricError as error:
        raise RequestError(f"{experiment.label}: {error.message}", hint="Leave that rule out.") from None
    return ExperimentResults(experiment.label, tuple(histories), tuple(results))


def _warnings(experiments: Sequence[ExperimentResults], left_out: Sequence[tuple[RecordedRun, str]]) -> list[str]:
    histories = [history for experiment in experiments for history in experiment.histories]
    told = [
        f"left out: {_names([run for run, each in left_out if each == why])}: {why}"
        for why in dict.fromkeys(why for _, why in left_out)
    ]
    unfinished = [each.run for each in histories if not each.run.finished]
    if unfinished:
        states = ", ".join(dict.fromkeys(run.state for run in unfinished))
        told.append(f"not finished ({states}), and replayed as far as recorded: {_names(unfinished)}")
    broken = [each.run for each in histories if each.broken]
    if broken:
        told.append(f"broke off on a metric that is no number, as it would have under any rule: {_names(broken)}")
    cut = [each.run for each in histories if not each.complete and each.run.finished and not each.broken]
    if cut:
        told.append(
            f"stopped by a rule before all epochs had run, so that the best epoch of all may not be on record: "
            f"{_names(cut)}"
        )
    at_cycle_ends = [each.run for each in histories if each.run.settings.get("stop_at") == "cycle-end"]
    if at_cycle_ends:
        told.append(
            f"replayed rules are asked at every epoch, those of these runs were asked at the ends of cycles alone "
            f"(stop_at): {_names(at_cycle_ends)}"
        )
    return told + _kept_nothing(experiments)


def _kept_nothing(experiments: Sequence[ExperimentResults]) -> list[str]:
    rules = [result for experiment in experiments for result in experiment.rules]
    labels = dict.fromkeys(
        result.rule.label for result in rules if any(replay.selected is None for replay in result.replays)
    )
    if not labels:
        return []
    return [f"in some runs no epoch is kept, which the means of best epoch and regret leave out: {', '.join(labels)}"]


def _names(runs: Sequence[RecordedRun]) -> str:
    names = [str(run.path) for run in runs[:_NAMED]]
    return ", ".join(names) + (f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else "")
