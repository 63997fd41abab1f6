"""What is measured on every row, in training and in validation: each a function of targets and predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any


def _identity(mean: Tensor) -> Tensor:
    return mean


@dataclass(frozen=True)
class Measure:
    """A metric that is a mean over rows, perhaps with a last step after it.

    Args:
        name: as it stands in metrics.csv; validation adds `val_`.
        per_row: (targets [rows, …], predictions [rows, …]) → float32 [rows].
        finish: from the mean over all rows to the value, such as the square root of RMSE.
    """

    name: str
    per_row: Callable[[Tensor, Tensor], Tensor]
    finish: Callable[[Tensor], Tensor] = _identity


def _row_mean(values: Tensor) -> Tensor:
    """The mean of everything in a row: [rows, …] → float32 [rows]."""
    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(tf.reshape(values, [tf.shape(values)[0], -1]), axis=1)


def _binary_hits(targets: Tensor, predictions: Tensor) -> Tensor:
    return _row_mean(tf.equal(predictions > 0.5, tf.cast(targets, predictions.dtype) > 0.5))


def _squared_error(targets: Tensor, predictions: Tensor) -> Tensor:
    return _row_mean(tf.square(predictions - tf.cast(targets, predictions.dtype)))


def _class_hits(targets: Tensor, predictions: Tensor) -> Tensor:
    found = tf.argmax(predictions, axis=-1, output_type=tf.int32)
    return tf.cast(tf.equal(found, tf.reshape(tf.cast(targets, tf.int32), [-1])), tf.float32)


BINARY_ACCURACY = Measure("accuracy", _binary_hits)
CLASS_ACCURACY = Measure("accuracy", _class_hits)
"""Of class indices, int [rows], and probabilities, [rows, classes]."""
RMSE = Measure("rmse", _squared_error, tf.sqrt)
