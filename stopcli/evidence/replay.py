"""What a stopping rule would have done on a run that is finished, from its metrics alone.

A run is trained the same way whatever rules watch it, and a rule only cuts it off. So a rule's stop on recorded metrics
is the stop that it would have had live, as long as it lies within the epochs that were recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stopcli.evidence.interval import MeanInterval, mean_interval
from stopcli.runs.metrics import Columns
from stopcli.runs.recorded import RecordedRun
from stopcli.stopping import BestEpoch, Rule, Verdict
from stopcli.stopping.scanning import finite_part

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
