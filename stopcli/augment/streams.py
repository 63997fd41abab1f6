"""Streams of randomness within a step, each a pure function of the step's seed."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from stopcli.seeding import derive_seed

Tensor = Any


def fold_in(seed: Tensor, name: str) -> Tensor:
    """A seed for one purpose.

    Args:
        seed: int32, shape [2].
        name: what it is for. Two purposes of one step need two names.

    Returns:
        int32, shape [2]: another key of the Philox generator, whose keys give unrelated numbers.
    """
    return tf.bitwise.bitwise_xor(seed, tf.constant([derive_seed(0, "augment", name), 0], tf.int32))


def uniform(shape: Any, seed: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), float32, multiples of 2⁻²⁴.

    Made of whole numbers: TensorFlow's kernel and XLA draw the same of these, but not the same floating-point numbers.
    """
    return tf.cast(random_integers(shape, seed, 0, 1 << 24), tf.float32) * 2.0**-24


def random_integers(shape: Any, seed: Tensor, low: int, high: int) -> Tensor:
    """Uniform whole numbers low … high − 1, int32."""
    return tf.random.stateless_uniform(shape, seed, low, high, tf.int32, alg="philox")
