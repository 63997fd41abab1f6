"""Rules that look at one epoch at a time: a value that is reached, a value that is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ctypes import c_float
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stopcli.errors import ConfigError
from stopcli.stopping.rule import MetricRule, NoState, Verdict, first_true, resolve_direction

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Threshold(MetricRule[NoState]):
    """Stop at the first epoch whose metric reaches a value: ≤ it where lower is better, ≥ it where higher is.

    Args:
        value: the value to reach, finite.
        monitor: the metric's name.
        mode: `min`, `max`, or `auto` by the metric's name.
    """

    kind = "threshold"
    keyword = "threshold"
    example = "threshold:0.3"
    label = "threshold"
    marker = "v"
    sentences = (("threshold", "the threshold was reached"),)
    margin_from = "the threshold"

    value: float
    monitor: str = "val_loss"
    mode: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lower", resolve_direction(self.monitor, self.mode) == "min")
        if not (isinstance(self.value, (int, float)) and math.isfinite(self.value)):
            raise ConfigError("threshold", self.value, "a finite number")

    def decide(self, state: NoState, epoch: int, values: Sequence[float]) -> tuple[NoState, Verdict | None]:
        reached = self._reached(c_float(values[0]).value, c_float(self.value).value)
        return state, self._verdict(epoch, values[0]) if reached else None

    def scan(self, columns: Sequence[NDArray[Any]]) -> Verdict | None:
        import numpy as np

        # A recording of another program may have numbers beyond float32.
        with np.errstate(over="ignore"):
            values, threshold = columns[0].astype(np.float32), np.float32(self.value)
        index = first_true(self._reached(values, threshold))
        return None if index is None else self._verdict(index + 1, float(columns[0][index]))

    def _reached(self, value: Any, threshold: Any) -> Any:
        # In float32, as metrics are computed: 63 of 70 right are 0.9.
        return value <= threshold if self._lower else value >= threshold  # type: ignore[attr-defined]

    def _verdict(self, epoch: int, value: float) -> Verdict:
        return Verdict(self.kind, self.describe(), epoch, 0, epoch, value, abs(value - self.value), self.monitor)

    def describe(self) -> str:
        return f"{self.monitor} threshold={self.value:g}"


@dataclass(frozen=True)
class NonFinite(MetricRule[NoState]):
    """End a run as soon as one of its metrics is NaN or infinite.

    Args:
        metrics: the names of the metrics to check, at least one.
    """

    kind = "non_finite"

    metrics: tuple[str, ...] = ("loss",)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError("metrics", self.metrics, "the names of one metric or more")
        object.__setattr__(self, "metrics", tuple(self.metrics))

    @property
    def monitors(self) -> tuple[str, ...]:
        return self.metrics

    def decide(self, state: NoState, epoch: int, values: Sequence[float]) -> tuple[NoState, Verdict | None]:
        return state, None

    def scan(self, columns: Sequence[NDArray[Any]]) -> Verdict | None:
        return None

    def describe(self) -> str:
        return "every metric finite"
