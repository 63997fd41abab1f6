"""Whether a metric is better when it is lower or when it is higher."""

from __future__ import annotations

from ctypes import c_float
from typing import Literal

from stopcli.errors import ConfigError

Direction = Literal["min", "max"]

_LOWER_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "perplexity")
_HIGHER_IS_BETTER = ("accuracy", "acc", "auc", "precision", "recall", "f1", "r2", "iou")


def natural_direction(metric: str) -> Direction | None:
    """The better direction of a metric by its name, or None where the name does not tell.

    The last word decides, so `val_loss`, `hinge_loss` and `top_k_error` are lower, `test_binary_accuracy` is higher.
    """
    word = metric.lower().rsplit("_", 1)[-1]
    if word in _LOWER_IS_BETTER:
        return "min"
    if word in _HIGHER_IS_BETTER:
        return "max"
    return None


def resolve_direction(metric: str, mode: str, *, setting: str = "mode") -> Direction:
    """The direction that a mode names: `min` and `max` as they say, `auto` by the metric's name.

    Raises:
        ConfigError: the mode is none of the three, or is `auto` and the name does not tell.
    """
    if mode == "min" or mode == "max":
        return mode  # type: ignore[return-value]
    if mode != "auto":
        raise ConfigError(setting, mode, "'auto', 'min' or 'max'")
    natural = natural_direction(metric)
    if natural is None:
        expected = f"'min' or 'max', because the name {metric!r} does not tell which is better"
        raise ConfigError(setting, mode, expected)
    return natural


def mode_warning(metric: str, mode: str) -> str | None:
    """A warning where a mode says the opposite of what the metric's name says, else None."""
    natural = natural_direction(metric)
    if natural is None or mode in ("auto", natural):
        return None
    lower_or_higher = "lower" if natural == "min" else "higher"
    return f"mode {mode!r} contradicts the metric {metric!r}, which is better when {lower_or_higher}"


def is_below(value: float, other: float) -> bool:
    """Whether a value is less than another, in float32, as metrics are computed and as Keras compares them.

    In float64, digits that no metric has would decide ties: those of a mean that Python took, or of a `min_delta` such
    as 0.001, which no binary number is.
    """
    return c_float(value).value < c_float(other).value
