"""The order in which an epoch takes the rows, and how it is cut into batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Tensor = Any


def epoch_order(order_seed: Tensor, epoch: Tensor, rows: int) -> Tensor:
    """The order in which an epoch takes the rows: a permutation drawn from (seed, epoch) alone.

    Args:
        order_seed: scalar int32, ≥ 0.
        epoch: scalar int32, counted from 1.
        rows: how many rows there are.

    Returns:
        int32, shape [rows]. The same eagerly, in a graph and under XLA, because the Philox generator is named.
    """
    seed = tf.stack([order_seed, epoch])
    keys = tf.random.stateless_uniform([rows], seed, minval=None, maxval=None, dtype=tf.int32, alg="philox")
    return tf.argsort(keys, stable=True)


def fold_batches(rows: int, batch: int, body: Callable[[Tensor, int, Any], Any], carry: Any) -> Any:
    """Fold over consecutive batches: `carry = body(start, size, carry)`, the smaller last batch included.

    Sizes are Python ints, because XLA needs every shape when it compiles; only the place where a batch starts moves.
    """
    full, rest = divmod(rows, batch)
    if full == 1:
        carry = body(tf.constant(0), batch, carry)
    elif full > 1:
        _, carry = tf.while_loop(
            lambda i, _: i < full,
            lambda i, c: (i + 1, body(i * batch, batch, c)),
            (tf.constant(0), carry),
        )
    return body(tf.constant(full * batch), rest, carry) if rest else carry


def rows_at(values: Tensor, start: Tensor, size: int) -> Tensor:
    """`size` rows of a tensor from `start` on, with a shape that is known when the function is compiled."""
    if size == values.shape[0]:
        return values
    rest = values.shape[1:]
    return tf.slice(values, [start, *[0] * len(rest)], [size, *rest])


def even_batch(rows: int, most: int) -> int:
    """A batch size of at most `most` that leaves no smaller last batch, where there is one of at least half of that.

    Every other size of a batch is one more function to compile.
    """
    if rows <= most:
        return rows
    return next((size for size in range(most, most // 2, -1) if rows % size == 0), most)
