"""The loop over short epochs: many of them a call, every epoch's metrics, and the state of any epoch on demand.

So that the host can still stop at, and save, the very epoch that a rule names, a call is a pure function of the state
at its start: any epoch of it is recovered by running the call again up to there. The metrics of that second run are
compared with the first to the bit.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.data.nest import map_nest
from stopcli.errors import ReplayError
from stopcli.training.loop import EpochBlock, Loop, Partial, State, batch_of
from stopcli.training.session import CallSizer
from stopcli.training.step import (
    Batch,
    Carry,
    Step,
    Tensor,
    count_of,
    epoch_order,
    fold_batches,
    rows_at,
    rows_by,
    run_traced,
)

# Most epochs that one call can run: the size of the metrics' buffer in the compiled function.
CAPACITY = 4096
# Rows that are evaluated at a time. Enough for a full load, few enough that a wide layer's output fits in memory.
EVALUATION_BATCH = 4096


class EpochsLoop(Loop):
    """Trains a Keras model on rows in memory, many epochs a call.

    Args:
        step, train, evaluated, batch_size, seed: as for Loop. An epoch of one batch has no order: its rows are taken as
            they stand.
        shuffle: whether each epoch has an order of its own.
        jit_compile: whether XLA compiles the function. It pays for small dense models, not for convolutions on a CPU.
    """

    def __init__(
        self,
        step: Step,
        *,
        train: Examples,
        evaluated: Mapping[str, Examples] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        shuffle: bool = True,
        jit_compile: bool = True,
    ) -> None:
        super().__init__(step, train, evaluated or {}, batch_size, seed)
        # Data are arguments, not constants of the function: XLA would spend its compile time on folding them.
        self._data = [map_nest(tf.constant, batch_of(rows)) for rows in (train, *(evaluated or {}).values())]
        train_epochs = functools.partial(_train_epochs, step, self._batch, shuffle and self.steps_per_epoch > 1)
        self._function = tf.function(train_epochs, jit_compile=jit_compile, autograph=False)
        train_part = functools.partial(_train_part, step, self._batch, shuffle)
        self._part_function = tf.function(train_part, jit_compile=jit_compile, autograph=False)
        self._sizer = CallSizer(CAPACITY)

    def _begin(self, seed: int) -> None:
        super()._begin(seed)
        self._partial: Partial | None = None

    def compile(self) -> None:
        self._run(1, 0)

    def advance(self, epoch: int, most: int) -> EpochBlock | None:
        epochs = self._sizer.size(most)
        with self._sizer.timed(epochs):
            return self.run(epoch, epochs)

    def advance_part(self, epoch: int, steps: int) -> None:
        """Train them all in one call: epochs are short."""
        if self._partial is None:
            seeds = self._order_seed, self._augment_seed
            sums = run_traced(self._part_function, epoch, steps, *seeds, self._data[0])
            self._partial = Partial(steps, tuple(tensor.numpy() for tensor in sums))

    @property
    def partial(self) -> Partial | None:
        """None but where training has ended within an epoch."""
        return self._partial

    def resume(self, state: State, partial: Partial | None) -> None:
        super().resume(state, partial)
        self._partial = partial

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

    def replay_states(self, block: EpochBlock, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        """The states after some epochs of a block, by training through it again from its start, once for all of them.

        Args:
            epochs: epochs of the block, ascending. The one before the first stands for the block's start.

        Raises:
            ReplayError: the metrics differ from those of the first time, so the device does not compute the same thing
                twice and the state would not be the one that was measured.
        """
        done = block.first_epoch - 1
        self.restore(block.anchor)
        for epoch in epochs:
            while done < epoch:
                # A block may hold all epochs of a run, and the compiled function goes only so far.
                until = min(epoch, done + CAPACITY)
                repeated = self._run(done + 1, until - done)
                first = block.metrics[done + 1 - block.first_epoch : until + 1 - block.first_epoch]
                if repeated.tobytes() != first.tobytes():
                    raise ReplayError(
                        f"epochs {done + 1} to {until} gave other metrics when they were trained again",
                        hint="This device does not compute the same thing twice, or the run was made on another; "
                        "no epoch's state can be recovered. A model of your own can be trained by --loop steps, which "
                        "goes through no epoch twice.",
                    )
                done = until
            yield epoch, self.state()

    def _run(self, first_epoch: int, epochs: int) -> NDArray[np.float32]:
        seeds = self._order_seed, self._augment_seed
        rows = run_traced(self._function, first_epoch, epochs, *seeds, *self._data)
        metrics: NDArray[np.float32] = rows[:epochs].numpy().copy()
        return metrics


def _train_epochs(
    step: Step,
    batch_size: int,
    shuffle: bool,
    first_epoch: Tensor,
    epochs: Tensor,
    order_seed: Tensor,
    augment_seed: Tensor,
    trained: Batch,
    *evaluated: Batch,
) -> Tensor:
    """Train `epochs` epochs from number `first_epoch` on. Validation comes after an epoch's last update, as in `fit`.

    Args:
        batch_size: at most the training rows.
        first_epoch, epochs, order_seed, augment_seed: scalars, int32; epochs ≤ CAPACITY.
        trained: all training rows.
        evaluated: those of each evaluated part.

    Returns:
        float32, shape [CAPACITY, columns]; rows beyond `epochs` are zeros.
    """
    count = count_of(trained)
    steps = -(-count // batch_size)
    evaluation_batch = EVALUATION_BATCH if step.rows_are_independent else batch_size

    def train_epoch(epoch: Tensor) -> Tensor:
        order = epoch_order(order_seed, epoch, count) if shuffle else None

        def train(start: Tensor, size: int, carry: tuple[Carry, Tensor]) -> tuple[Carry, Tensor]:
            update = (epoch - 1) * steps + start // batch_size
            sums, _, learning_rate = step.train(_batch(trained, order, start, size), update, augment_seed, carry[0])
            return sums, learning_rate

        sums, learning_rate = fold_batches(count, batch_size, train, (step.initial, tf.constant(0.0)))
        parts = [_evaluate(step, rows, evaluation_batch) for rows in evaluated]
        return tf.concat([step.finish(sums, count), *parts, [learning_rate]], axis=0)

    def body(i: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return i + 1, tf.tensor_scatter_nd_update(rows, [[i]], [train_epoch(first_epoch + i)])

    rows = tf.zeros([CAPACITY, len(step.columns) * (1 + len(evaluated)) + 1])
    return tf.while_loop(lambda i, _: i < epochs, body, (tf.constant(0), rows))[1]


def _train_part(
    step: Step,
    batch_size: int,
    shuffle: bool,
    epoch: Tensor,
    steps: Tensor,
    order_seed: Tensor,
    augment_seed: Tensor,
    trained: Batch,
) -> Carry:
    """Train the first steps of an epoch, fewer than it has, so that each has a whole batch. Arguments as of
    `_train_epochs`; returns the carry over them."""
    count = count_of(trained)
    before = (epoch - 1) * -(-count // batch_size)
    order = epoch_order(order_seed, epoch, count) if shuffle else None

    def body(i: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        batch = _batch(trained, order, i * batch_size, batch_size)
        return i + 1, step.train(batch, before + i, augment_seed, carry)[0]

    carry: Carry = tf.while_loop(lambda i, _: i < steps, body, (tf.constant(0), step.initial))[1]
    return carry


def _batch(rows: Batch, order: Tensor | None, start: Tensor, size: int) -> Batch:
    """Rows in an order, or as they stand where there is none."""
    batch: Batch = rows_at(rows, start, size) if order is None else rows_by(rows, tf.slice(order, [start], [size]))
    return batch


def _evaluate(step: Step, rows: Batch, batch_size: int) -> Tensor:
    """Loss and metrics over rows that are not trained on, float32 [step's columns]."""
    count = count_of(rows)

    def add(start: Tensor, size: int, carry: Carry) -> Carry:
        return step.evaluate(rows_at(rows, start, size), carry)

    return step.finish(fold_batches(count, batch_size, add, step.initial), count)
