"""Functions that are saved by their name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


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


def to_saved(function: Callable[[Any], Any] | None) -> Any:
    """What a config holds of it."""
    return None if function is None else keras.saving.serialize_keras_object(function)


def from_saved(saved: Any) -> Callable[[Any], Any] | None:
    """The function of a config."""
    if saved is None:
        return None
    function: Callable[[Any], Any] = keras.saving.deserialize_keras_object(saved)
    return function
