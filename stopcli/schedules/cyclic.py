"""Schedules as Keras classes: cyclical learning rates and the momentum against them, one cycle, and a ramp."""

import inspect
import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import keras
from keras import ops


def check_named(argument: str, function: Callable[[Any], Any]) -> None:
    """Raise ValueError where a function could not be found again by its name.

    Args:
        argument: what it was given as, for the error.
    """
    name = getattr(function, "__qualname__", "")
    if keras.saving.get_registered_name(function) != getattr(function, "__name__", None):
        return
    if not name or "<" in name:
        what = "a lambda" if "<lambda>" in name else f"{name or type(function).__name__!r}"
        raise ValueError(
            f"{argument}: received {what}, expected a function of a module, or one that is registered with "
            "keras.saving.register_keras_serializable: it is saved by its name"
        )


class ConstructorConfig:
    """Saved by the arguments of its constructor, which are its attributes; functions and schedules by their names."""

    def get_config(self) -> dict[str, Any]:
        names = inspect.signature(type(self)).parameters
        return {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        restore = keras.saving.deserialize_keras_object
        return cls(**{name: restore(value) if isinstance(value, dict) else value for name, value in config.items()})


CyclicMode = Literal["triangular", "triangular2", "exp_range"]
ScaleBy = Literal["cycle", "iteration"]


@keras.saving.register_keras_serializable(package="stopcli")
class CyclicLR(ConstructorConfig, keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that rises from a base to a maximum and falls back, again and again.

    With it the number of updates that were made before, and s the step size::

        cycle = ⌊1 + it / (2s)⌋            x = |it/s − 2·cycle + 1|
        rate  = base + (maximum − base) · max(0, 1 − x) · scale

    where scale is 1 (`triangular`), 1/2^(cycle − 1) (`triangular2`), gamma^it (`exp_range`), or your own function. The
    first update runs at the base. With `step_size_down`, the way down has another length than the way up, as in
    PyTorch's `CyclicLR`.

    Args:
        base: the lowest rate, ≥ 0.
        maximum: the highest rate, > base.
        step_size: updates from base to maximum, ≥ 1; 2 to 8 epochs' updates in practice.
        mode: `triangular`, `triangular2` or `exp_range`.
        gamma: of `exp_range`, in (0, 1].
        step_size_down: updates from maximum to base, ≥ 1; None for as many as up.
        scale: a function from the cycle (1, 2, …) or the iteration (0, 1, …), as a float64 tensor, to a factor of the
            cycle's height, instead of the mode's. It is saved by its name, so it is a function of a module, or
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


def _double(value: float) -> Any:
    # `ops.cast` would take the number through float32.
    return ops.convert_to_tensor(value, dtype="float64")


@keras.saving.register_keras_serializable(package="stopcli")
class CyclicMomentum(ConstructorConfig):
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


@keras.saving.register_keras_serializable(package="stopcli")
class OneCycleLR(ConstructorConfig, keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
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


RampMode = Literal["exponential", "linear"]


@keras.saving.register_keras_serializable(package="stopcli")
class RampLR(ConstructorConfig, keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
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
