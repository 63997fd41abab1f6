"""The loop over long epochs: some steps of one a call, so that a run can be stopped and saved within an epoch."""

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
from stopcli.training.step import (
    Inputs,
    Metric,
    Schedule,
    Tensor,
    TracedStep,
    epoch_order,
    even_batch,
    rows_at,
    run_traced,
)

# Most steps that one call can run: the size of the log's buffer in the compiled function.
STEPS_CAPACITY = 4096
# Rows that are evaluated at a time: an image batch's activations then stay near the caches.
EVALUATION_BATCH = 256
# What evaluating a row costs of training on it: the way forward without the way back, which is about twice as long.
EVALUATION_COST = 1 / 3


class StepsLoop(Loop):
    """Trains a Keras model on rows in memory, some steps of an epoch a call.

    Args:
        model, optimizer, metrics, train, evaluated, batch_size, seed: as for Loop. Batch normalization is computed by
            TensorFlow's fused kernel.
        loss: (targets, predictions) → scalar, such as a `keras.losses.Loss`.
        inputs: what happens to a batch before the model sees it.
        schedule: the learning rate of every update; None where it is only changed between epochs.
        momentum: the momentum of every update of SGD; None where it stays as it is.
        log_steps: whether every step is logged for `take_log`.
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
        evaluated: Mapping[str, Examples] | None = None,
        inputs: Inputs = Inputs(),  # noqa: B008, a frozen value
        schedule: Schedule | None = None,
        momentum: Schedule | None = None,
        batch_size: int = 64,
        seed: int = 0,
        log_steps: bool = False,
        jit_compile: bool = False,
    ) -> None:
        metrics, evaluated = tuple(metrics), evaluated or {}
        self._nothing: NDArray[np.float32] = np.zeros(2 + len(metrics), np.float32)
        super().__init__(model, optimizer, metrics, train, evaluated, batch_size, seed)
        self._evaluated = [
            (data, rows.count) for data, rows in zip(self._evaluated_data, evaluated.values(), strict=True)
        ]
        self._step = TracedStep(with_fused_batch_norm(model), optimizer, loss, metrics, inputs, schedule, momentum)
        self._functions = _SizedFunctions(self._step, jit_compile=jit_compile)
        self._log_steps = log_steps
        self._train_sizer, self._evaluation_sizer = CallSizer(STEPS_CAPACITY), CallSizer(1 << 20)

    def _begin(self, seed: int) -> None:
        super()._begin(seed)
        self._augment_seed = derive_seed(seed, "augment")
        self._partial: Partial | None = None
        self._order: tuple[int, Tensor] = (0, None)
        self._log: StepLog | None = None
        self._begin_evaluation()

    def _begin_evaluation(self) -> None:
        self._values: list[NDArray[np.float32]] = []
        self._rows_evaluated, self._evaluation_sums = 0, self._nothing[:-1]

    def compile(self) -> None:
        for size in {self._batch, self._rows % self._batch} - {0}:
            self._train_steps(1, 0, 0, size, self._nothing)
        for data, rows in self._evaluated:
            batch = even_batch(rows, EVALUATION_BATCH)
            for size in {batch, rows % batch} - {0}:
                self._functions.run(_evaluate_batches, size, 0, 0, *data, self._nothing[:-1])

    def advance(self, epoch: int, most: int) -> EpochBlock | None:
        partial = self._partial or Partial(0, self._nothing)
        if partial.steps < self.steps_per_epoch:
            partial = self._train(epoch, partial)
        elif len(self._values) < len(self._evaluated):
            self._evaluate()
        self._partial = partial
        if partial.steps < self.steps_per_epoch or len(self._values) < len(self._evaluated):
            return None
        row = np.concatenate([self._finish(partial.sums[:-1], self._rows), *self._values, partial.sums[-1:]])
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
        counts = [rows for _, rows in self._evaluated]
        evaluated = sum(counts[: len(self._values)]) + self._rows_evaluated
        return (trained + evaluated * EVALUATION_COST) / (self._rows + sum(counts) * EVALUATION_COST)

    def resume(self, state: State, partial: Partial | None) -> None:
        self.restore(state)
        self._partial = partial
        self._begin_evaluation()

    def take_log(self) -> StepLog | None:
        log, self._log = self._log, None
        return log

    def replay_states(self, block: EpochBlock, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        for epoch in epochs:
            assert epoch == block.last_epoch, "a block of this loop has one epoch"
            self.restore(block.anchor)
            yield epoch, block.anchor

    def _train(self, epoch: int, partial: Partial) -> Partial:
        full = self._rows // self._batch
        if partial.steps == full:
            sums = self._train_steps(epoch, full, 1, self._rows % self._batch, partial.sums)
            return Partial(full + 1, sums)
        steps = self._train_sizer.size(full - partial.steps)
        with self._train_sizer.timed(steps):
            sums = self._train_steps(epoch, partial.steps, steps, self._batch, partial.sums)
        return Partial(partial.steps + steps, sums)

    def _train_steps(
        self, epoch: int, first: int, steps: int, size: int, sums: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Train consecutive batches of one size. Returns the sums with those of the batches added."""
        if self._order[0] != epoch:
            # An epoch of one batch has no order.
            shuffled = self.steps_per_epoch > 1
            seed, number = tf.constant(self._order_seed), tf.constant(epoch)
            self._order = (epoch, epoch_order(seed, number, self._rows) if shuffled else tf.range(self._rows))
        before = (epoch - 1) * self.steps_per_epoch + first
        numbers = first * self._batch, steps, before, self._augment_seed
        totals, log = self._functions.run(_train_batches, size, *numbers, self._order[1], *self._train_data, sums)
        if self._log_steps and steps:
            self._log = StepLog(before + 1, log[:steps].numpy())
        new_sums: NDArray[np.float32] = totals.numpy()
        return new_sums

    def _evaluate(self) -> None:
        """Evaluate some batches of the first part that is not evaluated yet."""
        data, rows = self._evaluated[len(self._values)]
        size = even_batch(rows, EVALUATION_BATCH)
        remaining = rows - self._rows_evaluated
        size, batches = (size, self._evaluation_sizer.size(remaining // size)) if remaining >= size else (remaining, 1)
        with self._evaluation_sizer.timed(batches):
            sums = self._evaluation_sums
            sums = self._functions.run(_evaluate_batches, size, self._rows_evaluated, batches, *data, sums).numpy()
        self._rows_evaluated, self._evaluation_sums = self._rows_evaluated + size * batches, sums
        if self._rows_evaluated == rows:
            self._values.append(self._finish(sums, rows))
            self._rows_evaluated, self._evaluation_sums = 0, self._nothing[:-1]

    def _finish(self, sums: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
        """From sums over rows to the values that are reported, float32 [1 + metrics]."""
        values: NDArray[np.float32] = self._step.finish(tf.constant(sums) / rows).numpy()
        return values


class _SizedFunctions:
    """The functions below, compiled for each size of a batch; apart from the loop, whose data are then freed with
    it."""

    def __init__(self, step: TracedStep, *, jit_compile: bool) -> None:
        self._step, self._jit = step, jit_compile
        self._compiled: dict[tuple[Any, int], Any] = {}

    def run(self, function: Callable[..., Any], size: int, *inputs: Any) -> Any:
        """Call a function with batches of a size."""
        step = self._step
        if (function, size) not in self._compiled:
            self._compiled[function, size] = tf.function(
                lambda *inputs: function(step, size, *inputs), autograph=False, jit_compile=self._jit
            )
        return run_traced(self._compiled[function, size], *inputs)


def _train_batches(
    step: TracedStep,
    size: int,
    start: Tensor,
    steps: Tensor,
    before: Tensor,
    augment_seed: Tensor,
    order: Tensor,
    x: Tensor,
    y: Tensor,
    sums: Tensor,
) -> tuple[Tensor, Tensor]:
    """Train on consecutive batches of an epoch.

    Args:
        size: rows of each.
        start: where in the order the first of them begins.
        steps: how many, 0 … STEPS_CAPACITY.
        before: updates of the run that were made before them.
        order: int32 [rows]. x, y: all rows.
        sums: float32 [2 + metrics]: so far in the epoch, and the last learning rate.

    Returns:
        The sums with those of the batches added; learning rate and loss of each step, float32 [STEPS_CAPACITY, 2].
    """

    def body(i: Tensor, sums: Tensor, log: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        indices = tf.slice(order, [start + i * size], [size])
        batch_sums, rate = step.train(tf.gather(x, indices), tf.gather(y, indices), before + i, augment_seed)
        sums = tf.concat([sums[:-1] + batch_sums, [rate]], axis=0)
        return i + 1, sums, tf.tensor_scatter_nd_update(log, [[i]], [tf.stack([rate, batch_sums[0] / size])])

    log = tf.zeros([STEPS_CAPACITY, 2])
    _, sums, log = tf.while_loop(lambda i, *_: i < steps, body, (tf.constant(0), sums, log))
    return sums, log


def _evaluate_batches(
    step: TracedStep, size: int, start: Tensor, batches: Tensor, x: Tensor, y: Tensor, sums: Tensor
) -> Tensor:
    """Evaluate consecutive batches of `size` rows from row `start` on. Returns the sums with theirs added."""

    def body(i: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        first = start + i * size
        return i + 1, sums + step.evaluate(rows_at(x, first, size), rows_at(y, first, size))

    return tf.while_loop(lambda i, _: i < batches, body, (tf.constant(0), sums))[1]
