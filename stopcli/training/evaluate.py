"""Loss and measures of a model on rows, outside the compiled loop: what is reported of a model that was saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.rows import Examples
from stopcli.training.inputs import Inputs
from stopcli.training.measures import Measure
from stopcli.training.order import even_batch
from stopcli.training.traced_step import run_traced

Tensor = Any
Predict = Callable[[NDArray[Any]], NDArray[Any]]


def predictor(model: keras.Model, inputs: Inputs, batch_size: int) -> Predict:
    """A function from rows as they lie in memory to the model's predictions, compiled once.

    Args:
        batch_size: rows that are predicted at a time, at most.
    """

    predict = tf.function(lambda x: model(inputs.prepare(x), training=False), autograph=False, reduce_retracing=True)

    def all_of(x: NDArray[Any]) -> NDArray[Any]:
        size = even_batch(len(x), batch_size)
        batches = (tf.constant(x[i : i + size]) for i in range(0, len(x), size))
        return np.concatenate([run_traced(predict, batch).numpy() for batch in batches])

    return all_of


def evaluate(
    model: keras.Model,
    loss: Callable[[Any, Any], Any],
    measures: Iterable[Measure],
    rows: Examples,
    predictions: NDArray[Any],
) -> dict[str, float]:
    """Loss (with the model's regularization) and measures by name, over all rows.

    Args:
        predictions: the model's, for the rows.
    """
    targets = tf.constant(rows.y)
    values = {"loss": float(tf.add_n([loss(targets, tf.constant(predictions)), *model.losses]))}
    for measure in measures:
        values[measure.name] = float(measure.finish(tf.reduce_mean(measure.per_row(targets, predictions))))
    return values
