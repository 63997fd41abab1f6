"""Momentum that falls where a cyclical learning rate rises (L. Smith, arXiv 1803.09820, section 4.3)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stopcli")
class CyclicMomentum:
    """``high − (high − low) · height``, with the height of a cyclical learning rate, as in PyTorch's `CyclicLR`.

    Args:
        schedule: a `CyclicLR` or a `OneCycleLR`, which the momentum mirrors.
        low, high: 0 ≤ low < high < 1.

    Raises:
        ValueError: the bounds are out of order, or the schedule has no cycles.
    """

    def __init__(self, schedule: Any, low: float = 0.8, high: float = 0.9) -> None:
        if not 0 <= low < high < 1:
            raise ValueError(f"low, high: received {low!r}, {high!r}, expected 0 ≤ low < high < 1")
        if not hasattr(schedule, "height"):
            raise ValueError(f"schedule: received {type(schedule).__name__}, expected CyclicLR or OneCycleLR")
        self.schedule, self.low, self.high = schedule, low, high

    def __call__(self, step: Any) -> Any:
        """The momentum of the update after `step` others, float32."""
        return ops.cast(self.high - (self.high - self.low) * self.schedule.height(step), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "low": self.low,
            "high": self.high,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CyclicMomentum:
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})
