"""A run's metrics on record, and what a rule would have done on them."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stopcli.analysis.run_result import NO_METRICS
from stopcli.runs.headline import Headline
from stopcli.runs.metrics import Columns
from stopcli.runs.recording import Recording
from stopcli.runs.run import Run
from stopcli.stopping import BestEpoch, Rule, Verdict
from stopcli.stopping.rule import RuleRunner, finite_part
from stopcli.stopping.smooth import RunColumns


def readable_metrics(columns: Columns) -> tuple[str, ...]:
    """The metrics that a rule may watch: nothing of test rows that were held out."""
    return tuple(name for name in columns if name not in NO_METRICS and not name.startswith(("test_", "test/")))


class RecordedHistory:
    """A run's metrics, as rules are replayed on them.

    Args:
        run: with one epoch or more.
        selecting: which epoch is the best.
        headline: the metric that counts; the run's own where it is None.

    Attributes:
        epochs: that were recorded, up to the one in which a metric was not finite.
        broken: the verdict that ended the run because a metric was not finite; None where it did not happen.
        headline_column: the column of the metric that counts: of the test rows, else of those that validate, else of
            those that train; None where there is none.

    Raises:
        RequestError: its metrics.csv is missing or damaged.
        MetricError: it has no such metric.
    """

    def __init__(self, run: Run, selecting: BestEpoch, headline: Headline | None = None) -> None:
        self.run, self.headline = run, headline or run.headline
        self._columns, self._metric = run.metrics, selecting.monitor
        # What another program recorded went on after a metric that nobody looks at was not finite.
        looked_at = (self._metric,) if isinstance(run, Recording) else readable_metrics(self._columns)
        measured = {
            name: np.where(run.missing[name], 0, self._columns[name]) if name in run.missing else self._columns[name]
            for name in looked_at
            if name in self._columns
        }
        finite, self.broken = finite_part(measured, looked_at)
        self.epochs = self.broken.epoch if self.broken else finite
        # The model of an epoch whose loss is not finite is broken: no rule sees it, and it is never the best.
        self._readable = RunColumns({name: values[:finite] for name, values in self._columns.items()})
        self._best = selecting.epochs(self._readable)
        columns = map(self.headline.column, ("test", "val", "train"))
        self.headline_column = next((name for name in columns if name in self._columns), None)

    @property
    def test_rows_validate(self) -> bool:
        """Whether the rows that rules look at are the test rows."""
        return self.run.test_rows_validate

    @property
    def plan_is_known(self) -> bool:
        """Whether it is on record how many epochs were planned."""
        return isinstance(self.run.settings.get("epochs"), int)

    @property
    def complete(self) -> bool:
        """Whether all planned epochs are on record: nothing stopped the run before."""
        return self.plan_is_known and self.epochs >= self.run.settings["epochs"]

    @property
    def ended_early(self) -> bool:
        """Whether it ended before all epochs that were planned, as far as that is known."""
        return self.plan_is_known and not self.complete

    def replay(self, rule: Rule[Any]) -> Replay:
        """What a rule would have done.

        Raises:
            MetricError: the run lacks a metric that the rule reads, or has it with values that the rule refuses.
        """
        verdict = self._first_stop(rule) or self.broken
        epoch = verdict.epoch if verdict else self.epochs
        return Replay(self, verdict, epoch, self.best_epoch(epoch))

    def _first_stop(self, rule: Rule[Any]) -> Verdict | None:
        """The first verdict of a rule that sees the epochs after which its metrics were measured, as Keras's callbacks
        do; of several rules, each of which sees its own, the earliest."""
        lacking = [self.run.missing[name] for name in rule.monitors if name in self.run.missing]
        if not lacking:
            return rule.first_stop(self._readable)
        if len(rule.parts) > 1:
            verdicts = filter(None, map(self._first_stop, rule.parts))
            return min(verdicts, key=lambda verdict: verdict.epoch, default=None)
        runner, values = RuleRunner(rule), [self._readable[name] for name in rule.monitors]
        for row in np.flatnonzero(~np.any(lacking, axis=0)[: len(values[0])]).tolist():
            metrics = {name: float(column[row]) for name, column in zip(rule.monitors, values, strict=True)}
            if (verdict := runner.update(row + 1, metrics)) is not None:
                return verdict
        return None

    def best_epoch(self, last: int) -> int:
        """The best epoch of the first so many; 0 where none counts."""
        best = self._best[:last]
        return int(best[-1]) if len(best) else 0

    def smallest_patience(self, patience: Callable[[int], Rule[Any]]) -> int | None:
        """The smallest patience under which the best epoch is still the best; None where no epoch counts.

        Args:
            patience: the rule with so much of it. With more it never stops earlier.
        """
        best = self.best_epoch(self.epochs)
        if not best:
            return None
        return bisect.bisect_left(range(self.epochs), 1, key=lambda epochs: self.replay(patience(epochs)).keeps_best)

    def values_at(self, epoch: int) -> tuple[float, float | None]:
        """The selecting metric after an epoch, and the metric that counts; None where the run has none."""
        column = self.headline_column
        value = None if column is None else float(self._columns[column][epoch - 1])
        return float(self._columns[self._metric][epoch - 1]), value


@dataclass(frozen=True)
class Replay:
    """What a rule would have done on a run.

    Attributes:
        verdict: why and where the run would have ended; None where that lies beyond the recorded epochs.
        epoch: of the stop, or the last one that was recorded.
        selected: the best epoch until then; 0 where no epoch counts.
    """

    history: RecordedHistory
    verdict: Verdict | None
    epoch: int
    selected: int

    @property
    def seed(self) -> int:
        return self.history.run.seed

    @property
    def fired(self) -> bool:
        """Whether the rule stopped the run, and not its end or a metric that is not finite."""
        return self.verdict is not None and self.verdict.reason != "non_finite"

    @property
    def keeps_best(self) -> bool:
        """Whether the selected epoch is the best one of all."""
        return self.selected > 0 and self.selected == self.history.best_epoch(self.history.epochs)

    @property
    def ending(self) -> str:
        """How the run would have ended: the reason of the verdict, `completed`, or `beyond_recording`."""
        if self.verdict is not None:
            return self.verdict.reason
        return "completed" if self.history.complete else "beyond_recording"

    def value(self, name: str) -> float | None:
        """One of its values; None where it has none of that name."""
        return self.values.get(name)

    @cached_property
    def values(self) -> dict[str, float]:
        """What it came to by name, as far as there is a value.

        `regret` is how much worse the selected epoch is than the best one of all, in the selecting metric, ≥ 0;
        `accuracy_lost` the same in the metric that counts, by its name, which did not select, so that it may be below
        0.
        """
        epochs, stop_values = self.history.epochs, self.history.values_at(self.epoch)
        headline = self.history.headline
        values: dict[str, float | None] = {
            f"stop_{headline.name}": stop_values[1],
            "stop_value": stop_values[0],
            "epochs": self.epoch,
            "epochs_saved": epochs - self.epoch,
            "share_saved": 1 - self.epoch / epochs,
        }
        if self.selected:
            best = self.history.best_epoch(epochs)
            value, quality = self.history.values_at(self.selected)
            best_value, best_quality = self.history.values_at(best)
            values |= {
                f"kept_{headline.name}": quality,
                f"best_{headline.name}": best_quality,
                "kept_epoch": self.selected,
                "kept_value": value,
                "best_epoch": best,
                "best_value": best_value,
                "regret": abs(best_value - value),
            }
            if quality is not None and best_quality is not None:
                lost = quality - best_quality if headline.lower_is_better else best_quality - quality
                values[f"{headline.name}_lost"] = lost
        return {name: value for name, value in values.items() if value is not None and np.isfinite(value)}
