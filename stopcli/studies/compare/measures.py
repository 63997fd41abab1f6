"""By what arms are compared: a value of each run's final model, and of its best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stopcli.analysis.results import RunResult
from stopcli.errors import ConfigError
from stopcli.stopping.direction import Direction, natural_direction

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

    def value_name(self, view: str) -> str:
        """What a run calls the value (`RunResult.value`)."""
        if self.is_cost:
            return self.name
        return f"{view}_{self.name}" if self.name in _OF_MODELS or view != "final" else f"last_{self.name}"


def measure_of(name: str, runs: Sequence[RunResult]) -> Measure:
    """The measure of a name.

    Raises:
        ConfigError: no run has it.
    """
    columns = dict.fromkeys(column for run in runs for column in run.columns)
    known = [*_OF_MODELS, *_OF_COST, *(column for column in columns if column not in ("epoch", "step"))]
    if name in known and _is_recorded(_named(name), runs):
        return _named(name)
    recorded = ", ".join(other for other in known if _is_recorded(_named(other), runs))
    raise ConfigError("metric", name, f"a value that the runs have, of {recorded}")


def _is_recorded(measure: Measure, runs: Sequence[RunResult]) -> bool:
    return any(run.value(measure.value_name(view)) is not None for run in runs for view in measure.views)


def _named(name: str) -> Measure:
    words, better = name.replace("_", " "), natural_direction(name)
    if name in _OF_COST:
        return Measure(name, {"final": words}, None)
    if name in _OF_MODELS:
        views = {"final": f"{words} of the final model", "saved": f"{words} of the saved model"}
        return Measure(name, views, better)
    views = {"final": f"{name} of the last epoch"}
    return Measure(name, views if better is None else {**views, "best": f"{name} of its best epoch"}, better)
