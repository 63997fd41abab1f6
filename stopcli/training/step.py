"""What is computed on one batch, as TensorFlow operations: a training step or an evaluation; and what batches are.

The mathematics is that of Keras's `fit`: a training metric is the mean over the epoch's batches as each was predicted
before its update, the smaller last batch counts by its rows, the loss includes the model's regularization.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.nest import Nest, leaves, map_nest
from stopcli.data.row_view import row_chunks
from stopcli.models.twin import with_fast_kernels
from stopcli.training.flat_weights import FlatWeights, can_be_flat
from stopcli.training.tf_setup import hush_short_numbers
from stopcli.training.update import apply_gradients

Tensor = Any
Carry = tuple[Tensor, ...]
"""What is summed up over the batches of an epoch."""
Batch = tuple[Nest, ...]
"""Inputs and targets, and the rows' weights where they have some."""
Schedule = Callable[[Tensor], Tensor]
"""From the number of updates that were made before (scalar int32) to the next one's learning rate (scalar float32)."""


def _unchanged(x: Tensor) -> Tensor:
    return x


def from_bytes(x: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1], any shape."""
    return tf.cast(x, tf.float32) / 255.0


@dataclass(frozen=True)
class Inputs:
    """What happens to a batch before the model sees it, in the compiled loop.

    Attributes:
        prepare: for all rows, such as scaling.
        augment: (prepared rows, int32 seed of shape [2]) → rows of the same shape and dtype; only for training rows.
            The seed is (a seed of the run, the update's number), so that a position determines what is drawn.
        copies: how often each row of a training batch enters, ≥ 1; every copy is augmented anew, and together they make
            one update (Hoffer et al. 2019, "Augment your batch", arXiv 1901.09335).
    """

    prepare: Callable[[Tensor], Tensor] = _unchanged
    augment: Callable[[Tensor, Tensor], Tensor] | None = None
    copies: int = 1


@dataclass(frozen=True)
class Metric:
    """A metric that is a mean over rows, perhaps with a last step after it.

    Args:
        name: as in metrics.csv; validation adds `val_`.
        per_row: (targets [rows, …], predictions [rows, …]) → float32 [rows].
        finish: from the mean over all rows to the value, such as the square root of RMSE.
    """

    name: str
    per_row: Callable[[Tensor, Tensor], Tensor]
    finish: Callable[[Tensor], Tensor] = _unchanged


def _row_mean(values: Tensor) -> Tensor:
    """The mean of everything in a row: [rows, …] → float32 [rows]."""
    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(tf.reshape(values, [tf.shape(values)[0], -1]), axis=1)


def _binary_hits(targets: Tensor, predictions: Tensor) -> Tensor:
    return _row_mean(tf.equal(predictions > 0.5, tf.cast(targets, predictions.dtype) > 0.5))


def _squared_error(targets: Tensor, predictions: Tensor) -> Tensor:
    return _row_mean(tf.square(predictions - tf.cast(targets, predictions.dtype)))


def _class_hits(targets: Tensor, predictions: Tensor) -> Tensor:
    classes = tf.argmax(predictions, axis=-1, output_type=tf.int32)
    return tf.cast(tf.equal(classes, tf.reshape(tf.cast(targets, tf.int32), [-1])), tf.float32)


BINARY_ACCURACY = Metric("accuracy", _binary_hits)
CLASS_ACCURACY = Metric("accuracy", _class_hits)
"""Of class indices, int [rows], and probabilities, [rows, classes]."""
RMSE = Metric("rmse", _squared_error, tf.sqrt)


class Step(ABC):
    """What is computed on a batch: an update of a model, or what is measured.

    Attributes:
        model: what is trained, and saved.
        optimizer: of its weights.
        columns: the names of what is measured, `loss` first.
        rows_are_independent: whether rows may be measured in batches of any size, because what is measured does not
            depend on which rows share a batch.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    columns: tuple[str, ...]
    rows_are_independent: bool = True

    def load(self) -> None:  # noqa: B027
        """Take what the variables are now; called before updates, where others have changed them."""

    def store(self) -> None:  # noqa: B027
        """Bring the variables to where the updates are, before others read them."""

    @property
    @abstractmethod
    def initial(self) -> Carry:
        """The carry over no rows yet."""

    @abstractmethod
    def prepare(self, x: Nest) -> Nest:
        """What the model is called with for inputs as they lie in memory."""

    @abstractmethod
    def train(self, batch: Batch, update: Tensor, augment_seed: Tensor, carry: Carry) -> tuple[Carry, Tensor, Tensor]:
        """One update.

        Args:
            batch: as it lies in memory.
            update: scalar int32: how many updates of the run were made before.
            augment_seed: scalar int32.
            carry: over the batches of the epoch before this one.

        Returns:
            The carry with this batch; the batch's loss and the update's learning rate, scalars, float32.
        """

    @abstractmethod
    def evaluate(self, batch: Batch, carry: Carry) -> Carry:
        """Measure rows that are not trained on. Returns the carry with theirs."""

    @abstractmethod
    def finish(self, carry: Carry, rows: int) -> Tensor:
        """The values that are reported of so many rows, float32 [columns]."""

    @abstractmethod
    def of(self, model: keras.Model) -> Step:
        """The same for another model like this one, such as one that was loaded from its file."""


class RowsStep(Step):
    """A step whose loss and metrics are means over rows.

    Args:
        model: built; what is called; its trainable weights are updated.
        optimizer: built by the loop.
        loss: (targets, predictions) → scalar, such as a `keras.losses.Loss`.
        metrics: further metrics.
        inputs: what happens to a batch before.
        schedule: the learning rate of every update; None where it stays as it is in the optimizer.
        momentum: likewise its momentum, which the optimizer has to have (`keras.optimizers.SGD`, momentum > 0).
        fused: whether it is computed by fast kernels, and updated as vectors where the optimizer allows it, by a loop
            that calls `load` and `store`.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        metrics: Sequence[Metric] = (),
        inputs: Inputs = Inputs(),
        schedule: Schedule | None = None,
        momentum: Schedule | None = None,
        *,
        fused: bool = False,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.columns = ("loss", *(metric.name for metric in metrics))
        hush_short_numbers(model)
        self._called, self._fused = with_fast_kernels(model) if fused else model, fused
        self._flat: FlatWeights | None = None
        self._loss, self._metrics = loss, metrics
        self._inputs, self._schedule, self._momentum = inputs, schedule, momentum

    @property
    def initial(self) -> Carry:
        """The sums over no rows, float32 [columns]."""
        return (tf.zeros([len(self.columns)]),)

    def load(self) -> None:
        if self._flat is None and self._fused and can_be_flat(self._called, self.optimizer):
            self._flat = FlatWeights(self._called, self.optimizer)
        if self._flat is not None:
            self._flat.load()

    def store(self) -> None:
        if self._flat is not None:
            self._flat.store()

    def prepare(self, x: Nest) -> Nest:
        return self._inputs.prepare(x)

    def train(self, batch: Batch, update: Tensor, augment_seed: Tensor, carry: Carry) -> tuple[Carry, Tensor, Tensor]:
        """One update; what is added up over rows is, of a row that enters as several copies, their mean."""
        x, y = batch
        rows = y.shape[0]
        x = self.prepare(x)
        if self._inputs.copies > 1:
            x, y = (tf.repeat(array, self._inputs.copies, axis=0) for array in (x, y))
        if self._inputs.augment is not None:
            x = self._inputs.augment(x, tf.stack([augment_seed, update]))
        optimizer = self.optimizer if self._flat is None else self._flat.optimizer
        if self._schedule is not None:
            # The optimizer keeps a plain number, so that a saved model needs no schedule to be loaded.
            optimizer.learning_rate.assign(self._schedule(update))
        momentum = None if self._momentum is None else self._momentum(update)
        if self._flat is not None:
            x = tf.ensure_shape(x, [rows * self._inputs.copies, *x.shape[1:]])
            done = self._flat.forward_and_back(x, lambda predictions: self._loss(y, predictions))
            learning_rate = self._flat.apply(done, momentum)
            loss, predictions = done.loss, done.predictions
        else:
            weights = self._called.trainable_weights
            with tf.GradientTape() as tape:
                predictions = self._called(x, training=True)
                loss = self._total_loss(y, predictions)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, weights)
            learning_rate = apply_gradients(self.optimizer, gradients, weights, momentum)
        sums = self._sums(loss, y, predictions) / self._inputs.copies
        return (carry[0] + sums,), sums[0] / rows, learning_rate

    def evaluate(self, batch: Batch, carry: Carry) -> Carry:
        x, y = batch
        predictions = self._called(self.prepare(x), training=False)
        return (carry[0] + self._sums(self._total_loss(y, predictions), y, predictions),)

    def finish(self, carry: Carry, rows: int) -> Tensor:
        means = carry[0] / rows
        finishes = [metric.finish for metric in self._metrics]
        return tf.stack([means[0], *(finish(means[1 + i]) for i, finish in enumerate(finishes))])

    def of(self, model: keras.Model) -> Step:
        options = (self._metrics, self._inputs, self._schedule, self._momentum)
        return RowsStep(model, self.optimizer, self._loss, *options, fused=self._fused)

    def _total_loss(self, targets: Tensor, predictions: Tensor) -> Tensor:
        loss = self._loss(targets, predictions)
        return tf.add_n([loss, *self._called.losses]) if self._called.losses else loss

    def _sums(self, loss: Tensor, targets: Tensor, predictions: Tensor) -> Tensor:
        rows = tf.cast(targets.shape[0], tf.float32)
        measured = [tf.reduce_sum(metric.per_row(targets, predictions)) for metric in self._metrics]
        return tf.stack([tf.cast(loss, tf.float32) * rows, *measured])


def run_traced(function: Any, *inputs: Any) -> Any:
    """Call a `tf.function` by its trace for nests like these (ints enter as int32), tracing it for the first of them.

    If it were called itself, TensorFlow would count its traces with those of every other function that the same lines
    made, and warn of retracing where a process makes some loops or models, each traced as seldom as can be.
    """

    def tensor(value: Any) -> Tensor:
        return tf.constant(value, tf.int32) if isinstance(value, int) else tf.convert_to_tensor(value)

    tensors = [map_nest(tensor, nest) for nest in inputs]
    return function.get_concrete_function(*tensors)(*tensors)


def epoch_order(order_seed: Tensor, epoch: Tensor, rows: int) -> Tensor:
    """The order in which an epoch takes the rows: a permutation drawn from (seed, epoch) only.

    Args:
        order_seed: scalar int32, ≥ 0.
        epoch: scalar int32, counted from 1.
        rows: how many rows there are.

    Returns:
        int32, shape [rows]. The same eagerly, in a graph and under XLA, because the Philox generator is named.
    """
    if tf.executing_eagerly():
        return tf.constant(epoch_order_array(order_seed, epoch, rows))
    return tf.argsort(_order_keys(order_seed, epoch, rows), stable=True)


def epoch_order_array(order_seed: Tensor, epoch: Tensor, rows: int) -> NDArray[np.int32]:
    """`epoch_order` for the host: six times as fast for a million rows, and with little memory beside the order."""
    # Each key with its row behind it, which also keeps equal ones in order.
    numbers: NDArray[np.int64] = np.empty(rows, np.int64)
    numbers[:] = _order_keys(order_seed, epoch, rows)
    numbers <<= 32
    for chunk in row_chunks(numbers):
        numbers[chunk] |= np.arange(chunk.start, chunk.stop)
    numbers.sort()
    order: NDArray[np.int32] = np.empty(rows, np.int32)
    for chunk in row_chunks(numbers):
        order[chunk] = numbers[chunk] & 0xFFFFFFFF
    return order


def _order_keys(order_seed: Tensor, epoch: Tensor, rows: int) -> Tensor:
    seed = tf.stack([order_seed, epoch])
    return tf.random.stateless_uniform([rows], seed, minval=None, maxval=None, dtype=tf.int32, alg="philox")


def fold_batches(rows: int, batch: int, body: Callable[[Tensor, int, Any], Any], carry: Any) -> Any:
    """Fold over consecutive batches: `carry = body(start, size, carry)`, the smaller last batch included.

    Sizes are Python ints, because XLA needs every shape when it compiles; only the row at which a batch starts moves.
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


def count_of(rows: Nest) -> int:
    """How many rows a nest of tensors has."""
    count: int = leaves(rows)[0].shape[0]
    return count


def rows_at(rows: Nest, start: Tensor, size: int) -> Nest:
    """`size` rows of a nest from `start` on, with shapes that are known when the function is compiled."""
    if size == count_of(rows):
        return rows

    def part(values: Tensor) -> Tensor:
        rest = values.shape[1:]
        return tf.slice(values, [start, *[0] * len(rest)], [size, *rest])

    return map_nest(part, rows)


def rows_by(rows: Nest, indices: Tensor) -> Nest:
    """The rows of a nest with these indices, int32 [size]."""
    return map_nest(lambda values: tf.gather(values, indices), rows)


def even_batch(rows: int, most: int) -> int:
    """A batch size of at most `most` that leaves no smaller last batch, where there is one of at least half of that.

    Every other size of a batch is one more function to compile.
    """
    if rows <= most:
        return rows
    return next((size for size in range(most, most // 2, -1) if rows % size == 0), most)
