"""What is computed on one batch, as TensorFlow operations: a training step or an evaluation; and what batches are.

The mathematics is that of Keras's `fit`: a training metric is the mean over the epoch's batches as each was predicted
before its update, the smaller last batch counts by its rows, the loss includes the model's regularization.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

Tensor = Any
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


class _MomentumTensor:
    """A momentum that is a tensor, while an update is traced.

    Keras compares its momentum with 0, which a tensor of a graph does not allow, and then casts it.
    """

    def __init__(self, value: Tensor) -> None:
        self._value = value

    def __ne__(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Tensor:
        return tf.convert_to_tensor(self._value, dtype, name=name)


@contextlib.contextmanager
def scheduled_momentum(optimizer: keras.optimizers.Optimizer, momentum: Tensor | None) -> Iterator[None]:
    """Have the updates that the block traces use a momentum; afterwards the optimizer is as it was.

    Args:
        optimizer: `keras.optimizers.SGD` with a momentum > 0, or one that scales the loss for it.
        momentum: scalar float32; None to leave the optimizer's as it is.
    """
    if momentum is None:
        yield
        return
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    constant = inner.momentum
    inner.momentum = _MomentumTensor(momentum)
    try:
        yield
    finally:
        inner.momentum = constant


class TracedStep:
    """A training step and an evaluation of a model.

    Args:
        model: what is called; its trainable weights are updated.
        optimizer: built.
        loss: (targets, predictions) → scalar.
        metrics: further metrics.
        inputs: what happens to a batch before.
        schedule: the learning rate of every update; None where it stays as it is in the optimizer.
        momentum: likewise its momentum, which the optimizer has to have (`keras.optimizers.SGD`, momentum > 0).
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        metrics: Sequence[Metric],
        inputs: Inputs = Inputs(),
        schedule: Schedule | None = None,
        momentum: Schedule | None = None,
    ) -> None:
        self._model, self._optimizer, self._loss, self._metrics = model, optimizer, loss, metrics
        self._inputs, self._schedule, self._momentum = inputs, schedule, momentum

    @property
    def nothing(self) -> Tensor:
        """The sums over no rows, float32 [1 + metrics]."""
        return tf.zeros([1 + len(self._metrics)])

    def train(self, x: Tensor, y: Tensor, update: Tensor, augment_seed: Tensor) -> tuple[Tensor, Tensor]:
        """One update.

        Args:
            x, y: a batch as it lies in memory.
            update: scalar int32: how many updates of the run were made before.
            augment_seed: scalar int32.

        Returns:
            The sums over the batch's rows of loss and metrics (of a row that enters as several copies, their mean),
            float32 [1 + metrics], and the update's learning rate.
        """
        x = self._inputs.prepare(x)
        if self._inputs.copies > 1:
            x, y = (tf.repeat(rows, self._inputs.copies, axis=0) for rows in (x, y))
        if self._inputs.augment is not None:
            x = self._inputs.augment(x, tf.stack([augment_seed, update]))
        if self._schedule is not None:
            # The optimizer keeps a plain number, so that a saved model needs no schedule to be loaded.
            self._optimizer.learning_rate.assign(self._schedule(update))
        weights = self._model.trainable_weights
        with tf.GradientTape() as tape:
            predictions = self._model(x, training=True)
            loss = self._total_loss(y, predictions)
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, weights)
        # A copy of the rate as it is before the update, which may move it on.
        learning_rate = tf.identity(tf.cast(self._optimizer.learning_rate, tf.float32))
        moving = None if self._momentum is None else self._momentum(update)
        with scheduled_momentum(self._optimizer, moving):
            self._optimizer.apply(gradients, weights)
        return self._sums(loss, y, predictions) / self._inputs.copies, learning_rate

    def evaluate(self, x: Tensor, y: Tensor) -> Tensor:
        """The sums of loss and metrics over rows that are not trained on, float32 [1 + metrics]."""
        predictions = self._model(self._inputs.prepare(x), training=False)
        return self._sums(self._total_loss(y, predictions), y, predictions)

    def finish(self, means: Tensor) -> Tensor:
        """From means over rows to the values that are reported."""
        finishes = [metric.finish for metric in self._metrics]
        return tf.stack([means[0], *(finish(means[1 + i]) for i, finish in enumerate(finishes))])

    def _total_loss(self, targets: Tensor, predictions: Tensor) -> Tensor:
        loss = self._loss(targets, predictions)
        return tf.add_n([loss, *self._model.losses]) if self._model.losses else loss

    def _sums(self, loss: Tensor, targets: Tensor, predictions: Tensor) -> Tensor:
        rows = tf.cast(targets.shape[0], tf.float32)
        measured = [tf.reduce_sum(metric.per_row(targets, predictions)) for metric in self._metrics]
        return tf.stack([tf.cast(loss, tf.float32) * rows, *measured])


def run_traced(function: Any, *inputs: Any) -> Any:
    """Call a `tf.function` by its trace for inputs like these (ints enter as int32), tracing it for the first of them.

    If it were called itself, TensorFlow would count its traces with those of every other function that the same lines
    made, and warn of retracing where a process makes some loops or models, each traced as seldom as can be.
    """
    tensors = [
        tf.constant(value, tf.int32) if isinstance(value, int) else tf.convert_to_tensor(value) for value in inputs
    ]
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
    seed = tf.stack([order_seed, epoch])
    keys = tf.random.stateless_uniform([rows], seed, minval=None, maxval=None, dtype=tf.int32, alg="philox")
    return tf.argsort(keys, stable=True)


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
