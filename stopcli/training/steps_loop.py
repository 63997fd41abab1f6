"""The loop over long epochs: some steps of one a call, so that a run can be stopped and saved within an epoch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.training.loop import EpochBlock, Loop, Partial, State, StepLog
from stopcli.training.row_source import source_of
from stopcli.training.session import CallSizer
from stopcli.training.step import (
    Batch,
    Carry,
    Step,
    Tensor,
    even_batch,
    rows_at,
    rows_by,
    run_traced,
)

# Most steps that one call can run: the size of the log's buffer in the compiled function.
STEPS_CAPACITY = 4096
# Rows that are evaluated at a time: an image batch's activations then stay near the caches.
EVALUATION_BATCH = 256
# What evaluating a row costs of training on it: the way forward without the way back, which is about twice as long.
EVALUATION_COST = 1 / 3


# A step's carry on the host.
_Carried = tuple[NDArray[Any], ...]
# That, and the last learning rate, float32 [1].
_Sums = tuple[_Carried, NDArray[np.float32]]
_NO_RATE: NDArray[np.float32] = np.zeros(1, np.float32)


class _Position(NamedTuple):
    """How far the loop is within an epoch, as in `Partial`."""

    steps: int
    carry: _Carried
    learning_rate: NDArray[np.float32]


class StepsLoop(Loop):
    """Trains a Keras model on rows in memory, some steps of an epoch a call. Of rows that are views TensorFlow receives
    some for each call, instead of all of them once.

    Args:
        step, train, evaluated, batch_size, seed: as for Loop.
        log_steps: whether every step is logged for `take_log`.
        jit_compile: whether XLA compiles the functions. It pays on a GPU, not for convolutions on a CPU.
    """

    def __init__(
        self,
        step: Step,
        *,
        train: Examples,
        evaluated: Mapping[str, Examples] | None = None,
        batch_size: int = 64,
        seed: int = 0,
        log_steps: bool = False,
        jit_compile: bool = False,
    ) -> None:
        self._nothing = _arrays(step.initial)
        super().__init__(step, train, evaluated or {}, batch_size, seed)
        parts = list((evaluated or {}).values())
        self._train_rows = source_of(train, self._batch)
        self._evaluated = [source_of(rows, self._evaluation_size(rows.count)) for rows in parts]
        self._functions = _SizedFunctions(step, jit_compile=jit_compile)
        self._log_steps = log_steps
        self._train_sizer, self._evaluation_sizer = CallSizer(STEPS_CAPACITY), CallSizer(1 << 20)

    def _begin(self, seed: int) -> None:
        super()._begin(seed)
        self._partial: _Position | None = None
        self._ordered_epoch = 0
        self._log: StepLog | None = None
        self._begin_evaluation()

    def _begin_evaluation(self) -> None:
        self._values: list[NDArray[np.float32]] = []
        self._rows_evaluated, self._evaluation_sums = 0, self._nothing

    def compile(self) -> None:
        for size in {self._batch, self._rows % self._batch} - {0}:
            self._train_steps(1, 0, 0, size, (self._nothing, _NO_RATE))
        for source in self._evaluated:
            batch = self._evaluation_size(source.count)
            for size in {batch, source.count % batch} - {0}:
                self._functions.run(_evaluate_batches, size, 0, 0, source.as_they_stand(0, 0)[1], self._nothing)

    def advance(self, epoch: int, most: int) -> EpochBlock | None:
        partial = self._partial or _Position(0, self._nothing, _NO_RATE)
        if partial.steps < self.steps_per_epoch:
            partial = self._train(epoch, partial, self._rows // self._batch)
        elif len(self._values) < len(self._evaluated):
            self._evaluate()
        self._partial = partial
        if partial.steps < self.steps_per_epoch or len(self._values) < len(self._evaluated):
            return None
        row = np.concatenate([self._finish(partial.carry, self._rows), *self._values, partial.learning_rate])
        self._partial = None
        self._begin_evaluation()
        return EpochBlock(epoch, row[np.newaxis], self.state())

    def advance_part(self, epoch: int, steps: int) -> None:
        partial = self._partial or _Position(0, self._nothing, _NO_RATE)
        if partial.steps < steps:
            self._partial = self._train(epoch, partial, steps)

    @property
    def partial(self) -> Partial | None:
        if self._partial is None:
            return None
        steps, carry, learning_rate = self._partial
        if len(carry) == 1:
            # As it always was: earlier versions read what is saved of it, and this one what they saved.
            return Partial(steps, (np.concatenate([carry[0], learning_rate]),))
        return Partial(steps, (*carry, learning_rate))

    @property
    def evaluates_next(self) -> bool:
        return self._partial is not None and self._partial.steps == self.steps_per_epoch

    @property
    def fraction(self) -> float:
        """The share of an epoch's work that is done, by rows."""
        if self._partial is None:
            return 0.0
        trained = min(self._partial.steps * self._batch, self._rows)
        counts = [source.count for source in self._evaluated]
        evaluated = sum(counts[: len(self._values)]) + self._rows_evaluated
        return (trained + evaluated * EVALUATION_COST) / (self._rows + sum(counts) * EVALUATION_COST)

    def resume(self, state: State, partial: Partial | None) -> None:
        self.restore(state)
        self._partial = None
        if partial is not None:
            *carry, last = partial.sums
            carry, learning_rate = (carry, last) if carry else ([last[:-1]], last[-1:])
            self._partial = _Position(partial.steps, tuple(carry), learning_rate)
        self._begin_evaluation()

    def take_log(self) -> StepLog | None:
        log, self._log = self._log, None
        return log

    def replay_states(self, block: EpochBlock, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        for epoch in epochs:
            assert epoch == block.last_epoch, "a block of this loop has one epoch"
            self.restore(block.anchor)
            yield epoch, block.anchor

    def _train(self, epoch: int, partial: _Position, full: int) -> _Position:
        """Train batches of the whole size, until `full` of them are done; then the smaller last one."""
        if partial.steps == full:
            return _Position(full + 1, *self._train_steps(epoch, full, 1, self._rows % self._batch, partial[1:]))
        steps = self._train_sizer.size(min(full - partial.steps, self._train_rows.most_batches(self._batch)))
        with self._train_sizer.timed(steps):
            sums = self._train_steps(epoch, partial.steps, steps, self._batch, partial[1:])
        return _Position(partial.steps + steps, *sums)

    def _train_steps(self, epoch: int, first: int, steps: int, size: int, sums: _Sums) -> _Sums:
        """Train consecutive batches of one size. Returns the sums with those of the batches added."""
        if self._ordered_epoch != epoch:
            # An epoch of one batch has no order.
            self._train_rows.begin_epoch(self._order_seed, epoch, shuffled=self.steps_per_epoch > 1)
            self._ordered_epoch = epoch
        before = (epoch - 1) * self.steps_per_epoch + first
        start, order, rows = self._train_rows.in_order(first * self._batch, steps * size)
        self._go_ahead()
        inputs = start, steps, before, self._augment_seed, order, rows
        carry, rate, log = self._functions.run(_train_batches, size, *inputs, *sums)
        if self._log_steps and steps:
            self._log = StepLog(before + 1, log[:steps].numpy())
        return _arrays(carry), rate.numpy()

    def _evaluation_size(self, rows: int) -> int:
        """How many of some rows are evaluated at a time."""
        if self._step.rows_are_independent:
            return even_batch(rows, EVALUATION_BATCH)
        return min(self._batch, rows)

    def _evaluate(self) -> None:
        """Evaluate some batches of the first part that is not evaluated yet."""
        self._settle()
        source = self._evaluated[len(self._values)]
        rows, size = source.count, self._evaluation_size(source.count)
        remaining, most = rows - self._rows_evaluated, source.most_batches(size)
        if remaining >= size:
            batches = self._evaluation_sizer.size(min(remaining // size, most))
        else:
            size, batches = remaining, 1
        with self._evaluation_sizer.timed(batches):
            start, data = source.as_they_stand(self._rows_evaluated, batches * size)
            sums = self._functions.run(_evaluate_batches, size, start, batches, data, self._evaluation_sums)
            sums = _arrays(sums)
        self._rows_evaluated, self._evaluation_sums = self._rows_evaluated + size * batches, sums
        if self._rows_evaluated == rows:
            self._values.append(self._finish(sums, rows))
            self._rows_evaluated, self._evaluation_sums = 0, self._nothing

    def _finish(self, carry: _Carried, rows: int) -> NDArray[np.float32]:
        """From a carry over rows to the values that are reported, float32 [step's columns]."""
        values: NDArray[np.float32] = self._step.finish(tuple(map(tf.constant, carry)), rows).numpy()
        return values


def _arrays(carry: Carry) -> _Carried:
    return tuple(tensor.numpy() for tensor in carry)


class _SizedFunctions:
    """The functions below, compiled for each size of a batch; apart from the loop, whose data are then freed with
    it."""

    def __init__(self, step: Step, *, jit_compile: bool) -> None:
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
    step: Step,
    size: int,
    start: Tensor,
    steps: Tensor,
    before: Tensor,
    augment_seed: Tensor,
    order: Tensor,
    rows: Batch,
    carry: Carry,
    learning_rate: Tensor,
) -> tuple[Carry, Tensor, Tensor]:
    """Train on consecutive batches of an epoch.

    Args:
        size: rows of each.
        start: where in the order the first of them begins.
        steps: how many, 0 … STEPS_CAPACITY.
        before: updates of the run that were made before them.
        order: int32 [rows].
        rows: all of them.
        carry: over the batches of the epoch so far.
        learning_rate: of the update before, float32 [1].

    Returns:
        The carry with these batches, and the learning rate of the last; learning rate and loss of each step, float32
        [STEPS_CAPACITY, 2].
    """

    # XLA would compile anew for each value of a `start` that is the same in all turns of the loop.
    def body(
        i: Tensor, at: Tensor, carry: Carry, _: Tensor, log: Tensor
    ) -> tuple[Tensor, Tensor, Carry, Tensor, Tensor]:
        batch = rows_by(rows, tf.slice(order, [at], [size]))
        carry, loss, rate = step.train(batch, before + i, augment_seed, carry)
        log = tf.tensor_scatter_nd_update(log, [[i]], [tf.stack([rate, loss])])
        return i + 1, at + size, carry, tf.reshape(rate, [1]), log

    log = tf.zeros([STEPS_CAPACITY, 2])
    _, _, carry, learning_rate, log = tf.while_loop(
        lambda i, *_: i < steps, body, (tf.constant(0), start, carry, learning_rate, log)
    )
    return carry, learning_rate, log


def _evaluate_batches(step: Step, size: int, start: Tensor, batches: Tensor, rows: Batch, carry: Carry) -> Carry:
    """Evaluate consecutive batches of `size` rows from row `start` on. Returns the carry with theirs."""

    def body(i: Tensor, at: Tensor, carry: Carry) -> tuple[Tensor, Tensor, Carry]:
        return i + 1, at + size, step.evaluate(rows_at(rows, at, size), carry)

    evaluated: Carry = tf.while_loop(lambda i, *_: i < batches, body, (tf.constant(0), start, carry))[2]
    return evaluated
