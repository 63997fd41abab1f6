"""Cyclical learning rates (L. Smith, arXiv 1506.01186) as a Keras schedule."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import keras
from keras import ops

CyclicMode = Literal["triangular", "triangular2", "exp_range"]


@keras.saving.register_keras_serializable(package="stopcli")
class CyclicLR(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that rises from a base to a maximum and falls back, again and again.

    With it the number of updates that were made before, and s the step size::

        cycle = ⌊1 + it / (2s)⌋            x = |it/s − 2·cycle + 1|
        rate  = base + (maximum − base) · max(0, 1 − x) · scale

    where scale is 1 (`triangular`), 1/2^(cycle − 1) (`triangular2`), or gamma^it (`exp_range`). The first update runs
    at the base. With `step_size_down`, the way down has another length than the way up, as in PyTorch's `CyclicLR`.

    Args:
        base: the lowest rate, ≥ 0.
        maximum: the highest rate, > base.
        step_size: updates from base to maximum, ≥ 1; 2 to 8 epochs' updates in practice.
        mode: `triangular`, `triangular2` or `exp_range`.
        gamma: of `exp_range`, in (0, 1].
        step_size_down: updates from maximum to base, ≥ 1; None for as many as up.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> rate = CyclicLR(0.1, 0.5, step_size=4)
        >>> [round(float(rate(it)), 2) for it in range(10)]
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1, 0.2]
    """

    def __init__(
        self,
        base: float,
        maximum: float,
        step_size: int,
        mode: CyclicMode = "triangular",
        gamma: float = 1.0,
        step_size_down: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= base < maximum < math.inf:
            raise ValueError(f"base, maximum: received {base!r}, {maximum!r}, expected 0 ≤ base < maximum")
        if step_size < 1 or (step_size_down is not None and step_size_down < 1):
            raise ValueError(f"step_size: received {step_size!r}, {step_size_down!r}, expected ≥ 1")
        if mode not in get_args(CyclicMode):
            raise ValueError(f"mode: received {mode!r}, expected one of {', '.join(get_args(CyclicMode))}")
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma: received {gamma!r}, expected a number in (0, 1]")
        self.base, self.maximum, self.step_size, self.mode = base, maximum, step_size, mode
        self.gamma, self.step_size_down = gamma, step_size_down

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update after `step` others, float32."""
        # In float64: a float32 count of updates divided by a step size is off by more than 1e-7 after some thousands.
        it = ops.cast(step, "float64")
        up = float(self.step_size)
        down = float(self.step_size_down or self.step_size)
        cycle = ops.floor(it / (up + down))
        at = it - cycle * (up + down)
        height = ops.where(at <= up, at / up, (up + down - at) / down)
        if self.mode == "triangular2":
            height = height * ops.power(_double(0.5), cycle)
        elif self.mode == "exp_range":
            height = height * ops.power(_double(self.gamma), it)
        return ops.cast(self.base + (self.maximum - self.base) * height, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "maximum": self.maximum,
            "step_size": self.step_size,
            "mode": self.mode,
            "gamma": self.gamma,
            "step_size_down": self.step_size_down,
        }


def _double(value: float) -> Any:
    # `ops.cast` would take the number through float32.
    return ops.convert_to_tensor(value, dtype="float64")
