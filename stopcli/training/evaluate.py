"""Loss and measures of a model on rows, outside the compiled loop: what is reported of a model that was saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from stopcli.data.rows import Rows
from stopcli.training.measures import Measure
from stopcli.training.traced import EVALUATION_BATCH


def evaluate(
    model: keras.Model, loss: Callable[[Any, Any], Any], measures: Iterable[Measure], rows: Rows
) -> dict[str, float]:
    """Loss (with the model's regularization) and measures by name, over all rows."""
    predictions = tf.concat(
        [model(rows.x[i : i + EVALUATION_BATCH], training=False) for i in range(0, rows.count, EVALUATION_BATCH)],
        axis=0,
    )
    targets = tf.constant(rows.y)
    values = {"loss": float(tf.add_n([loss(targets, predictions), *model.losses]))}
    for measure in measures:
        values[measure.name] = float(measure.finish(tf.reduce_mean(measure.per_row(targets, predictions))))
    return values
