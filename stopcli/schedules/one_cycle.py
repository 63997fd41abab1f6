"""One cycle (Smith and Topin 2017, arXiv 1708.07120): a rise to a high learning rate, a long fall to almost none."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stopcli")
class OneCycleLR(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that rises from maximum / 25 to its maximum and falls to almost nothing, both along a cosine.

    As PyTorch's `OneCycleLR` with `anneal_strategy="cos"`: the rise ends at update ``rise · steps − 1`` and the fall at
    ``steps − 1``, counted from 0; from `a` to `b`, at share p of the way, the rate is ``b + (a − b)/2 · (1 + cos πp)``.
    Updates beyond the last stay at its rate.

    Args:
        maximum: the highest rate, > 0.
        steps: updates in all, ≥ 2.
        rise: the share of them on the way up, in (0, 1).
        start_divisor: the first rate is the maximum divided by this, > 1.
        end_divisor: the last rate is the first one divided by this, ≥ 1.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self, maximum: float, steps: int, rise: float = 0.3, start_divisor: float = 25.0, end_divisor: float = 1e4
    ) -> None:
        super().__init__()
        if not 0 < maximum < math.inf:
            raise ValueError(f"maximum: received {maximum!r}, expected a number > 0")
        if steps < 2:
            raise ValueError(f"steps: received {steps!r}, expected ≥ 2")
        if not 0 < rise < 1:
            raise ValueError(f"rise: received {rise!r}, expected a number in (0, 1)")
        if not (1 < start_divisor < math.inf and 1 <= end_divisor < math.inf):
            raise ValueError(
                f"start_divisor, end_divisor: received {start_divisor!r}, {end_divisor!r}, expected > 1 and ≥ 1"
            )
        if rise * steps <= 1:
            raise ValueError(f"rise: received {rise!r} of {steps} updates, expected more than one of them")
        self.maximum, self.steps, self.rise = maximum, steps, rise
        self.start_divisor, self.end_divisor = start_divisor, end_divisor

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update after `step` others, float32."""
        first = self.maximum / self.start_divisor
        last = first / self.end_divisor
        rising, height = self._height(step)
        low = ops.where(rising, ops.full_like(height, first), ops.full_like(height, last))
        return ops.cast(low + (self.maximum - low) * height, "float32")

    def height(self, step: Any) -> Any:
        """How far the rate is from its lowest to its maximum, at the update after `step` others; float64, 0 to 1."""
        return self._height(step)[1]

    def _height(self, step: Any) -> tuple[Any, Any]:
        it = ops.minimum(ops.cast(step, "float64"), float(self.steps - 1))
        top, end = self.rise * self.steps - 1, float(self.steps - 1)
        rising = it <= top
        share = ops.where(rising, it / top, (end - it) / (end - top))
        return rising, (1 - ops.cos(math.pi * share)) / 2

    def get_config(self) -> dict[str, Any]:
        return {
            "maximum": self.maximum,
            "steps": self.steps,
            "rise": self.rise,
            "start_divisor": self.start_divisor,
            "end_divisor": self.end_divisor,
        }
