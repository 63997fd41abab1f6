"""Whether the learning rate and the momentum that a model is compiled with can be moved from update to update."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import ConfigError, RequestError

if TYPE_CHECKING:
    import keras


def check_rate_moves(model: keras.Model, file: Path) -> None:
    """Raise RequestError where nothing can move the learning rate of a compiled model, because its optimizer does that
    itself or has none."""
    import keras

    optimizer = _inner(model.optimizer)
    name = type(optimizer).__name__
    # As Keras keeps it: the property computes the schedule's current value.
    own = getattr(optimizer, "_learning_rate", None)
    if isinstance(own, keras.optimizers.schedules.LearningRateSchedule):
        raise RequestError(
            f"{file.name}: the model is compiled with a learning rate that moves by itself "
            f"({name} with {type(own).__name__}), expected a number: here it is moved from update to update",
            hint=f"Compile it with a number, such as keras.optimizers.{name}(learning_rate=0.001).",
        )
    if not hasattr(getattr(optimizer, "learning_rate", None), "assign"):
        raise RequestError(
            f"{file.name}: the model's optimizer, {name}, has no learning rate that could be moved",
            hint="Those of keras.optimizers have one.",
        )


def check_momentum_moves(model: keras.Model, min_momentum: float) -> float:
    """The momentum from which cycles go down. Raises ConfigError where the optimizer of a compiled model has none, or
    none above the lowest."""
    import keras

    optimizer = _inner(model.optimizer)
    if not isinstance(optimizer, keras.optimizers.SGD):
        expected = f"a model that is compiled with SGD: {type(optimizer).__name__} has no momentum to cycle"
        raise ConfigError("cycle_momentum", True, expected)
    momentum = float(optimizer.momentum)
    if min_momentum >= momentum:
        expected = f"less than the momentum that the model is compiled with ({momentum:g})"
        raise ConfigError("min_momentum", min_momentum, expected)
    return momentum


def _inner(optimizer: Any) -> Any:
    """The optimizer that one which scales the loss is around."""
    return getattr(optimizer, "inner_optimizer", optimizer)
