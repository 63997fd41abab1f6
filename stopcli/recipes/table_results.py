"""What a run on a table leaves beside that of any fit: how its models compare with simpler answers, how the target is
distributed, and the worst rows as they stand in the table."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.data.nest import leaves
from stopcli.runs.headline import Headline
from stopcli.runs.summary import BaselineDifference, BaselineValues, RunSummary

if TYPE_CHECKING:
    from stopcli.recipes.table_baselines import Baseline
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.row_scores import OnRows
    from stopcli.training.trainer import Experiment

_ABSOLUTE = ("mae", "mean_absolute_error")
# Columns of a table that are shown of its worst rows, and letters of a word.
_MOST_COLUMNS, _LONGEST_WORD = 5, 40
# In bytes.
_LARGEST_FILE = 1 << 26
# Of probabilities as logits.
_LEAST_PROBABILITY = 1e-7


def counts_absolute(headline: Headline) -> bool:
    """Whether the best constant by a metric is the median."""
    return headline.name in _ABSOLUTE


def with_baselines(
    experiment: Experiment, evaluation: Evaluation, baselines: tuple[Baseline, ...], notes: tuple[str, ...] = ()
) -> RunSummary:
    """The run's summary with what baselines come to on its test rows, measured as its models were.

    Args:
        baselines: of the rows that train.
        notes: on them.

    Returns:
        Without any where no rows test, or the model predicts something else.
    """
    summary, rows = evaluation.summary, experiment.parts.test
    if not rows.count or evaluation.test_predictions is None:
        return summary
    values = [_values_of(experiment, evaluation, rows, baseline) for baseline in baselines]
    of_baselines = (note for baseline in baselines for note in baseline.notes)
    return replace(
        summary,
        baselines=tuple(value for value in values if value is not None),
        warnings=(*summary.warnings, *notes, *of_baselines),
    )


def _values_of(
    experiment: Experiment, evaluation: Evaluation, rows: Examples, baseline: Baseline
) -> BaselineValues | None:
    """None where the model's outputs are not of the kind that a baseline predicts."""
    from stopcli.training.model_rows import interval_on_rows
    from stopcli.training.row_scores import on_rows, value_on_rows

    headline, model = experiment.headline, experiment.model
    predictions = _as_outputs(baseline.predict(rows.x), evaluation.test_predictions, experiment.loss)
    value = None if predictions is None else value_on_rows(model, headline, rows, predictions)
    if predictions is None or value is None or not math.isfinite(value):
        return None
    measured = on_rows(model, headline, rows, predictions, value)
    interval = interval_on_rows(measured, headline)
    summary = evaluation.summary
    differences = {
        name: _difference(evaluation.on_rows.get(name), measured, of_model.get("test", headline.name), value, headline)
        for name, of_model in (("final", summary.final), ("best", summary.best))
        if of_model is not None
    }
    return BaselineValues(
        name=baseline.name,
        is_linear=baseline.is_linear,
        fitted=baseline.fitted,
        test={headline.name: value},
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        **differences,
    )


def _as_outputs(predicted: NDArray[np.float32], outputs: Any, loss: Any) -> NDArray[np.float32] | None:
    """Numbers, or probabilities, in the form of a model's outputs; None where these are of another kind.

    Args:
        predicted: of a baseline, [rows, 1 or classes].
        outputs: of the model, for the same rows.
        loss: that it was compiled with.
    """
    from stopcli.training.task import from_logits

    arrays = leaves(outputs)
    if len(arrays) != 1 or len(arrays[0]) != len(predicted):
        return None
    width = math.prod(arrays[0].shape[1:])
    if predicted.shape[1] == 1:
        return predicted.reshape(arrays[0].shape) if width == 1 else None
    if width not in (predicted.shape[1], 1) or (width == 1 and predicted.shape[1] != 2):
        return None
    if from_logits(loss):
        logs = np.log(np.maximum(predicted, _LEAST_PROBABILITY))
        predicted = logs[:, 1:] - logs[:, :1] if width == 1 else logs
    elif width == 1:
        predicted = predicted[:, 1:]
    shaped: NDArray[np.float32] = predicted.reshape(arrays[0].shape)
    return shaped


def _difference(
    ours: OnRows | None, theirs: OnRows, value: float | None, baseline: float, headline: Headline
) -> BaselineDifference | None:
    """A model's value less a baseline's; None where it has none."""
    from stopcli.training.model_rows import difference_on_rows

    if value is None or not math.isfinite(value):
        return None
    difference = None if ours is None else difference_on_rows(ours, theirs, headline)
    if difference is None:
        return BaselineDifference(value - baseline)
    return BaselineDifference(difference.mean, difference.low, difference.high, difference.p, difference.verdict())
