"""The optimizers that a command line can name."""

from __future__ import annotations

import keras


def make_optimizer(
    name: str, learning_rate: float, momentum: float = 0.0, *, nesterov: bool = False
) -> keras.optimizers.Optimizer:
    """A Keras optimizer with Keras's defaults but for these settings.

    Args:
        name: `sgd`, `rmsprop` or `adam` (checked by the config).
        learning_rate: > 0.
        momentum: of `sgd`, in [0, 1); the others do without it.
        nesterov: whether that of `sgd` is Nesterov's.
    """
    if name == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum, nesterov, name=name)
    classes = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}
    return classes[name](learning_rate=learning_rate, name=name)
