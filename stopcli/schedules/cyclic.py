"""Cyclical learning rates (L. Smith, arXiv 1506.01186) as a Keras schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import keras
from keras import ops

from stopcli.schedules.named import check_named, from_saved, to_saved

CyclicMode = Literal["triangular", "triangular2", "exp_range"]
ScaleBy = Literal["cycle", "iteration"]


@keras.saving.register_keras_serializable(package="stopcli")
class CyclicLR(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that rises from a base to a maximum and falls back, again and again.

    With it the number of updates that were made before, and s the step size::

        cycle = ⌊1 + it / (2s)⌋            x = |it/s − 2·cycle + 1|
        rate  = base + (maximum − base) · max(0, 1 − x) · scale

    where scale is 1 (`triangular`), 1/2^(cycle − 1) (`triangular2`), gamma^it (`exp_range`), or a function of one's
    own. The first update runs at the base. With `step_size_down`, the way down has another length than the way up, as
    in PyTorch's `CyclicLR`.

    Args:
        base: the lowest rate, ≥ 0.
        maximum: the highest rate, > base.
        step_size: updates from base to maximum, ≥ 1; 2 to 8 epochs' updates in practice.
        mode: `triangular`, `triangular2` or `exp_range`.
        gamma: of `exp_range`, in (0, 1].
        step_size_down: updates from maximum to base, ≥ 1; None for as many as up.
        scale: a function from the cycle (1, 2, …) or the iteration (0, 1, …), as a float64 tensor, to a factor of the
            cycle's height, in the place of the mode's. It has a name by which it is saved: a function of a module, or
            one that is registered with `keras.saving.register_keras_serializable`.
        scale_by: what `scale` is a function of: `cycle` or `iteration`.

    Raises:
        ValueError: an argument is out of its range, or `scale` is a lambda or a function within a function.

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
        scale: Callable[[Any], Any] | None = None,
        scale_by: ScaleBy = "cycle",
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
        if scale_by not in get_args(ScaleBy):
            raise ValueError(f"scale_by: received {scale_by!r}, expected one of {', '.join(get_args(ScaleBy))}")
        if scale is not None:
            check_named("scale", scale)
        self.base, self.maximum, self.step_size, self.mode = base, maximum, step_size, mode
        self.gamma, self.step_size_down, self.scale, self.scale_by = gamma, step_size_down, scale, scale_by

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update after `step` others, float32."""
        return ops.cast(self.base + (self.maximum - self.base) * self.height(step), "float32")

    def height(self, step: Any) -> Any:
        """How far the rate is from base to maximum, scaled, at the update after `step` others; float64, from 0 to 1."""
        # In float64: a float32 count of updates divided by a step size is off by more than 1e-7 after some thousands.
        it = ops.cast(step, "float64")
        up = float(self.step_size)
        down = float(self.step_size_down or self.step_size)
        cycle = ops.floor(it / (up + down))
        at = it - cycle * (up + down)
        height = ops.where(at <= up, at / up, (up + down - at) / down)
        if self.scale is not None:
            return height * ops.cast(self.scale(cycle + 1 if self.scale_by == "cycle" else it), "float64")
        if self.mode == "triangular2":
            return height * ops.power(_double(0.5), cycle)
        if self.mode == "exp_range":
            return height * ops.power(_double(self.gamma), it)
        return height

    def get_config(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "maximum": self.maximum,
            "step_size": self.step_size,
            "mode": self.mode,
            "gamma": self.gamma,
            "step_size_down": self.step_size_down,
            "scale": to_saved(self.scale),
            "scale_by": self.scale_by,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CyclicLR:
        return cls(**{**config, "scale": from_saved(config.get("scale"))})


def _double(value: float) -> Any:
    # `ops.cast` would take the number through float32.
    return ops.convert_to_tensor(value, dtype="float64")
