"""What a compiled model comes to on the test rows beyond a value: its interval, and what is kept of its predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest
from stopcli.report.run_results import MISSING
from stopcli.runs.headline import ACCURACY, Headline
from stopcli.runs.predictions import PredictedClasses, PredictedValues, Predictions
from stopcli.runs.summary import ModelDifference
from stopcli.stats.auc_difference import auc_difference
from stopcli.stats.bootstrap import RowScores, RowsInterval
from stopcli.stats.differences import RowsDifference, rows_difference
from stopcli.stats.intervals import Proportion, proportion
from stopcli.stats.scores_difference import ScoresDifference, scores_difference
from stopcli.training.row_scores import OnRows, on_rows
from stopcli.training.state_file import hash_of_rows
from stopcli.training.task import Task, task_of

# Of more numbers a row, as of an image, only what the metric is made of is stored.
MOST_OUTPUTS = 16


@dataclass(frozen=True, eq=False)
class ModelOnRows:
    """A model on the test rows.

    Attributes:
        predictions: for these rows.
        value: of the metric that counts, as it was measured.
        regularization: the part of its loss that is no row's: that of the weights' regularizers.
    """

    predictions: Nest
    value: float | None
    regularization: float = 0.0


def model_on_rows(model: keras.Model, predictions: Nest, value: float | None) -> ModelOnRows:
    """A model on the test rows; arguments as in `ModelOnRows`."""
    # What layers add of their activations is of the rows that the model was last called on, or of a graph.
    of_weights = [weight.regularizer(weight) for weight in model.trainable_variables if weight.regularizer is not None]
    return ModelOnRows(predictions, value, sum(float(keras.ops.convert_to_numpy(loss)) for loss in of_weights))


def intervals_and_predictions(
    compiled: keras.Model, headline: Headline, rows: Examples, final: ModelOnRows, saved: ModelOnRows | None
) -> tuple[dict[str, Any], Predictions | None, dict[str, OnRows]]:
    """The intervals of the metric that counts over the test rows, and what is kept of what was predicted for them.

    Args:
        compiled: a model with the loss and the metrics, whatever its weights.

    Returns:
        The `test_interval` of a summary; the content of a predictions.npz, None where there is nothing to keep; and the
        metric row by row, of the `final` model, and where one was saved, of the `best` one.
    """
    if not rows.count:
        return {"final": None, "best": None}, None, {}
    measured = {
        name: on_rows(compiled, headline, rows, model.predictions, model.value, model.regularization)
        for name, model in (("final", final), ("best", saved))
        if model is not None
    }
    intervals: dict[str, Any] = {"final": None, "best": None}
    intervals |= {name: interval_on_rows(result, headline) for name, result in measured.items()}
    reasons = [result.reason for result in measured.values() if result.reason]
    predictions = _predictions_of(
        compiled, headline, rows, (final, measured["final"]), None if saved is None else (saved, measured["best"])
    )
    return {**intervals, **({MISSING: reasons[0]} if reasons else {})}, predictions, measured


def interval_on_rows(result: OnRows, headline: Headline) -> Proportion | RowsInterval | None:
    """Wilson's where rows are right or wrong, else the bootstrap's."""
    hits = _hits(result.scores) if headline.kind == "proportion" else None
    return result.interval if hits is None else proportion(int(hits.sum()), len(hits))


def difference_on_rows(first: OnRows, second: OnRows, headline: Headline) -> RowsDifference | ScoresDifference | None:
    """The metric that counts of two models on the same rows, the first one's less the second's: of an accuracy by the
    rows that only one of them has right, of an area under a ROC curve by ranks, else by a bootstrap of the rows.

    Args:
        first, second: the same metric, of the same rows.

    Returns:
        None where that cannot be told, as for fewer than 10 rows.
    """
    if first.roc is not None and second.roc is not None:
        roc = first.roc
        return auc_difference(roc.positive, roc.scores, second.roc.scores, roc.thresholds)
    if first.scores is None or second.scores is None or first.scores.finish != second.scores.finish:
        return None
    ours, theirs = (_hits(one.scores) if headline.kind == "proportion" else None for one in (first, second))
    if ours is None or theirs is None:
        return scores_difference(first.scores, second.scores, headline.direction)
    counts = (ours & theirs, ours & ~theirs, ~ours & theirs, ~ours & ~theirs)
    return rows_difference(*(int(rows.sum()) for rows in counts))


def model_difference(first: OnRows, second: OnRows, headline: Headline) -> ModelDifference | None:
    """What a summary has of `difference_on_rows`; None too where a number of it is not finite."""
    by = difference_on_rows(first, second, headline)
    if by is None or not all(map(math.isfinite, (by.mean, by.low, by.high, by.p))):
        return None
    return ModelDifference(
        rows=by.rows, mean=by.mean, low=by.low, high=by.high, p=by.p, test=by.test, verdict=by.verdict()
    )


def _hits(scores: RowScores | None) -> NDArray[np.bool_] | None:
    """Which rows are right, where a metric is the share of those; None where it is something else."""
    if scores is None or scores.finish != "mean" or scores.values.shape[1] != 1:
        return None
    return scores.values[:, 0] > 0 if bool(np.isin(scores.values, (0, 1)).all()) else None


def _predictions_of(
    compiled: keras.Model,
    headline: Headline,
    rows: Examples,
    final: tuple[ModelOnRows, OnRows],
    saved: tuple[ModelOnRows, OnRows] | None,
) -> Predictions | None:
    final_task = task_of(compiled.loss, rows.y, final[0].predictions)
    saved_task = None if saved is None else task_of(compiled.loss, rows.y, saved[0].predictions)
    if final[0].value is None or (saved is not None and saved[0].value is None):
        return None
    name, scores = hash_of_rows(rows), final[1].scores
    are_hits = headline.name == ACCURACY.name and _hits(scores) is not None
    if are_hits and final_task.kind == "classes" and (saved_task is None or saved_task.kind == "classes"):
        return _classes(name, final_task, saved_task)
    target, by_final = _numbers(final_task)
    return PredictedValues(
        name,
        scores.finish if scores else "",
        final[0].value,
        saved[0].value if saved else None,
        scores.values if scores else None,
        saved[1].scores.values if scores and saved and saved[1].scores else None,
        target,
        by_final,
        _numbers(saved_task)[1] if saved_task and by_final is not None else None,
    )


def _classes(name: str, final: Task, saved: Task | None) -> PredictedClasses:
    dtype = np.uint8 if final.predicted.shape[1] <= 256 else np.uint16
    by_saved = None if saved is None else saved.predicted_classes.astype(dtype)
    return PredictedClasses(name, final.true.astype(dtype), final.predicted_classes.astype(dtype), by_saved)


def _numbers(task: Task) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Targets and predictions, float32 [rows, outputs]: of classes their indices."""
    if task.kind == "classes":
        return task.true[:, None].astype(np.float32), task.predicted_classes[:, None].astype(np.float32)
    if task.kind == "other" or task.true.shape[1] > MOST_OUTPUTS:
        return None, None
    return task.true, task.predicted
