"""The compiled training loop: many epochs a call, every epoch's metrics, and the state of any epoch on demand.

Keras's `fit` returns to Python for every batch, which on a small model costs a thousand times the training itself.
Here one `tf.function` runs whole epochs (the order of the rows, the steps, their metrics, validation) and hands back a
row of metrics for each. So that the host can still stop at, and save, the very epoch that a rule names, a call is a pure
function of the state at its start: any epoch of it is had again by running the call up to there. The metrics of that
second run are compared with the first to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.rows import Rows
from stopcli.errors import ReplayError
from stopcli.seeding import derive_seed
from stopcli.training.measures import Measure

Tensor = Any
State = tuple[NDArray[Any], ...]
"""The values of the model's variables (weights, statistics, seed generators), then of the optimizer's."""

# Most epochs that one call can run: the size of the metrics' buffer in the compiled function.
CAPACITY = 4096
# Rows that are evaluated at a time. Enough for a full load, few enough that a wide layer's output fits in memory.
EVALUATION_BATCH = 4096


@dataclass(frozen=True)
class Call:
    """Epochs that were run in one call.

    Attributes:
        first_epoch: counted from 1.
        metrics: float32, shape [epochs, columns], a row an epoch.
        start: the state before the first of the epochs.
    """

    first_epoch: int
    metrics: NDArray[np.float32]
    start: State

    @property
    def last_epoch(self) -> int:
        return self.first_epoch + len(self.metrics) - 1


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


def initial_state(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> State:
    """The state of a model and its optimizer as they stand, in a loop's order."""
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return tuple(np.array(variable.value) for variable in [*model.variables, *optimizer.variables])


class CompiledLoop:
    """Trains a Keras model on rows in memory, many epochs a call.

    The mathematics is that of Keras's `fit`: a training metric is the mean over the epoch's batches as each was
    predicted before its update, the smaller last batch counts by its rows, validation comes after the last update, the
    loss includes the model's regularization.

    Args:
        model: a built Keras model. Its variables are the loop's: they change with every call.
        optimizer: a Keras optimizer, built by the loop where it is not yet.
        loss: (targets, predictions) → scalar, such as a `keras.losses.Loss`.
        measures: further metrics.
        train: the rows to train on.
        watched: rows to measure after every epoch, by the prefix of the metrics' names (`val` gives `val_loss`, …).
        batch_size: rows a step, ≥ 1. An epoch of one batch has no order: its rows are taken as they stand.
        seed: the run's seed, from which the order of each epoch is drawn.
        shuffle: whether each epoch has an order of its own.
        jit_compile: whether XLA compiles the function. It pays for small dense models, not for convolutions on a CPU.

    Attributes:
        columns: the names of the metrics in the order of a call's columns; `learning_rate` is that of the epoch's last
            update.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        measures: Iterable[Measure] = (),
        *,
        train: Rows,
        watched: Mapping[str, Rows] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        shuffle: bool = True,
        jit_compile: bool = True,
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.measures = tuple(measures)
        self.batch_size = min(batch_size, train.count)
        self.shuffle = shuffle and self.batch_size < train.count
        self._prefixes = tuple(watched or {})
        names = ["loss", *(measure.name for measure in self.measures)]
        prefixes = ["", *(f"{prefix}_" for prefix in self._prefixes)]
        self.columns = (*(prefix + name for prefix in prefixes for name in names), "learning_rate")
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        # Data are arguments, not constants of the function: XLA would spend its compile time on folding them.
        self._data = [tf.constant(array) for rows in [train, *(watched or {}).values()] for array in (rows.x, rows.y)]
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)
        self._variables = [variable.value for variable in [*model.variables, *optimizer.variables]]
        self._function = tf.function(self._epochs, jit_compile=jit_compile, autograph=False)

    def compile(self) -> None:
        """Compile the function by running no epoch. The state stays as it is."""
        self._run(1, 0)

    def run(self, first_epoch: int, epochs: int) -> Call:
        """Train some epochs.

        Args:
            first_epoch: the number of the first of them, counted from 1: the epoch after the state that the loop is in.
            epochs: how many, 1 … CAPACITY.
        """
        start = self.state()
        return Call(first_epoch, self._run(first_epoch, epochs), start)

    def state(self) -> State:
        """A copy of everything that training changes."""
        return tuple(np.array(variable) for variable in self._variables)

    def restore(self, state: State) -> None:
        """Put a state back."""
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def reset(self, state: State, seed: int) -> None:
        """Begin another run of the same model and data, without compiling again.

        Args:
            state: the initial state of the run, such as `initial_state` gives it.
            seed: the run's seed.
        """
        self.restore(state)
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)

    def states_at(self, call: Call, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        """The states after some epochs of a call, exactly as the call went through them.

        Training goes through the call again from its start, once for all the epochs, and leaves the loop in the state
        of the last of them. `restore` puts another one back.

        Args:
            call: one of this run's calls, the last or an earlier one.
            epochs: epochs of the call, ascending. The one before the first stands for the call's start.

        Raises:
            ReplayError: the metrics differ from those of the first time, so the device does not compute the same thing
                twice and the state would not be the one that was measured.
        """
        at = call.first_epoch - 1
        self.restore(call.start)
        for epoch in epochs:
            if epoch > at:
                again = self._run(at + 1, epoch - at)
                first = call.metrics[at + 1 - call.first_epoch : epoch + 1 - call.first_epoch]
                if again.tobytes() != first.tobytes():
                    raise ReplayError(
                        f"epochs {at + 1} to {epoch} gave other metrics when they were trained again",
                        hint="This device does not compute the same thing twice; no epoch's state can be recovered.",
                    )
                at = epoch
            yield epoch, self.state()

    def _run(self, first_epoch: int, epochs: int) -> NDArray[np.float32]:
        first, count = tf.constant(first_epoch, tf.int32), tf.constant(epochs, tf.int32)
        rows = self._function(first, count, self._order_seed, self._data)
        return np.array(rows[:epochs], dtype=np.float32)

    # What follows is traced into the compiled function.

    def _epochs(self, first_epoch: Tensor, epochs: Tensor, order_seed: Tensor, data: list[Tensor]) -> Tensor:
        def body(i: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            row = self._epoch(first_epoch + i, order_seed, data)
            return i + 1, tf.tensor_scatter_nd_update(rows, [[i]], [row])

        rows = tf.zeros([CAPACITY, len(self.columns)])
        _, rows = tf.while_loop(lambda i, _: i < epochs, body, (tf.constant(0), rows))
        return rows

    def _epoch(self, epoch: Tensor, order_seed: Tensor, data: list[Tensor]) -> Tensor:
        """One epoch and its row of metrics, float32 [columns]."""
        (x, y), watched = data[:2], data[2:]
        count = x.shape[0]
        order = epoch_order(order_seed, epoch, count) if self.shuffle else None

        def train(start: Tensor, size: int, carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            if order is None:
                batch = rows_at(x, start, size), rows_at(y, start, size)
            else:
                places = tf.slice(order, [start], [size])
                batch = tf.gather(x, places), tf.gather(y, places)
            sums, learning_rate = self._train_step(*batch)
            return carry[0] + sums, learning_rate

        nothing = tf.zeros([1 + len(self.measures)])
        sums, learning_rate = fold_batches(count, self.batch_size, train, (nothing, tf.constant(0.0)))
        values = [self._finish(sums / count)]
        for vx, vy in zip(watched[::2], watched[1::2], strict=True):
            values.append(self._evaluate(vx, vy))
        return tf.concat([*values, [learning_rate]], axis=0)

    def _train_step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """One update. Returns the sums over the batch's rows of loss and measures, and the learning rate."""
        weights = self.model.trainable_weights
        with tf.GradientTape() as tape:
            predictions = self.model(x, training=True)
            loss = self._loss(y, predictions)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, weights)
        learning_rate = tf.cast(self.optimizer.learning_rate, tf.float32)
        # A copy of the rate as it is before the update, which moves a schedule on.
        learning_rate = tf.identity(learning_rate)
        self.optimizer.apply(gradients, weights)
        return self._sums(loss, y, predictions), learning_rate

    def _evaluate(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss and measures over rows that are not trained on, float32 [1 + measures]."""
        count = x.shape[0]

        def measure(start: Tensor, size: int, sums: Tensor) -> Tensor:
            targets = rows_at(y, start, size)
            predictions = self.model(rows_at(x, start, size), training=False)
            return sums + self._sums(self._loss(targets, predictions), targets, predictions)

        sums = fold_batches(count, EVALUATION_BATCH, measure, tf.zeros([1 + len(self.measures)]))
        return self._finish(sums / count)

    def _loss(self, targets: Tensor, predictions: Tensor) -> Tensor:
        loss = self.loss(targets, predictions)
        return tf.add_n([loss, *self.model.losses]) if self.model.losses else loss

    def _sums(self, loss: Tensor, targets: Tensor, predictions: Tensor) -> Tensor:
        rows = tf.cast(targets.shape[0], tf.float32)
        measured = [tf.reduce_sum(measure.per_row(targets, predictions)) for measure in self.measures]
        return tf.stack([tf.cast(loss, tf.float32) * rows, *measured])

    def _finish(self, means: Tensor) -> Tensor:
        finishes = [measure.finish for measure in self.measures]
        return tf.stack([means[0], *(finish(means[1 + i]) for i, finish in enumerate(finishes))])
