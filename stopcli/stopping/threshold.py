"""Rules that look at one epoch alone: a value that was reached, a value that is no number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from stopcli.errors import ConfigError
from stopcli.stopping.rule import (
    Columns,
    Metrics,
    Rule,
    Verdict,
    finite_part,
    first_true,
    monitored,
    non_finite,
    resolve_direction,
)


class NoState(NamedTuple):
    """The state of a rule that remembers nothing."""


@dataclass(frozen=True)
class Threshold(Rule[NoState]):
    """Stop at the first epoch whose metric reaches a value: ≤ it where lower is better, ≥ it where higher is.

    Args:
        value: the value to reach, finite.
        monitor: the metric's name.
        mode: `min`, `max`, or `auto` by the metric's name.
    """

    kind: ClassVar[str] = "threshold"

    value: float
    monitor: str = "val_loss"
    mode: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_lower", resolve_direction(self.monitor, self.mode) == "min")
        if not (isinstance(self.value, (int, float)) and math.isfinite(self.value)):
            raise ConfigError("threshold", self.value, "a finite number")

    @property
    def monitors(self) -> tuple[str, ...]:
        return (self.monitor,)

    def init(self) -> NoState:
        return NoState()

    def update(self, state: NoState, epoch: int, metrics: Metrics) -> tuple[NoState, Verdict | None]:
        value = monitored(metrics, self.monitor, epoch)
        broken = non_finite(epoch, self.monitor, value)
        if broken is not None:
            return state, broken
        reached = value <= self.value if self._lower else value >= self.value  # type: ignore[attr-defined]
        return state, self._verdict(epoch, value) if reached else None

    def first_stop(self, columns: Columns) -> Verdict | None:
        epochs, broken = finite_part(columns, self.monitors)
        values = columns[self.monitor][:epochs]
        reached = values <= self.value if self._lower else values >= self.value  # type: ignore[attr-defined]
        index = first_true(reached)
        return broken if index is None else self._verdict(index + 1, float(values[index]))

    def _verdict(self, epoch: int, value: float) -> Verdict:
        return Verdict(self.kind, self.describe(), epoch, 0, epoch, value, margin=abs(value - self.value))

    def describe(self) -> str:
        return f"{self.monitor} threshold={self.value:g}"


@dataclass(frozen=True)
class NonFinite(Rule[NoState]):
    """End a run as soon as one of its metrics is NaN or infinite.

    Args:
        metrics: the names of the metrics to watch, at least one.
    """

    kind: ClassVar[str] = "non_finite"

    metrics: tuple[str, ...] = ("loss",)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ConfigError("metrics", self.metrics, "the names of one metric or more")
        object.__setattr__(self, "metrics", tuple(self.metrics))

    @property
    def monitors(self) -> tuple[str, ...]:
        return self.metrics

    def init(self) -> NoState:
        return NoState()

    def update(self, state: NoState, epoch: int, metrics: Metrics) -> tuple[NoState, Verdict | None]:
        for name in self.metrics:
            verdict = non_finite(epoch, name, monitored(metrics, name, epoch))
            if verdict is not None:
                return state, verdict
        return state, None

    def first_stop(self, columns: Columns) -> Verdict | None:
        return finite_part(columns, self.metrics)[1]

    def describe(self) -> str:
        return "every metric finite"
