"""A momentum that is a tensor, for an optimizer of Keras's that knows a number alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

Tensor = Any


class _Traced:
    """Stands for a momentum while an update is traced.

    Keras asks whether its momentum is 0, which a tensor of a graph cannot answer, and then casts it.
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
def moving_momentum(optimizer: keras.optimizers.Optimizer, momentum: Tensor | None) -> Iterator[None]:
    """Have the updates that the block traces use a momentum; afterwards the optimizer is as it was.

    Args:
        optimizer: `keras.optimizers.SGD` with a momentum > 0, or one that scales the loss for it.
        momentum: scalar float32; None to leave the optimizer alone.
    """
    if momentum is None:
        yield
        return
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    kept = inner.momentum
    inner.momentum = _Traced(momentum)
    try:
        yield
    finally:
        inner.momentum = kept
