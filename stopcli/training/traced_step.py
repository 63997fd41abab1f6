"""What is computed on one batch, as TensorFlow operations: a training step, or an evaluation.

The mathematics is that of Keras's `fit`: a training metric is the mean over the epoch's batches as each was predicted
before its update, the smaller last batch counts by its rows, the loss includes the model's regularization.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from stopcli.training.inputs import Inputs
from stopcli.training.measures import Measure
from stopcli.training.moving_momentum import moving_momentum

Tensor = Any
Schedule = Callable[[Tensor], Tensor]
"""From the number of updates that were made before (scalar int32) to the next one's learning rate (scalar float32)."""


class TracedStep:
    """A training step and an evaluation of a model.

    Args:
        model: what is called; its trainable weights are updated.
        optimizer: built.
        loss: (targets, predictions) → scalar.
        measures: further metrics.
        inputs: what happens to a batch before.
        schedule: the learning rate of every update; None where it stays as it is in the optimizer.
        momentum: likewise its momentum, which the optimizer has to have (`keras.optimizers.SGD`, momentum > 0).
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        measures: Sequence[Measure],
        inputs: Inputs = Inputs(),  # noqa: B008, a frozen value
        schedule: Schedule | None = None,
        momentum: Schedule | None = None,
    ) -> None:
        self._model, self._optimizer, self._loss, self._measures = model, optimizer, loss, measures
        self._inputs, self._schedule, self._momentum = inputs, schedule, momentum

    @property
    def nothing(self) -> Tensor:
        """The sums over no rows, float32 [1 + measures]."""
        return tf.zeros([1 + len(self._measures)])

    def train(self, x: Tensor, y: Tensor, update: Tensor, augment_seed: Tensor) -> tuple[Tensor, Tensor]:
        """One update.

        Args:
            x, y: a batch as it lies in memory.
            update: scalar int32: how many updates of the run were made before.
            augment_seed: scalar int32.

        Returns:
            The sums over the batch's rows of loss and measures (of a row that enters as several copies, their mean),
            float32 [1 + measures], and the update's learning rate.
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
        with moving_momentum(self._optimizer, moving):
            self._optimizer.apply(gradients, weights)
        return self._sums(loss, y, predictions) / self._inputs.copies, learning_rate

    def evaluate(self, x: Tensor, y: Tensor) -> Tensor:
        """The sums of loss and measures over rows that are not trained on, float32 [1 + measures]."""
        predictions = self._model(self._inputs.prepare(x), training=False)
        return self._sums(self._total_loss(y, predictions), y, predictions)

    def finish(self, means: Tensor) -> Tensor:
        """From means over rows to the values that are reported."""
        finishes = [measure.finish for measure in self._measures]
        return tf.stack([means[0], *(finish(means[1 + i]) for i, finish in enumerate(finishes))])

    def _total_loss(self, targets: Tensor, predictions: Tensor) -> Tensor:
        loss = self._loss(targets, predictions)
        return tf.add_n([loss, *self._model.losses]) if self._model.losses else loss

    def _sums(self, loss: Tensor, targets: Tensor, predictions: Tensor) -> Tensor:
        rows = tf.cast(targets.shape[0], tf.float32)
        measured = [tf.reduce_sum(measure.per_row(targets, predictions)) for measure in self._measures]
        return tf.stack([tf.cast(loss, tf.float32) * rows, *measured])


def run_traced(function: Any, *inputs: Any) -> Any:
    """Call a `tf.function` by what it was traced to for inputs like these, tracing it where they are the first.

    Called itself, TensorFlow would count its traces with those of every other function that the same lines made, and
    warn of retracing where a process makes some loops or models, each of which is traced as seldom as can be.
    """
    return function.get_concrete_function(*inputs)(*inputs)
