"""A learning rate that rises from a small value to a large one: the range test of L. Smith (arXiv 1506.01186, 3.3)."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import keras
from keras import ops

RampMode = Literal["exponential", "linear"]


@keras.saving.register_keras_serializable(package="stopcli")
class RampLR(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that goes from one value to another and stays there.

    At update it of n (from 0): ``first · (last/first)^(it/(n − 1))`` (`exponential`) or ``first + (last − first) ·
    it/(n − 1)`` (`linear`).

    Args:
        first, last: the rates of the first and the last update, > 0.
        steps: updates, ≥ 2.
        mode: `exponential` or `linear`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, first: float, last: float, steps: int, mode: RampMode = "exponential") -> None:
        super().__init__()
        if not (0 < first < math.inf and 0 < last < math.inf):
            raise ValueError(f"first, last: received {first!r}, {last!r}, expected numbers > 0")
        if steps < 2:
            raise ValueError(f"steps: received {steps!r}, expected ≥ 2")
        if mode not in get_args(RampMode):
            raise ValueError(f"mode: received {mode!r}, expected one of {', '.join(get_args(RampMode))}")
        self.first, self.last, self.steps, self.mode = first, last, steps, mode

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update after `step` others, float32."""
        share = ops.minimum(ops.cast(step, "float64") / float(self.steps - 1), 1.0)
        if self.mode == "linear":
            return ops.cast(self.first + (self.last - self.first) * share, "float32")
        return ops.cast(self.first * ops.exp(math.log(self.last / self.first) * share), "float32")

    def get_config(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last, "steps": self.steps, "mode": self.mode}
