"""Rules on smoothed metrics: an exponential moving average, corrected for its start at 0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from ctypes import c_float
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from stopcli.errors import ConfigError
from stopcli.stopping.rule import Columns, Rule, Verdict, finite_part, monitored, non_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class SmoothedState(NamedTuple):
    """The averages so far, and the state of the rule that sees them.

    Attributes:
        weight: that all values so far have in the averages, in [0, 1): 1 − smooth^t after t epochs.
        averages: of each metric, not corrected yet; empty before the first epoch.
        rule: the rule's state.
    """

    weight: float
    averages: tuple[float, ...]
    rule: Any


class RunColumns(dict[str, "NDArray[Any]"]):
    """A run's columns that remember what was smoothed of them, for many rules on one run. They must not be changed."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        self._smoothed: dict[tuple[str, float], NDArray[Any]] = {}

    def smoothed(self, name: str, smooth: float) -> NDArray[Any]:
        """A metric smoothed, float32 values as float64, shape [epochs]; from a value that is not finite on, NaN."""
        import numpy as np

        key = (name, smooth)
        if key not in self._smoothed:
            values = _smoothed(monitored(self, name, 1).tolist(), smooth)
            with np.errstate(over="ignore"):
                self._smoothed[key] = np.array(values, np.float64).astype(np.float32).astype(np.float64)
        return self._smoothed[key]


def _smoothed(values: Iterable[float], smooth: float) -> list[float]:
    """Every value smoothed with those before it, by the very operations of `SmoothedRule.update`.

    A recursive filter of a library may add in another order, or round once where this rounds twice.
    """
    rest, average, weight = 1 - smooth, 0.0, 0.0
    averages = []
    for value in values:
        average = smooth * average + rest * value
        weight = smooth * weight + rest
        averages.append(average / weight)
    return averages


@dataclass(frozen=True)
class SmoothedRule(Rule[SmoothedState]):
    """A rule that sees its metrics smoothed: an exponential moving average, corrected for its start at 0.

    With x the values and β the smoothing, after epoch t::

        s(t) = β · s(t − 1) + (1 − β) · x(t),  s(0) = 0
        smoothed(t) = s(t) / (1 − β^t)

    as in Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1) and in TensorBoard. Smoothed values are rounded to float32,
    as metrics are. All epochs are smoothed, also those that a rule ignores with `start_from_epoch`. A metric that is
    NaN or infinite ends the run in any case.

    The verdict's best epoch, best value and margin are those of the smoothed values.

    Args:
        rule: the rule.
        smooth: β, 0 ≤ β < 1. The average is over some 1 / (1 − β) epochs.

    Raises:
        ConfigError: `smooth` is out of its range.
    """

    kind = "smoothed"

    rule: Rule[Any]
    smooth: float

    def __post_init__(self) -> None:
        if isinstance(self.smooth, bool) or not (isinstance(self.smooth, (int, float)) and 0 <= self.smooth < 1):
            raise ConfigError("smooth", self.smooth, "a number ≥ 0 and < 1, such as 0.9")

    @property
    def monitors(self) -> tuple[str, ...]:
        return self.rule.monitors

    @property
    def family(self) -> str:
        return self.rule.family

    @property
    def parts(self) -> tuple[Rule[Any], ...]:
        parts = self.rule.parts
        return (self,) if parts == (self.rule,) else tuple(SmoothedRule(part, self.smooth) for part in parts)

    @property
    def simple_rules(self) -> tuple[Rule[Any], ...]:
        return self.rule.simple_rules

    @property
    def earliest_stop(self) -> int:
        return self.rule.earliest_stop

    def init(self) -> SmoothedState:
        return SmoothedState(0.0, (), self.rule.init())

    def update(
        self, state: SmoothedState, epoch: int, metrics: Mapping[str, float]
    ) -> tuple[SmoothedState, Verdict | None]:
        values = [monitored(metrics, name, epoch) for name in self.monitors]
        if not all(map(math.isfinite, values)):
            return state, non_finite(epoch, self.monitors, values)
        smooth, rest = self.smooth, 1 - self.smooth
        before = state.averages or (0.0,) * len(values)
        averages = tuple(smooth * average + rest * value for average, value in zip(before, values, strict=True))
        weight = smooth * state.weight + rest
        smoothed = {
            name: c_float(average / weight).value for name, average in zip(self.monitors, averages, strict=True)
        }
        rule_state, verdict = self.rule.update(state.rule, epoch, smoothed)
        return SmoothedState(weight, averages, rule_state), verdict and self._of_smoothed(verdict)

    def first_stop(self, columns: Columns) -> Verdict | None:
        epochs, broken = finite_part(columns, self.monitors)
        memory = columns if isinstance(columns, RunColumns) else RunColumns(columns)
        verdict = self.rule.first_stop({name: memory.smoothed(name, self.smooth)[:epochs] for name in self.monitors})
        return self._of_smoothed(verdict) if verdict else broken

    def _of_smoothed(self, verdict: Verdict) -> Verdict:
        """A verdict that says what it is on."""
        if verdict.reason == "non_finite":
            return verdict
        metric = verdict.metric and f"smoothed {verdict.metric}"
        return replace(verdict, rule=self._described(verdict.rule), metric=metric)

    def _described(self, text: str) -> str:
        return f"smoothed {text} smooth={self.smooth:g}"

    def describe(self) -> str:
        return self._described(self.rule.describe())

    def progress(self, state: SmoothedState) -> str:
        text = self.rule.progress(state.rule)
        return text and f"smoothed {text}"

    def state_to_dict(self, state: SmoothedState) -> dict[str, Any]:
        return {**state._asdict(), "rule": self.rule.state_to_dict(state.rule)}

    def state_from_dict(self, values: Mapping[str, Any]) -> SmoothedState:
        averages: Sequence[float] = values["averages"]
        return SmoothedState(values["weight"], tuple(averages), self.rule.state_from_dict(values["rule"]))
