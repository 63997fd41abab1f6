"""The optimizers that a command line can name."""

from __future__ import annotations

import keras


def make_optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """A Keras optimizer with Keras's defaults but for the learning rate.

    Args:
        name: `sgd`, `rmsprop` or `adam` (checked by the config).
        learning_rate: > 0.
    """
    classes = {"sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}
    return classes[name](learning_rate=learning_rate, name=name)
