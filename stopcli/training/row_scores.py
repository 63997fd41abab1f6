"""What the metric that counts is a function of, row by row: for its interval over the test rows, and to compare two
models on the same rows.

A compiled model's metrics are Keras's own objects, which sum up and forget. Of those that are computed here from the
predictions, the value is compared with the one that Keras measured; where they do not agree, there are no scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import DTypeLike, NDArray

from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest, leaves
from stopcli.runs.headline import LOSS, Headline
from stopcli.stats.bootstrap import RowScores, RowsInterval, auc_interval, interval_of

Array = NDArray[Any]
# Rows whose loss or metric is computed at a time.
_ROWS_AT_A_TIME = 1 << 16
# Keras computes in float32, in another order.
_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class RocScores:
    """What an area under a ROC curve is computed from.

    Attributes:
        positive: the class of each row, shape [rows].
        scores: float32 [rows].
        thresholds: at which the curve is measured, ascending.
    """

    positive: NDArray[np.bool_]
    scores: NDArray[np.floating[Any]]
    thresholds: NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class OnRows:
    """What a metric says of rows beyond its value.

    Attributes:
        scores: None where it is no function of means over rows.
        interval: None where there is none.
        reason: why there is no interval, in words that follow "because"; empty where there is one.
        roc: of an area under a ROC curve; None of any other metric.
    """

    scores: RowScores | None = None
    interval: RowsInterval | None = None
    reason: str = ""
    roc: RocScores | None = None


def on_rows(
    compiled: keras.Model,
    headline: Headline,
    rows: Examples,
    predictions: Nest,
    value: float | None,
    regularization: float = 0.0,
) -> OnRows:
    """The scores and the interval of the metric that counts over the rows that it was measured on.

    Args:
        compiled: a model with the loss and the metrics, whatever its weights.
        predictions: for these rows.
        value: as it was measured.
        regularization: the part of the loss that is no row's.
    """
    if value is None or not math.isfinite(value):
        return OnRows(reason="it was not measured, or is not a number")
    name = f"the model's {headline.label}"
    if headline.name == LOSS.name:
        candidates = _losses(compiled, rows, predictions, regularization)
        return _first_that_agrees(candidates, value, f"{name} is no mean over rows that can be computed again")
    metric, targets, predicted, weighted = _metric_of(compiled, headline.name, rows.y, predictions)
    if metric is None:
        return OnRows(reason=f"{name} is not one that the model was compiled with")
    if isinstance(metric, keras.metrics.AUC):
        return _area(metric, targets, predicted, value, name)
    candidates = _scores(metric, targets, predicted, rows.weight if weighted else None)
    return _first_that_agrees(candidates, value, f"{name} is no function of means over rows that is known here")


def value_on_rows(compiled: keras.Model, headline: Headline, rows: Examples, predictions: Nest) -> float | None:
    """The metric that counts as the model's own metric measures it, of predictions that need not be the model's; of a
    loss without the part that is no row's. None where it cannot be measured from predictions alone.

    Args:
        compiled, rows, predictions: as for `on_rows`.
    """
    if headline.name == LOSS.name:
        losses = next(_losses(compiled, rows, predictions, 0.0), None)
        return None if losses is None else losses.value()
    metric, targets, predicted, weighted = _metric_of(compiled, headline.name, rows.y, predictions)
    if metric is None:
        return None
    # The metric's own variables stay as they are.
    variables = metric.stateless_reset_state()
    for start in range(0, len(targets), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        weight = rows.weight[part] if weighted and rows.weight is not None else None
        variables = metric.stateless_update_state(variables, targets[part], predicted[part], sample_weight=weight)
    return float(keras.ops.convert_to_numpy(metric.stateless_result(variables)))


def _first_that_agrees(candidates: Iterator[RowScores], value: float, reason: str) -> OnRows:
    for scores in candidates:
        if _agrees(scores.value(), value):
            interval = interval_of(scores)
            few = "too few rows test, or without some of them it is no number"
            return OnRows(scores, interval, "" if interval else few)
    return OnRows(reason=reason)


def _agrees(computed: float, measured: float) -> bool:
    return abs(computed - measured) <= _TOLERANCE * max(abs(measured), 1e-3)


def _losses(model: keras.Model, rows: Examples, predictions: Nest, regularization: float) -> Iterator[RowScores]:
    """The loss of each row, with its weight and that of the loss."""
    targets, predicted = leaves(rows.y), leaves(predictions)
    if len(targets) != 1 or len(predicted) != 1 or not (callable(model.loss) or isinstance(model.loss, str)):
        return
    loss = keras.losses.get(model.loss)
    # Without weights of rows the last one is the mean, too.
    means = ("mean", "sum_over_batch_size", *(("mean_with_sample_weight",) if rows.weight is None else ()))
    if getattr(loss, "reduction", "mean") not in means:
        return
    # Of a loss object what it computes before it reduces it.
    by_row = _by_row(getattr(loss, "call", loss), targets[0], predicted[0])
    if by_row is None:
        return
    loss_weights = model._compile_loss._user_loss_weights
    if loss_weights is not None:
        by_row = by_row * np.float32(leaves(loss_weights)[0])
    yield RowScores("mean", by_row if rows.weight is None else by_row * _column(rows.weight), regularization)


def _metric_of(model: keras.Model, name: str, y: Nest, predictions: Nest) -> tuple[Any, Array, Array, bool]:
    """The metric of a name, the targets and the predictions that it is of, and whether it counts rows by weight; None
    where there is none."""
    # Keras has no public way from a metric to the output that it is of.
    compiled = getattr(model, "_compile_metrics", None)
    targets, predicted = leaves(y), leaves(predictions)
    if compiled is None or len(targets) != len(predicted):
        return None, np.empty(0), np.empty(0), False
    if not compiled.built:
        compiled.build(y, predictions)
    # By the names of outputs, as Keras does.
    targets, predicted = compiled._flatten_y(y), compiled._flatten_y(predictions)
    for of_outputs, weighted in ((compiled._flat_metrics, False), (compiled._flat_weighted_metrics, True)):
        for i, of_output in enumerate(of_outputs):
            prefix = f"{of_output.output_name}_" if getattr(of_output, "output_name", None) else ""
            for metric in getattr(of_output, "metrics", ()):
                if f"{prefix}{metric.name}" == name and i < len(targets):
                    return metric, np.asarray(targets[i]), np.asarray(predicted[i]), weighted
    return None, np.empty(0), np.empty(0), False


def _scores(metric: Any, targets: Array, predicted: Array, weight: Array | None) -> Iterator[RowScores]:
    """What a metric may be a function of."""
    if isinstance(metric, keras.metrics.RootMeanSquaredError) and targets.size == predicted.size:
        squares = np.square(_flat(predicted) - _flat(targets)).mean(axis=1, keepdims=True)
        yield RowScores("root", squares)
    elif isinstance(metric, keras.metrics.R2Score) and targets.size == predicted.size:
        target = _flat(targets)
        yield RowScores("r2", np.hstack([np.square(target - _flat(predicted)), target, np.square(target)]))
    elif isinstance(metric, (keras.metrics.Precision, keras.metrics.Recall)):
        kind = "precision" if isinstance(metric, keras.metrics.Precision) else "recall"
        if targets.size == predicted.size and metric.class_id is None and metric.top_k is None:
            for threshold in metric.thresholds:
                hits = _hits(_flat(targets) > 0.5, _flat(predicted) > threshold)
                yield RowScores(kind, np.hstack([hits_of.mean(axis=1, keepdims=True) for hits_of in hits]))
    elif isinstance(metric, keras.metrics.F1Score | keras.metrics.FBetaScore):
        if metric.beta == 1 and metric.average in ("macro", "micro") and targets.shape == predicted.shape:
            true, chosen = targets.astype(bool), _chosen(predicted, metric.threshold)
            yield RowScores("f1" if metric.average == "macro" else "f1_micro", np.hstack(_hits(true, chosen)))
    elif isinstance(metric, keras.metrics.MeanMetricWrapper):
        function, options = metric._fn, metric._fn_kwargs
        by_row = _by_row(lambda y, p: function(y, p, **options), targets, predicted, targets.dtype)
        if by_row is not None and weight is not None:
            column = _column(weight)
            yield RowScores("weighted", np.hstack([by_row * column, column]))
        elif by_row is not None:
            yield RowScores("mean", by_row)


def _chosen(predicted: Array, threshold: float | None) -> Array:
    """The classes that predictions name, bool [rows, classes]."""
    if threshold is not None:
        return predicted > threshold
    chosen = np.zeros(predicted.shape, bool)
    chosen[np.arange(len(predicted)), np.argmax(predicted, axis=-1)] = True
    return chosen


def _hits(true: Array, chosen: Array) -> list[Array]:
    return [hit.astype(np.float32) for hit in (true & chosen, ~true & chosen, true & ~chosen)]


def _area(metric: Any, targets: Array, predicted: Array, value: float, name: str) -> OnRows:
    if (
        "ROC" not in str(metric.curve).upper()
        or metric.multi_label
        or targets.size != len(targets)
        or predicted.size != len(predicted)
    ):
        return OnRows(reason=f"{name} is not of a ROC curve of one output")
    scores = predicted.reshape(-1)
    if metric._from_logits:
        scores = np.asarray(keras.ops.sigmoid(scores))
    roc = RocScores(targets.reshape(-1) > 0.5, scores, np.asarray(metric.thresholds, np.float32))
    area, interval = auc_interval(roc.positive, roc.scores, roc.thresholds)
    if not _agrees(area, value):
        return OnRows(reason=f"{name} sums its curve up in another way")
    return OnRows(None, interval, "" if interval else "too few rows test, or of one class only", roc)


def _by_row(
    function: Callable[[Any, Any], Any], targets: Array, predicted: Array, dtype: DTypeLike = np.float32
) -> Array | None:
    """A function's values, float32 [rows, 1], the mean of those of each row; None where it has none for each, or cannot
    be called as it is here.

    Args:
        dtype: of the targets that it takes; Keras makes those of a loss float32, and leaves those of a metric alone.
    """
    # As Keras does before it calls a loss or a metric.
    targets = targets.astype(dtype)
    if targets.ndim == predicted.ndim - 1 and predicted.shape[-1] == 1:
        targets = targets[..., None]
    elif predicted.ndim == targets.ndim - 1 and targets.shape[-1] == 1:
        targets = targets[..., 0]
    parts = []
    for start in range(0, len(targets), _ROWS_AT_A_TIME):
        part = slice(start, start + _ROWS_AT_A_TIME)
        try:
            values = function(*map(keras.ops.convert_to_tensor, (targets[part], predicted[part])))
        # A user's function may raise anything where it is called otherwise than within `fit`: the training is over, and
        # its results need no interval.
        except Exception:
            return None
        values = np.asarray(keras.ops.convert_to_numpy(values), np.float32)
        if values.ndim == 0 or len(values) != len(targets[part]):
            return None
        parts.append(values.reshape(len(values), -1).mean(axis=1))
    return np.concatenate(parts)[:, None] if parts else None


def _flat(rows: Array) -> Array:
    return rows.reshape(len(rows), -1).astype(np.float32)


def _column(weight: Array) -> Array:
    return np.asarray(weight, np.float32).reshape(-1, 1)
