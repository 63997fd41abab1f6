"""Which epoch is the best: the raw best value of a metric, whatever a rule's tolerance says."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from stopcli.stopping.rule import Columns, Metrics, is_below, monitored, resolve_direction

if TYPE_CHECKING:
    from numpy.typing import NDArray


class BestState(NamedTuple):
    """Epoch 0 and None mean that there is no best epoch yet."""

    epoch: int = 0
    value: float | None = None


@dataclass(frozen=True)
class BestEpoch:
    """The epoch with the best value of a metric, the first of several with the same value.

    A value that is NaN or infinite is never the best. Values are compared in float32, as the rules compare them.

    Args:
        monitor: the metric's name.
        mode: `min`, `max`, or `auto` by the metric's name.
        start_from_epoch: so many epochs at the beginning do not count, ≥ 0.
    """

    monitor: str
    mode: str = "auto"
    start_from_epoch: int = 0

    def __post_init__(self) -> None:
        # Resolved once: `update` is called for every epoch of every replayed run.
        object.__setattr__(self, "_lower", resolve_direction(self.monitor, self.mode) == "min")

    def update(self, state: BestState, epoch: int, metrics: Metrics) -> BestState:
        """The best epoch so far. `epoch` is counted from 1, each once and in order."""
        value = monitored(metrics, self.monitor, epoch)
        if epoch <= self.start_from_epoch or not math.isfinite(value):
            return state
        if state.value is None or self.is_better(value, state.value):
            return BestState(epoch, value)
        return state

    def epochs(self, columns: Columns) -> NDArray[Any]:
        """The best epoch so far after each epoch of a run, as `update` has it; 0 before there is one.

        Raises:
            MetricError: the metric is missing.
        """
        import numpy as np

        values = monitored(columns, self.monitor, 1)
        counts = np.arange(1, len(values) + 1)
        counted = np.isfinite(values) & (counts > self.start_from_epoch)
        # Beyond float32 is infinity, as in `is_below`.
        with np.errstate(over="ignore"):
            keys = (values if self._lower else -values).astype(np.float32)  # type: ignore[attr-defined]
        keys = np.where(counted, keys, np.float32(np.inf))
        best_before = np.concatenate(([np.inf], np.minimum.accumulate(keys)[:-1]))[: len(keys)]
        # There is nothing yet that the first would have to be better than.
        better = (keys < best_before) | (counted & (np.cumsum(counted) == 1))
        so_far: NDArray[Any] = np.maximum.accumulate(np.where(better, counts, 0))
        return so_far

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values: `BestEpoch(**values)`, and `BestState(**state._asdict())` for a state."""
        return asdict(self)

    def is_better(self, value: float, than: float) -> bool:
        return is_below(value, than) if self._lower else is_below(than, value)  # type: ignore[attr-defined]
