"""What the loop over short epochs computes: whole epochs as TensorFlow operations, traced once."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from stopcli.training.order import epoch_order, fold_batches, rows_at
from stopcli.training.traced_step import TracedStep

Tensor = Any

# Most epochs that one call can run: the size of the metrics' buffer in the compiled function.
CAPACITY = 4096
# Rows that are evaluated at a time. Enough for a full load, few enough that a wide layer's output fits in memory.
EVALUATION_BATCH = 4096


class TracedEpochs:
    """The function that an EpochsLoop compiles: some epochs of training and a row of metrics for each.

    Validation comes after an epoch's last update, as in Keras's `fit`.

    Args:
        step: what is done with a batch.
        batch_size: rows a step, at most the training rows.
        shuffle: whether each epoch has an order of its own.
    """

    def __init__(self, step: TracedStep, batch_size: int, shuffle: bool) -> None:
        self._step, self._batch_size, self._shuffle = step, batch_size, shuffle

    def __call__(self, first_epoch: Tensor, epochs: Tensor, order_seed: Tensor, data: list[Tensor]) -> Tensor:
        """Train `epochs` epochs from number `first_epoch` on.

        Args:
            first_epoch, epochs, order_seed: scalars, int32; epochs ≤ CAPACITY.
            data: x and y of the training rows, then of each watched part.

        Returns:
            float32, shape [CAPACITY, columns]; rows beyond `epochs` are zeros.
        """

        def body(i: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            row = self._epoch(first_epoch + i, order_seed, data)
            return i + 1, tf.tensor_scatter_nd_update(rows, [[i]], [row])

        rows = tf.zeros([CAPACITY, self._step.nothing.shape[0] * (len(data) // 2) + 1])
        _, rows = tf.while_loop(lambda i, _: i < epochs, body, (tf.constant(0), rows))
        return rows

    def _epoch(self, epoch: Tensor, order_seed: Tensor, data: list[Tensor]) -> Tensor:
        """One epoch and its row of metrics, float32 [columns]."""
        (x, y), watched = data[:2], data[2:]
        count = x.shape[0]
        steps = -(-count // self._batch_size)
        order = epoch_order(order_seed, epoch, count) if self._shuffle else None

        def train(start: Tensor, size: int, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            if order is None:
                batch = rows_at(x, start, size), rows_at(y, start, size)
            else:
                places = tf.slice(order, [start], [size])
                batch = tf.gather(x, places), tf.gather(y, places)
            update = (epoch - 1) * steps + start // self._batch_size
            sums, learning_rate = self._step.train(*batch, update, order_seed)
            return carry[0] + sums, learning_rate

        sums, learning_rate = fold_batches(count, self._batch_size, train, (self._step.nothing, tf.constant(0.0)))
        values = [self._step.finish(sums / count)]
        for vx, vy in zip(watched[::2], watched[1::2], strict=True):
            values.append(self._evaluate(vx, vy))
        return tf.concat([*values, [learning_rate]], axis=0)

    def _evaluate(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss and measures over rows that are not trained on, float32 [1 + measures]."""
        count = x.shape[0]

        def measure(start: Tensor, size: int, sums: Tensor) -> Tensor:
            return sums + self._step.evaluate(rows_at(x, start, size), rows_at(y, start, size))

        return self._step.finish(fold_batches(count, EVALUATION_BATCH, measure, self._step.nothing) / count)
