"""Two single runs row by row: on the same test rows, by what their models predicted for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.analysis.measure import Measure, View
from stopcli.analysis.run_result import RunResult
from stopcli.errors import RequestError
from stopcli.runs.headline import ACCURACY
from stopcli.runs.predictions import PredictedClasses, PredictedValues, Predictions, read_predictions
from stopcli.stats.bootstrap import RowScores
from stopcli.stats.differences import RowsDifference, rows_difference
from stopcli.stats.scores_difference import ScoresDifference, scores_difference

OnRows = RowsDifference | ScoresDifference
# Metrics are float32.
_ROUNDING = 1e-5
_OTHER_ROWS = "The rows are not compared: the runs have other test rows, or the same in another order."


def compare_rows(ours: RunResult, theirs: RunResult, view: View, measure: Measure) -> tuple[OnRows | None, str]:
    """How two single runs compare row by row in the metric that counts: classes by the rows on which only one of them
    is right, any other metric by a bootstrap over the rows.

    Returns:
        None where that cannot be told, with the reason in a sentence; without one where there is nothing to tell by
        rows.
    """
    if measure.headline is None or measure.better is None or measure.name != measure.headline.column("test"):
        return None, ""
    is_accuracy = measure.name == ACCURACY.column("test") and measure.better == ACCURACY.direction
    stored = list[Predictions]()
    for result in (ours, theirs):
        path = result.run.path / "predictions.npz"
        try:
            predictions = read_predictions(path)
        except RequestError as error:
            return None, f"The rows are not compared: {error.message}."
        if predictions is None:
            missing = f"The rows are not compared: {path} is missing; older versions did not keep it."
            return None, missing if is_accuracy else ""
        if problem := _of_another_model(path, predictions, result, view, measure):
            return None, problem
        stored.append(predictions)
    first, second = stored
    if first.rows != second.rows:
        return None, _OTHER_ROWS if is_accuracy or isinstance(first, PredictedValues) else ""
    if isinstance(first, PredictedClasses) and isinstance(second, PredictedClasses):
        return (_of_classes(first, second, view), "") if is_accuracy else (None, "")
    if not (isinstance(first, PredictedValues) and isinstance(second, PredictedValues)):
        return None, ""
    scores = [_row_scores(one, view) for one in (first, second)]
    if scores[0] is None or scores[1] is None or first.finish != second.finish or first.step != second.step:
        return None, ""
    if scores[0].values.shape != scores[1].values.shape:
        return None, _OTHER_ROWS
    return scores_difference(scores[0], scores[1], measure.better), ""


def _of_another_model(path: Path, predictions: Predictions, result: RunResult, view: View, measure: Measure) -> str:
    """A sentence where predictions are not those that a run's value is of, as of a run that went on since."""
    value = result.value(view.value)
    if isinstance(predictions, PredictedClasses):
        if measure.name != ACCURACY.column("test"):
            return ""
        right = predictions.right(view.name)
        stored = None if right is None else float(right.mean())
    else:
        of_model = predictions.scores(view.name)
        if of_model is None:
            return ""
        stored = of_model[1]
    if stored is None or value is None or abs(stored - value) > _ROUNDING * max(1.0, abs(value)):
        what = ACCURACY.label if measure.headline is None else measure.headline.label
        return f"The rows are not compared: {path} is not of the model whose {what} was measured."
    return ""


def _of_classes(first: PredictedClasses, second: PredictedClasses, view: View) -> RowsDifference | None:
    ours, theirs = (_right(predictions, view) for predictions in (first, second))
    counts = (ours & theirs, ours & ~theirs, ~ours & theirs, ~ours & ~theirs)
    return rows_difference(*(int(rows.sum()) for rows in counts))


def _right(predictions: PredictedClasses, view: View) -> NDArray[np.bool_]:
    right = predictions.right(view.name)
    assert right is not None
    return right


def _row_scores(predictions: PredictedValues, view: View) -> RowScores | None:
    """What the metric is a function of, with the part of it that is no row's."""
    of_model = predictions.scores(view.name)
    if of_model is None:
        return None
    values: NDArray[Any] = of_model[0]
    scores = RowScores(predictions.finish, values)
    # Of some rows only, their own mean stands for that of all.
    shift = of_model[1] - scores.value() if predictions.step == 1 and predictions.finish == "mean" else 0.0
    return RowScores(predictions.finish, values, shift)
