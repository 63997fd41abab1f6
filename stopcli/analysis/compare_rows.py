"""Two single runs row by row: on the same test rows, by what their models predicted for each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
BEFORE = "before.npz"
"""In the folder of a run that was started from another one's model: what that model predicts for its test rows, as in
predictions.npz, where it stands as the final model."""
_OTHER_ROWS = "The rows are not compared: the runs have other test rows, or the same in another order."


def compare_rows(ours: RunResult, theirs: RunResult, view: View, measure: Measure) -> tuple[OnRows | None, str]:
    """How two single runs compare row by row in the metric that counts: classes by the rows on which only one of them
    is right, any other metric by a bootstrap over the rows.

    Returns:
        None where that cannot be told, with the reason in a sentence; without one where there is nothing to tell by
        rows.
    """
    if not _counts(measure):
        return None, ""
    stored = list[Predictions]()
    for result in (ours, theirs):
        predictions, reason = _stored(result, view, measure)
        if predictions is None:
            return None, reason
        stored.append(predictions)
    return _compared(stored[0], stored[1], (view.name, view.name), measure)


def compare_to_before(run: RunResult, view: View, measure: Measure) -> tuple[OnRows | None, float | None, str]:
    """How a single run compares with the model that it was started from, on the run's own test rows: that model
    predicted them before it was trained further (before.npz).

    Returns:
        As `compare_rows`; between the two, the metric of the model that it was started from, None where it is not
        known.
    """
    if not _counts(measure):
        return None, None, ""
    ours, reason = _stored(run, view, measure)
    if ours is None:
        return None, None, reason
    path = run.run.path / BEFORE
    try:
        before = read_predictions(path)
    except RequestError as error:
        return None, None, f"The rows are not compared: {error.message}."
    if before is None:
        return None, None, f"The rows are not compared: {path} is missing."
    if isinstance(before, PredictedValues):
        value: float | None = before.final_value
    else:
        value = float((before.final == before.target).mean())
    on_rows, reason = _compared(ours, before, (view.name, "final"), measure)
    return on_rows, value, reason


def _counts(measure: Measure) -> bool:
    """Whether a measure is one that predictions are kept for: the metric that counts, on the test rows."""
    headline = measure.headline
    return headline is not None and measure.better is not None and measure.name == headline.column("test")


def _is_accuracy(measure: Measure) -> bool:
    return measure.name == ACCURACY.column("test") and measure.better == ACCURACY.direction


def _stored(result: RunResult, view: View, measure: Measure) -> tuple[Predictions | None, str]:
    """What a run's models predict for its test rows; None with the reason, as of `compare_rows`."""
    if view.name == "refit":
        # What it predicts is not stored.
        return None, ""
    path = result.run.path / "predictions.npz"
    try:
        predictions = read_predictions(path)
    except RequestError as error:
        return None, f"The rows are not compared: {error.message}."
    if predictions is None:
        why = "runs that were ended early do not have it, nor those of older versions"
        missing = f"The rows are not compared: {path} is missing; {why}."
        return None, missing if _is_accuracy(measure) else ""
    problem = _of_another_model(path, predictions, result, view, measure)
    return (None, problem) if problem else (predictions, "")


def _compared(
    first: Predictions, second: Predictions, models: tuple[str, str], measure: Measure
) -> tuple[OnRows | None, str]:
    """As `compare_rows`.

    Args:
        models: of each, which it is: `final` or `saved`.
    """
    assert measure.better is not None
    if first.rows != second.rows:
        by_rows = _is_accuracy(measure) or isinstance(first, PredictedValues)
        return None, _OTHER_ROWS if by_rows else ""
    if isinstance(first, PredictedClasses) and isinstance(second, PredictedClasses):
        return (_of_classes(first, second, models), "") if _is_accuracy(measure) else (None, "")
    if not (isinstance(first, PredictedValues) and isinstance(second, PredictedValues)):
        return None, ""
    ours, theirs = (_row_scores(one, model) for one, model in zip((first, second), models, strict=True))
    if ours is None or theirs is None or first.finish != second.finish or first.step != second.step:
        return None, ""
    if ours.values.shape != theirs.values.shape:
        return None, _OTHER_ROWS
    return scores_difference(ours, theirs, measure.better), ""


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


def _of_classes(first: PredictedClasses, second: PredictedClasses, models: tuple[str, str]) -> RowsDifference | None:
    ours, theirs = first.right(models[0]), second.right(models[1])
    assert ours is not None
    assert theirs is not None
    counts = (ours & theirs, ours & ~theirs, ~ours & theirs, ~ours & ~theirs)
    return rows_difference(*(int(rows.sum()) for rows in counts))


def _row_scores(predictions: PredictedValues, model: str) -> RowScores | None:
    """What the metric is a function of, with the part of it that is no row's."""
    of_model = predictions.scores(model)
    if of_model is None:
        return None
    values: NDArray[Any] = of_model[0]
    scores = RowScores(predictions.finish, values)
    # Of some rows only, their own mean stands for that of all.
    shift = of_model[1] - scores.value() if predictions.step == 1 and predictions.finish == "mean" else 0.0
    return RowScores(predictions.finish, values, shift)
