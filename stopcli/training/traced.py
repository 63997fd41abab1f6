"""What the compiled loop computes: whole epochs as TensorFlow operations, traced once.

The mathematics is that of Keras's `fit`: a training metric is the mean over the epoch's batches as each was predicted
before its update, the smaller last batch counts by its rows, validation comes after the last update, the loss includes
the model's regularization.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from stopcli.training.measures import Measure

Tensor = Any

# Most epochs that one call can run: the size of the metrics' buffer in the compiled function.
CAPACITY = 4096
# Rows that are evaluated at a time. Enough for a full load, few enough that a wide layer's output fits in memory.
EVALUATION_BATCH = 4096


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


class TracedEpochs:
    """The function that a CompiledLoop compiles: some epochs of training and a row of metrics for each.

    Args:
        model, optimizer, loss, measures: as for CompiledLoop.
        batch_size: rows a step, at most the training rows.
        shuffle: whether each epoch has an order of its own.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        measures: Sequence[Measure],
        batch_size: int,
        shuffle: bool,
    ) -> None:
        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._measures, self._batch_size, self._shuffle = measures, batch_size, shuffle

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

        rows = tf.zeros([CAPACITY, (1 + len(self._measures)) * (len(data) // 2) + 1])
        _, rows = tf.while_loop(lambda i, _: i < epochs, body, (tf.constant(0), rows))
        return rows

    def _epoch(self, epoch: Tensor, order_seed: Tensor, data: list[Tensor]) -> Tensor:
        """One epoch and its row of metrics, float32 [columns]."""
        (x, y), watched = data[:2], data[2:]
        count = x.shape[0]
        order = epoch_order(order_seed, epoch, count) if self._shuffle else None

        def train(start: Tensor, size: int, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            if order is None:
                batch = rows_at(x, start, size), rows_at(y, start, size)
            else:
                places = tf.slice(order, [start], [size])
                batch = tf.gather(x, places), tf.gather(y, places)
            sums, learning_rate = self._train_step(*batch)
            return carry[0] + sums, learning_rate

        nothing = tf.zeros([1 + len(self._measures)])
        sums, learning_rate = fold_batches(count, self._batch_size, train, (nothing, tf.constant(0.0)))
        values = [self._finish(sums / count)]
        for vx, vy in zip(watched[::2], watched[1::2], strict=True):
            values.append(self._evaluate(vx, vy))
        return tf.concat([*values, [learning_rate]], axis=0)

    def _train_step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One update. Returns the sums over the batch's rows of loss and measures, and the learning rate."""
        weights = self._model.trainable_weights
        with tf.GradientTape() as tape:
            predictions = self._model(x, training=True)
            loss = self._total_loss(y, predictions)
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, weights)
        learning_rate = tf.cast(self._optimizer.learning_rate, tf.float32)
        # A copy of the rate as it is before the update, which moves a schedule on.
        learning_rate = tf.identity(learning_rate)
        self._optimizer.apply(gradients, weights)
        return self._sums(loss, y, predictions), learning_rate

    def _evaluate(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss and measures over rows that are not trained on, float32 [1 + measures]."""
        count = x.shape[0]

        def measure(start: Tensor, size: int, sums: Tensor) -> Tensor:
            targets = rows_at(y, start, size)
            predictions = self._model(rows_at(x, start, size), training=False)
            return sums + self._sums(self._total_loss(targets, predictions), targets, predictions)

        sums = fold_batches(count, EVALUATION_BATCH, measure, tf.zeros([1 + len(self._measures)]))
        return self._finish(sums / count)

    def _total_loss(self, targets: Tensor, predictions: Tensor) -> Tensor:
        loss = self._loss(targets, predictions)
        return tf.add_n([loss, *self._model.losses]) if self._model.losses else loss

    def _sums(self, loss: Tensor, targets: Tensor, predictions: Tensor) -> Tensor:
        rows = tf.cast(targets.shape[0], tf.float32)
        measured = [tf.reduce_sum(measure.per_row(targets, predictions)) for measure in self._measures]
        return tf.stack([tf.cast(loss, tf.float32) * rows, *measured])

    def _finish(self, means: Tensor) -> Tensor:
        finishes = [measure.finish for measure in self._measures]
        return tf.stack([means[0], *(finish(means[1 + i]) for i, finish in enumerate(finishes))])
