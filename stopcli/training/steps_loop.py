"""The loop over long epochs: some steps of one a call, so that a run can be stopped and saved within an epoch.

What the loop over long epochs computes: some steps of an epoch, or of an evaluation, as compiled functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.models.fused_batch_norm import with_fused_batch_norm
from stopcli.seeding import derive_seed
from stopcli.training.loop import EpochBlock, Loop, Partial, State, StepLog
from stopcli.training.session import CallSizer
from stopcli.training.step import Inputs, Metric, Schedule, TracedStep, epoch_order, even_batch, rows_at, run_traced

# Most steps that one call can run: the size of the log's buffer in the compiled function.
STEPS_CAPACITY = 4096


class TracedSteps:
    """The functions that a StepsLoop compiles, one for each size of a batch.

    Args:
        step: what is done with a batch.
        jit_compile: whether XLA compiles them.
    """

    def __init__(self, step: TracedStep, *, jit_compile: bool) -> None:
        self._step, self._jit = step, jit_compile
        self._compiled: dict[tuple[str, int], Any] = {}

    def train(
        self,
        size: int,
        start: int,
        steps: int,
        before: int,
        order: Tensor,
        data: tuple[Tensor, Tensor],
        augment_seed: Tensor,
        sums: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Train on consecutive batches of an epoch.

        Args:
            size: rows of each.
            start: where in the order the first of them begins.
            steps: how many, 0 … STEPS_CAPACITY.
            before: updates of the run that were made before them.
            order: int32 [rows]. data: x and y of all rows. augment_seed: scalar int32.
            sums: float32 [2 + metrics]: so far in the epoch, and the last learning rate.

        Returns:
            The sums with those of the batches added; learning rate and loss of each step, float32 [steps, 2].
        """
        numbers = [tf.constant(number, tf.int32) for number in (start, steps, before)]
        inputs = (*numbers, order, *data, augment_seed, tf.constant(sums))
        found, log = run_traced(self._function("train", size, self._train), *inputs)
        return found.numpy(), log[:steps].numpy()

    def evaluate(
        self, size: int, start: int, batches: int, data: tuple[Tensor, Tensor], sums: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Evaluate consecutive batches of `size` rows from row `start` on. Returns the sums with theirs added."""
        numbers = [tf.constant(number, tf.int32) for number in (start, batches)]
        function = self._function("evaluate", size, self._evaluate)
        found: NDArray[np.float32] = run_traced(function, *numbers, *data, tf.constant(sums)).numpy()
        return found

    def finish(self, sums: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
        """From the sums over rows to the values that are reported, float32 [1 + metrics]."""
        values: NDArray[np.float32] = self._step.finish(tf.constant(sums) / rows).numpy()
        return values

    def _function(self, name: str, size: int, of: Any) -> Any:
        if (name, size) not in self._compiled:

            def sized(*args: Tensor) -> Any:
                return of(size, *args)

            self._compiled[name, size] = tf.function(sized, autograph=False, jit_compile=self._jit)
        return self._compiled[name, size]

    def _train(
        self,
        size: int,
        start: Tensor,
        steps: Tensor,
        before: Tensor,
        order: Tensor,
        x: Tensor,
        y: Tensor,
        augment_seed: Tensor,
        sums: Tensor,
    ) -> tuple[Tensor, Tensor]:
        def body(i: Tensor, sums: Tensor, log: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            places = tf.slice(order, [start + i * size], [size])
            found, rate = self._step.train(tf.gather(x, places), tf.gather(y, places), before + i, augment_seed)
            row = tf.stack([rate, found[0] / size])
            return (
                i + 1,
                tf.concat([sums[:-1] + found, [rate]], axis=0),
                tf.tensor_scatter_nd_update(log, [[i]], [row]),
            )

        log = tf.zeros([STEPS_CAPACITY, 2])
        _, sums, log = tf.while_loop(lambda i, *_: i < steps, body, (tf.constant(0), sums, log))
        return sums, log

    def _evaluate(self, size: int, start: Tensor, batches: Tensor, x: Tensor, y: Tensor, sums: Tensor) -> Tensor:
        def body(i: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
            at = start + i * size
            return i + 1, sums + self._step.evaluate(rows_at(x, at, size), rows_at(y, at, size))

        return tf.while_loop(lambda i, _: i < batches, body, (tf.constant(0), sums))[1]


Tensor = Any

# Rows that are evaluated at a time: an image batch's activations then stay near the caches.
EVALUATION_BATCH = 256
# What evaluating a row costs of training on it: the way forward without the way back, which is about twice as long.
EVALUATION_COST = 1 / 3


class StepsLoop(Loop):
    """Trains a Keras model on rows in memory, some steps of an epoch a call.

    Args:
        model, optimizer, metrics: as for Loop. Batch normalization is computed by TensorFlow's fused kernel.
        loss: (targets, predictions) → scalar, such as a `keras.losses.Loss`.
        train: the rows to train on.
        watched: rows to measure after every epoch, by the prefix of the metrics' names.
        inputs: what happens to a batch before the model sees it.
        schedule: the learning rate of every update; None where it is only changed between epochs.
        momentum: the momentum of every update of SGD; None where it stays as it is.
        batch_size: rows a step, ≥ 1; the smaller last batch of an epoch is trained on too.
        seed: the run's seed, from which the order of each epoch and the augmentation of each step are drawn.
        log_steps: whether an account of every step is kept for `take_log`.
        jit_compile: whether XLA compiles the functions. It pays on a GPU, not for convolutions on a CPU.
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
        inputs: Inputs = Inputs(),  # noqa: B008, a frozen value
        schedule: Schedule | None = None,
        momentum: Schedule | None = None,
        batch_size: int = 64,
        seed: int = 0,
        log_steps: bool = False,
        jit_compile: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"received batch_size {batch_size}, expected ≥ 1")
        metrics, watched = tuple(metrics), watched or {}
        self._batch = min(batch_size, train.count)
        super().__init__(model, optimizer, metrics, watched, train.batches(self._batch))
        self._rows = train.count
        self._train_data, *watched_data = (
            (tf.constant(rows.x), tf.constant(rows.y)) for rows in [train, *watched.values()]
        )
        self._watched = [(data, rows.count) for data, rows in zip(watched_data, watched.values(), strict=True)]
        step = TracedStep(with_fused_batch_norm(model), optimizer, loss, metrics, inputs, schedule, momentum)
        self._functions = TracedSteps(step, jit_compile=jit_compile)
        self._nothing: NDArray[np.float32] = np.zeros(2 + len(metrics), np.float32)
        self._log_steps = log_steps
        self._train_pacer, self._evaluation_pacer = CallSizer(STEPS_CAPACITY), CallSizer(1 << 20)
        self._begin(seed)

    def _begin(self, seed: int) -> None:
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)
        self._augment_seed = tf.constant(derive_seed(seed, "augment"), tf.int32)
        self._partial: Partial | None = None
        self._places: tuple[int, Tensor] = (0, None)
        self._log: StepLog | None = None
        self._begin_evaluation()

    def _begin_evaluation(self) -> None:
        self._measured: list[NDArray[np.float32]] = []
        self._rows_measured, self._part_sums = 0, self._nothing[:-1]

    def compile(self) -> None:
        for size in {self._batch, self._rows % self._batch} - {0}:
            self._train_steps(1, 0, 0, size, self._nothing)
        for data, rows in self._watched:
            batch = even_batch(rows, EVALUATION_BATCH)
            for size in {batch, rows % batch} - {0}:
                self._functions.evaluate(size, 0, 0, data, self._nothing[:-1])

    def advance(self, epoch: int, most: int) -> EpochBlock | None:
        partial = self._partial or Partial(0, self._nothing)
        if partial.steps < self.steps_per_epoch:
            partial = self._train(epoch, partial)
        elif len(self._measured) < len(self._watched):
            self._evaluate()
        self._partial = partial
        if partial.steps < self.steps_per_epoch or len(self._measured) < len(self._watched):
            return None
        row = self._row(partial)
        self._partial = None
        self._begin_evaluation()
        return EpochBlock(epoch, row[np.newaxis], self.state())

    @property
    def partial(self) -> Partial | None:
        return self._partial

    @property
    def evaluates_next(self) -> bool:
        return self._partial is not None and self._partial.steps == self.steps_per_epoch

    @property
    def fraction(self) -> float:
        """The share of an epoch's work that is done, by rows."""
        if self._partial is None:
            return 0.0
        trained = min(self._partial.steps * self._batch, self._rows)
        watched = [rows for _, rows in self._watched]
        evaluated = sum(watched[: len(self._measured)]) + self._rows_measured
        done, all_of_it = trained + evaluated * EVALUATION_COST, self._rows + sum(watched) * EVALUATION_COST
        return done / all_of_it

    def resume(self, state: State, partial: Partial | None) -> None:
        self.restore(state)
        self._partial = partial
        self._begin_evaluation()

    def take_log(self) -> StepLog | None:
        log, self._log = self._log, None
        return log

    def reset(self, state: State, seed: int) -> None:
        self.restore(state)
        self._begin(seed)

    def replay_states(self, block: EpochBlock, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        for epoch in epochs:
            assert epoch == block.last_epoch, "a call of this loop has one epoch"
            self.restore(block.anchor)
            yield epoch, block.anchor

    def _train(self, epoch: int, partial: Partial) -> Partial:
        full = self._rows // self._batch
        if partial.steps == full:
            sums = self._train_steps(epoch, full, 1, self._rows % self._batch, partial.sums)
            return Partial(full + 1, sums)
        steps = self._train_pacer.size(full - partial.steps)
        with self._train_pacer.timed(steps):
            sums = self._train_steps(epoch, partial.steps, steps, self._batch, partial.sums)
        return Partial(partial.steps + steps, sums)

    def _train_steps(
        self, epoch: int, first: int, steps: int, size: int, sums: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Train consecutive batches of one size. Returns the sums with those of the batches added."""
        if self._places[0] != epoch:
            # An epoch of one batch has no order.
            some = self.steps_per_epoch > 1
            order = epoch_order(self._order_seed, tf.constant(epoch), self._rows) if some else tf.range(self._rows)
            self._places = (epoch, order)
        before = (epoch - 1) * self.steps_per_epoch + first
        start = first * self._batch
        found, log = self._functions.train(
            size, start, steps, before, self._places[1], self._train_data, self._augment_seed, sums
        )
        if self._log_steps and steps:
            self._log = StepLog(before + 1, log)
        return found

    def _evaluate(self) -> None:
        """Evaluate some batches of the first part that is not measured yet."""
        data, rows = self._watched[len(self._measured)]
        size = even_batch(rows, EVALUATION_BATCH)
        left = rows - self._rows_measured
        size, batches = (size, self._evaluation_pacer.size(left // size)) if left >= size else (left, 1)
        with self._evaluation_pacer.timed(batches):
            self._part_sums = self._functions.evaluate(size, self._rows_measured, batches, data, self._part_sums)
        self._rows_measured += size * batches
        if self._rows_measured == rows:
            self._measured.append(self._functions.finish(self._part_sums, rows))
            self._rows_measured, self._part_sums = 0, self._nothing[:-1]

    def _row(self, partial: Partial) -> NDArray[np.float32]:
        """An epoch's row of metrics, float32 [columns]."""
        trained = self._functions.finish(partial.sums[:-1], self._rows)
        row: NDArray[np.float32] = np.concatenate([trained, *self._measured, partial.sums[-1:]])
        return row
