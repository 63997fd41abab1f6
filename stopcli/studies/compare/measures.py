"""By what arms are compared: a value of each run's final model, and of its best one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stopcli.errors import ConfigError
from stopcli.stopping.direction import Direction, natural_direction
from stopcli.studies.compare.outcomes import RunResult, best_place

DEFAULT = "test_accuracy"
# Measured on the finished model and on the saved one.
_OF_MODELS = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
_OF_COST = ("epochs", "updates", "rows", "train_seconds")


@dataclass(frozen=True)
class Measure:
    """A value of runs.

    Attributes:
        name: as asked for.
        views: which of a run's values, `final`, `saved` or `best`, and in words.
        better: whether less or more is better; None where neither is, or the name does not tell.
    """

    name: str
    views: dict[str, str]
    better: Direction | None

    @property
    def is_cost(self) -> bool:
        """Whether it says what training took, and not how well it went."""
        return self.name in _OF_COST

    def of(self, outcome: RunResult, view: str) -> float | None:
        """A run's value; None where it has none."""
        if self.is_cost:
            return outcome.cost.get(self.name)
        if self.name in _OF_MODELS:
            return outcome.of(view).get(self.name)
        place = self._place(outcome, view)
        return None if place is None else float(outcome.columns[self.name][place])

    def epoch_of(self, outcome: RunResult, view: str) -> float | None:
        """The epoch that a run's value is of."""
        if self.is_cost or self.name in _OF_MODELS:
            return outcome.of(view).get("epoch")
        place = self._place(outcome, view)
        return None if place is None else float(outcome.columns["epoch"][place])

    def _place(self, outcome: RunResult, view: str) -> int | None:
        """Where in its column a run's value stands; None where there is no number."""
        column = outcome.columns.get(self.name)
        if column is None or not len(column):
            return None
        place = best_place(column, lower=self.better == "min") if view == "best" else len(column) - 1
        return None if place is None or not math.isfinite(column[place]) else place


def measure_of(name: str, outcomes: Sequence[RunResult]) -> Measure:
    """The measure of a name.

    Raises:
        ConfigError: no run has it.
    """
    columns = dict.fromkeys(column for outcome in outcomes for column in outcome.columns)
    known = [*_OF_MODELS, *_OF_COST, *(column for column in columns if column not in ("epoch", "step"))]
    if name in known and _is_there(_named(name), outcomes):
        return _named(name)
    there = ", ".join(each for each in known if _is_there(_named(each), outcomes))
    raise ConfigError("metric", name, f"a value that the runs have, of {there}")


def _is_there(measure: Measure, outcomes: Sequence[RunResult]) -> bool:
    return any(measure.of(outcome, view) is not None for outcome in outcomes for view in measure.views)


def _named(name: str) -> Measure:
    words, better = name.replace("_", " "), natural_direction(name)
    if name in _OF_COST:
        return Measure(name, {"final": words}, None)
    if name in _OF_MODELS:
        views = {"final": f"{words} of the final model", "saved": f"{words} of the saved model"}
        return Measure(name, views, better)
    views = {"final": f"{name} of the last epoch"}
    return Measure(name, views if better is None else {**views, "best": f"{name} of its best epoch"}, better)
