"""What a stopping rule is: a pure state machine over the epochs' metrics.

A rule is a frozen set of options. It keeps nothing: `update` takes the state so far and an epoch's metrics, and returns
the next state and, where training should stop, a verdict. The same rule therefore decides live, decides inside Keras's
`fit`, is saved with a run, and is replayed over a finished run's metrics. `RuleRunner` holds a rule's state for callers
that update it epoch by epoch; `first_stop` looks at all epochs of a run at once.

What rules share that look at all epochs of a run at once.

Whether a metric is better when it is lower or when it is higher.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from ctypes import c_float
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import ConfigError, MetricError

Metrics = Mapping[str, float]
"""An epoch's values by name."""

Columns = Mapping[str, NDArray[np.float64]]
"""A run's values by name, each of shape [epochs]."""


@dataclass(frozen=True)
class Verdict:
    """Why training stops.

    Attributes:
        reason: patience, baseline, threshold, non_finite, completed, interrupted, …
        rule: the rule in words, such as `val_loss patience=200`.
        epoch: the epoch after which training stops, counted from 1.
        wait: epochs since the last improvement that counted.
        best_epoch: the epoch with the best monitored value so far; 0 where the rule keeps none.
        best_value: that value.
        margin: how far the monitored value of this epoch lies from the best one (or from the threshold), ≥ 0, in the
            metric's unit.
    """

    reason: str
    rule: str
    epoch: int
    wait: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    margin: float | None = None


State = TypeVar("State", bound=NamedTuple)
Value = TypeVar("Value")


class Rule(abc.ABC, Generic[State]):
    """A stopping rule. Subclasses are frozen dataclasses of options; their states are NamedTuples of plain values."""

    kind: ClassVar[str]

    @property
    @abc.abstractmethod
    def monitors(self) -> tuple[str, ...]:
        """The metrics that the rule reads."""

    @property
    def earliest_stop(self) -> int:
        """The epoch before which it stops no run whose metrics stay finite, whatever they are."""
        return 1

    @abc.abstractmethod
    def init(self) -> State:
        """The state before the first epoch."""

    @abc.abstractmethod
    def update(self, state: State, epoch: int, metrics: Metrics) -> tuple[State, Verdict | None]:
        """The state after an epoch, and a verdict where training should stop.

        Args:
            state: what the last update returned, or `init()`.
            epoch: counted from 1, each epoch once and in order. One that lacks the rule's metrics may be left out.
            metrics: the epoch's values by name.

        Raises:
            MetricError: a monitored metric is missing.
        """

    def first_stop(self, columns: Columns) -> Verdict | None:
        """The first verdict on a run whose epochs are all known, None where there is none.

        By definition what `RuleRunner` says, epoch by epoch. A rule that can tell it from whole columns, which is some
        forty times as fast, overrides this; tests hold the two to the same verdict.

        Raises:
            MetricError: a monitored metric is missing, or as `update` does.
        """
        for name in self.monitors:
            monitored(columns, name, 1)
        runner = RuleRunner(self)
        for epoch, row in enumerate(zip(*(columns[name].tolist() for name in self.monitors), strict=True), start=1):
            verdict = runner.update(epoch, dict(zip(self.monitors, row, strict=True)))
            if verdict is not None:
                return verdict
        return None

    @abc.abstractmethod
    def describe(self) -> str:
        """The rule in a few words, for tables and summaries."""

    def progress(self, state: State) -> str:
        """How near the rule is to stopping, for a progress bar, such as `wait 37/200`; empty for none."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values; `rule_from_dict` makes the rule again."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]

    def state_to_dict(self, state: State) -> dict[str, Any]:
        """A state as plain values that JSON can hold."""
        return state._asdict()

    def state_from_dict(self, values: Mapping[str, Any]) -> State:
        """The state that `state_to_dict` wrote."""
        state_class: Any = type(self.init())
        state: State = state_class(**values)
        return state


class RuleRunner:
    """A rule together with its state: `update(epoch, metrics)` for as long as it returns None."""

    def __init__(self, rule: Rule[Any]) -> None:
        self.rule = rule
        self.state = rule.init()

    def update(self, epoch: int, metrics: Metrics) -> Verdict | None:
        self.state, verdict = self.rule.update(self.state, epoch, metrics)
        return verdict

    def progress(self) -> str:
        return self.rule.progress(self.state)


def monitored(metrics: Mapping[str, Value], name: str, epoch: int) -> Value:
    """The value of a metric, or an error that names the metrics there are."""
    try:
        return metrics[name]
    except KeyError:
        recorded = ", ".join(sorted(metrics)) or "none"
        raise MetricError(f"epoch {epoch} has no metric {name!r}; recorded metrics: {recorded}") from None


def non_finite(epoch: int, name: str, value: float) -> Verdict | None:
    """The verdict that ends a run whose metric is NaN or infinite, None where it is finite."""
    if math.isfinite(value):
        return None
    return Verdict("non_finite", f"{name} is {value}", epoch)


def first_true(mask: NDArray[Any]) -> int | None:
    """The index of the first True, None where there is none."""
    index = int(mask.argmax()) if len(mask) else 0
    return index if len(mask) and mask[index] else None


def finite_part(columns: Columns, names: tuple[str, ...]) -> tuple[int, Verdict | None]:
    """How many epochs pass until one of some metrics is NaN or infinite, and the verdict that ends the run there.

    Raises:
        MetricError: a metric is missing.
    """
    values = [monitored(columns, name, 1) for name in names]
    broken = first_true(np.any(~np.isfinite(np.stack(values)), axis=0))
    if broken is None:
        return len(values[0]), None
    verdicts = (non_finite(broken + 1, name, float(column[broken])) for name, column in zip(names, values, strict=True))
    return broken, next(verdict for verdict in verdicts if verdict)


Direction = Literal["min", "max"]

_LOWER_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "perplexity")
_HIGHER_IS_BETTER = ("accuracy", "acc", "auc", "precision", "recall", "f1", "r2", "iou")


def natural_direction(metric: str) -> Direction | None:
    """The better direction of a metric by its name, or None where the name does not tell.

    The last word decides, so `val_loss`, `hinge_loss` and `top_k_error` are lower, `test_binary_accuracy` is higher.
    """
    word = metric.lower().rsplit("_", 1)[-1]
    if word in _LOWER_IS_BETTER:
        return "min"
    if word in _HIGHER_IS_BETTER:
        return "max"
    return None


def resolve_direction(metric: str, mode: str, *, setting: str = "mode") -> Direction:
    """The direction that a mode names: `min` and `max` as they say, `auto` by the metric's name.

    Raises:
        ConfigError: the mode is none of the three, or is `auto` and the name does not tell.
    """
    if mode == "min" or mode == "max":
        return mode  # type: ignore[return-value]
    if mode != "auto":
        raise ConfigError(setting, mode, "'auto', 'min' or 'max'")
    natural = natural_direction(metric)
    if natural is None:
        expected = f"'min' or 'max', because the name {metric!r} does not tell which is better"
        raise ConfigError(setting, mode, expected)
    return natural


def mode_warning(metric: str, mode: str) -> str | None:
    """A warning where a mode says the opposite of what the metric's name says, else None."""
    natural = natural_direction(metric)
    if natural is None or mode in ("auto", natural):
        return None
    lower_or_higher = "lower" if natural == "min" else "higher"
    return f"mode {mode!r} contradicts the metric {metric!r}, which is better when {lower_or_higher}"


def is_below(value: float, other: float) -> bool:
    """Whether a value is less than another, in float32, as metrics are computed and as Keras compares them.

    In float64, digits that no metric has would decide ties: those of a mean that Python took, or of a `min_delta` such
    as 0.001, which no binary number is.
    """
    return c_float(value).value < c_float(other).value
