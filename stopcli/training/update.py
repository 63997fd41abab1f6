"""An update of weights by a Keras optimizer, with a momentum that may change from one to the next."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

Tensor = Any


class _MomentumTensor:
    """A momentum that is a tensor, while an update is traced.

    Keras compares its momentum with 0, which a tensor of a graph does not allow, and then casts it.
    """

    def __init__(self, value: Tensor) -> None:
        self._value = value

    def __ne__(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Tensor:
        return tf.convert_to_tensor(self._value, dtype, name=name)


@contextlib.contextmanager
def scheduled_momentum(optimizer: keras.optimizers.Optimizer, momentum: Tensor | None) -> Iterator[None]:
    """Have the updates that the block traces use a momentum; afterwards the optimizer is as it was.

    Args:
        optimizer: `keras.optimizers.SGD` with a momentum > 0, or one that scales the loss for it.
        momentum: scalar float32; None to leave the optimizer's as it is.
    """
    if momentum is None:
        yield
        return
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    constant = inner.momentum
    inner.momentum = _MomentumTensor(momentum)
    try:
        yield
    finally:
        inner.momentum = constant


def apply_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[Tensor], weights: Sequence[Any], momentum: Tensor | None
) -> Tensor:
    """Update some weights, by a momentum where one is passed.

    Returns:
        The learning rate of the update, scalar float32.
    """
    # A copy of the rate as it is before the update, which may move it on.
    learning_rate = tf.identity(tf.cast(optimizer.learning_rate, tf.float32))
    with scheduled_momentum(optimizer, momentum):
        optimizer.apply(gradients, weights)
    return learning_rate
