"""The loop over short epochs: many of them a call, every epoch's metrics, and the state of any epoch on demand.

So that the host can still stop at, and save, the very epoch that a rule names, a call is a pure function of the state
at its start: any epoch of it is had again by running the call up to there. The metrics of that second run are compared
with the first to the bit.

What the loop over short epochs computes: whole epochs as TensorFlow operations, traced once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.errors import ReplayError
from stopcli.seeding import derive_seed
from stopcli.training.loop import EpochBlock, Loop, State
from stopcli.training.session import CallSizer
from stopcli.training.step import Metric, TracedStep, epoch_order, fold_batches, rows_at, run_traced

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
        """Loss and metrics over rows that are not trained on, float32 [1 + metrics]."""
        count = x.shape[0]

        def measure(start: Tensor, size: int, sums: Tensor) -> Tensor:
            return sums + self._step.evaluate(rows_at(x, start, size), rows_at(y, start, size))

        return self._step.finish(fold_batches(count, EVALUATION_BATCH, measure, self._step.nothing) / count)


Tensor = Any


class EpochsLoop(Loop):
    """Trains a Keras model on rows in memory, many epochs a call.

    Args:
        model, optimizer, metrics: as for Loop.
        loss: (targets, predictions) → scalar, such as a `keras.losses.Loss`.
        train: the rows to train on.
        watched: rows to measure after every epoch, by the prefix of the metrics' names.
        batch_size: rows a step, ≥ 1. An epoch of one batch has no order: its rows are taken as they stand.
        seed: the run's seed, from which the order of each epoch is drawn.
        shuffle: whether each epoch has an order of its own.
        jit_compile: whether XLA compiles the function. It pays for small dense models, not for convolutions on a CPU.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        metrics: Iterable[Metric] = (),
        *,
        train: Examples,
        watched: Mapping[str, Examples] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        shuffle: bool = True,
        jit_compile: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"received batch_size {batch_size}, expected ≥ 1")
        metrics, watched = tuple(metrics), watched or {}
        batch_size = min(batch_size, train.count)
        super().__init__(model, optimizer, metrics, watched, train.batches(batch_size))
        # Data are arguments, not constants of the function: XLA would spend its compile time on folding them.
        self._data = [tf.constant(array) for rows in [train, *watched.values()] for array in (rows.x, rows.y)]
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)
        step = TracedStep(model, optimizer, loss, metrics)
        traced = TracedEpochs(step, batch_size, shuffle and batch_size < train.count)
        self._function = tf.function(traced.__call__, jit_compile=jit_compile, autograph=False)
        self._pacer = CallSizer(CAPACITY)

    def compile(self) -> None:
        self._run(1, 0)

    def advance(self, epoch: int, most: int) -> EpochBlock | None:
        epochs = self._pacer.size(most)
        with self._pacer.timed(epochs):
            return self.run(epoch, epochs)

    def run(self, first_epoch: int, epochs: int) -> EpochBlock:
        """Train some epochs.

        Args:
            first_epoch: the number of the first of them, counted from 1: the epoch after the state that the loop is in.
            epochs: how many, 1 … CAPACITY.

        Raises:
            ValueError: an argument is out of its range.
        """
        if first_epoch < 1 or not 1 <= epochs <= CAPACITY:
            raise ValueError(f"received first_epoch {first_epoch}, epochs {epochs}; expected ≥ 1 and 1 to {CAPACITY}")
        start = self.state()
        return EpochBlock(first_epoch, self._run(first_epoch, epochs), start)

    def reset(self, state: State, seed: int) -> None:
        self.restore(state)
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)

    def replay_states(self, block: EpochBlock, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        """The states after some epochs of a block, by training through it again from its start, once for all of them.

        Args:
            epochs: epochs of the block, ascending. The one before the first stands for the call's start.

        Raises:
            ReplayError: the metrics differ from those of the first time, so the device does not compute the same thing
                twice and the state would not be the one that was measured.
        """
        at = block.first_epoch - 1
        self.restore(block.anchor)
        for epoch in epochs:
            while at < epoch:
                # All epochs of a run may be asked for as one block, and the compiled function goes only so far.
                until = min(epoch, at + CAPACITY)
                again = self._run(at + 1, until - at)
                first = block.metrics[at + 1 - block.first_epoch : until + 1 - block.first_epoch]
                if again.tobytes() != first.tobytes():
                    raise ReplayError(
                        f"epochs {at + 1} to {until} gave other metrics when they were trained again",
                        hint="This device does not compute the same thing twice, or the run was made on another; "
                        "no epoch's state can be recovered.",
                    )
                at = until
            yield epoch, self.state()

    def _run(self, first_epoch: int, epochs: int) -> NDArray[np.float32]:
        first, count = tf.constant(first_epoch, tf.int32), tf.constant(epochs, tf.int32)
        rows = run_traced(self._function, first, count, self._order_seed, self._data)
        metrics: NDArray[np.float32] = rows[:epochs].numpy().copy()
        return metrics
