"""How sure a metric over test rows is, by the bootstrap: what it would be on other rows like these.

Whatever is a function of means over rows (an error, its root, R², F1) is resampled by counting how often each row is
drawn, so that all resamples are one matrix product. Intervals are BCa: corrected for the bias and the skewness of what
is resampled, such as an RMSE of few large errors (B. Efron, "Better Bootstrap Confidence Intervals", 1987).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.stats.intervals import CONFIDENCE, widened_confidence

Floats = NDArray[np.float64]
Finish = Callable[[Floats], Floats]
"""From means over rows, shape [resamples, k], to the metric's values, shape [resamples]."""

RESAMPLES = 4999
# Of fewer rows an interval says nothing.
FEWEST_ROWS = 10
# More rows are put together at random into so many groups, whose sums are drawn: as good for rows that are independent,
# and as fast for millions.
MOST_GROUPS = 5000
# From so many rows on, the widening for few is far below what an interval's digits show.
_MANY_ROWS = 1000
# Resamples whose counts are in memory at a time.
_AT_A_TIME = 250
# More different scores than this are put into so many bins of about as many rows.
_MOST_BINS = 2000
_NORMAL = statistics.NormalDist()


@dataclass(frozen=True)
class RowsInterval:
    """The 95 % interval of a metric over the test rows: of other rows like these, not of other seeds.

    Attributes:
        rows: that were resampled.
        method: in words.
    """

    rows: int
    low: float
    high: float
    method: str = "bootstrap over the rows (BCa)"


def _mean(means: Floats) -> Floats:
    return means[:, 0]


def _root(means: Floats) -> Floats:
    return np.sqrt(means[:, 0])


def _r2(means: Floats) -> Floats:
    """From the means, for each output, of the squared error, of the target and of its square."""
    error, target, square = np.split(means, 3, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores: Floats = np.mean(1 - error / (square - target**2), axis=1)
    return scores


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _together(means: Floats) -> list[Floats]:
    """The shares of true positives, false positives and false negatives, over all classes."""
    return [shares.sum(axis=1) for shares in np.split(means, 3, axis=1)]


def _precision(means: Floats) -> Floats:
    right, false, _ = _together(means)
    return _ratio(right, right + false)


def _recall(means: Floats) -> Floats:
    right, _, missed = _together(means)
    return _ratio(right, right + missed)


def _f1(means: Floats) -> Floats:
    """The mean of the classes' F1."""
    right, false, missed = np.split(means, 3, axis=1)
    scores: Floats = np.mean(_ratio(2 * right, 2 * right + false + missed), axis=1)
    return scores


def _f1_micro(means: Floats) -> Floats:
    """F1 of the classes' counts together."""
    right, false, missed = _together(means)
    return _ratio(2 * right, 2 * right + false + missed)


def _weighted(means: Floats) -> Floats:
    return means[:, 0] / means[:, 1]


FINISHES: dict[str, Finish] = {
    "mean": _mean,
    "weighted": _weighted,
    "root": _root,
    "r2": _r2,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "f1_micro": _f1_micro,
}
"""How a metric is computed from means over rows, by its name in a predictions.npz."""


@dataclass(frozen=True, eq=False)
class RowScores:
    """What a metric is a function of, row by row.

    Attributes:
        finish: of FINISHES.
        values: shape [rows, k]: of `mean` an error or a loss of each row, of `root` its square, of `weighted` an error
            times the row's weight, then the weight, of `r2` for each output
            the squared errors, then the targets, then their squares; of the others 0 or 1 for each class: whether the
            row is a true positive, then a false positive, then a false negative.
        shift: what is added to the metric, such as the loss of the model's regularization.
    """

    finish: str
    values: NDArray[np.floating[Any]]
    shift: float = 0.0

    @property
    def rows(self) -> int:
        return len(self.values)

    def value(self) -> float:
        """The metric over all rows."""
        return float(FINISHES[self.finish](self.values.mean(axis=0, dtype=float)[None])[0]) + self.shift


def interval_of(scores: RowScores) -> RowsInterval | None:
    """The bootstrap interval of a metric over rows; None for fewer than 10 rows, or where it is not always a number."""
    finish = FINISHES[scores.finish]
    bounds = None if scores.rows < FEWEST_ROWS else resample(scores.values, finish).bounds
    if bounds is None:
        return None
    return RowsInterval(scores.rows, bounds[0] + scores.shift, bounds[1] + scores.shift)


@dataclass(frozen=True, eq=False)
class Resamples:
    """A function of means over rows, by resampling them.

    Attributes:
        bounds: of its 95 % interval (BCa); None where it is not always a number.
        drawn: its values in all resamples, shape [resamples].
        standard_error: by leaving out each row in turn, or group of rows (the jackknife's).
    """

    bounds: tuple[float, float] | None
    drawn: Floats
    standard_error: float


def resample(values: NDArray[np.floating[Any]], finish: Finish) -> Resamples:
    """Resample a function of means over rows.

    Args:
        values: shape [rows, k], 10 rows or more.
    """
    sums, sizes = _grouped(values)
    value = float(finish(values.mean(axis=0, dtype=float)[None])[0])
    drawn, left_out = finish(_resampled(sums, sizes)), _left_out(sums, sizes, finish)
    bounds = _bca(drawn, value, [left_out], len(values))
    return Resamples(bounds, drawn, math.sqrt((len(sums) - 1) * float(np.var(left_out))))


def _grouped(values: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """Rows, or where they are many, groups of them: sums, shape [groups, k], and how many rows each has."""
    rows = len(values)
    if rows <= MOST_GROUPS:
        return np.asarray(values, float), np.ones(rows)
    order = np.random.default_rng(0).permutation(rows)
    starts = np.linspace(0, rows, MOST_GROUPS + 1).astype(int)
    # A column at a time, so that there is no second copy of all of them.
    sums = [np.add.reduceat(np.asarray(column[order], float), starts[:-1]) for column in values.T]
    return np.stack(sums, axis=1), np.diff(starts).astype(float)


def _counts(groups: int) -> Iterator[Floats]:
    """How often each group is in each resample, some resamples at a time, shape [resamples, groups]."""
    draw = np.random.default_rng(0)
    for start in range(0, RESAMPLES, _AT_A_TIME):
        size = min(_AT_A_TIME, RESAMPLES - start)
        # Counted all at once: the indices of a resample are moved to where no other's are.
        drawn = draw.integers(0, groups, (size, groups)) + np.arange(size)[:, None] * groups
        yield np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups).astype(float)


def _resampled(sums: Floats, sizes: Floats) -> Floats:
    """The means over rows of each resample, shape [resamples, k]."""
    columns = np.column_stack([sums, sizes])
    # No matrix product, whose threads would wait for each other where other processes compute.
    totals = np.concatenate([np.einsum("rg,gk->rk", counts, columns) for counts in _counts(len(sums))])
    means: Floats = totals[:, :-1] / totals[:, -1:]
    return means


def _left_out(sums: Floats, sizes: Floats, finish: Finish) -> Floats:
    """The metric without each row, or group, in turn."""
    return finish((sums.sum(axis=0) - sums) / (sizes.sum() - sizes)[:, None])


def _bca(drawn: Floats, value: float, left_out: Sequence[Floats], rows: int) -> tuple[float, float] | None:
    """The BCa bounds; None where a metric is not a number.

    Args:
        drawn: of each resample.
        value: of all rows.
        left_out: of each sample that is drawn from on its own, the metric without each of its rows in turn.
    """
    if not math.isfinite(value) or not np.isfinite(drawn).all():
        return None
    # Rounding differs between resamples although nothing varies.
    if np.ptp(drawn) <= 1e-12 * max(abs(value), 1e-300):
        return value, value
    below = float(np.mean(drawn < value) + np.mean(drawn <= value)) / 2
    bias = _NORMAL.inv_cdf(min(max(below, 0.5 / len(drawn)), 1 - 0.5 / len(drawn)))
    influences = [(1 - 1 / len(metric)) * (metric.mean() - metric) for metric in left_out]
    cubes, squares = (sum(float(np.sum(one**power)) for one in influences) for power in (3, 2))
    acceleration = cubes / (6 * squares**1.5) if squares else 0.0
    confidence = CONFIDENCE if rows >= _MANY_ROWS else widened_confidence(rows)

    def quantile(share: float) -> float:
        shifted = bias + _NORMAL.inv_cdf(share)
        return float(np.quantile(drawn, _NORMAL.cdf(bias + shifted / (1 - acceleration * shifted))))

    return quantile((1 - confidence) / 2), quantile((1 + confidence) / 2)


def auc_interval(
    positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]], thresholds: NDArray[np.floating[Any]] | None = None
) -> tuple[float, RowsInterval | None]:
    """The area under the ROC curve and its interval, by a bootstrap that draws from each class on its own.

    By ranks: the share of pairs of a positive and a negative row in which the positive one has the higher score, ties
    for a half. Rows between the same two thresholds, or with the same score, are exchangeable, so their counts are
    drawn, of however many rows.

    Args:
        positive: the class of each row, shape [rows].
        scores: shape [rows].
        thresholds: ascending, at which alone a curve is measured, as Keras does; None to measure it at every score.

    Returns:
        The area, NaN without rows of both classes; and the interval, None with fewer than 10 rows, or 2 of a class.
    """
    bins = _bins(scores) if thresholds is None else np.searchsorted(thresholds, scores, side="left")
    most = int(bins.max(initial=0)) + 1
    of_classes = [np.bincount(bins[positive == is_positive], minlength=most) for is_positive in (True, False)]
    ours, others = (counts.astype(float) for counts in of_classes)
    value = float(_area(ours[None], others[None])[0])
    if len(scores) < FEWEST_ROWS or min(ours.sum(), others.sum()) < 2:
        return value, None
    draw = np.random.default_rng(0)
    drawn = [
        draw.multinomial(int(counts.sum()), counts / counts.sum(), RESAMPLES).astype(float) for counts in (ours, others)
    ]
    # The share of the other class's rows that a row of a bin beats, or is beaten by.
    beats, beaten = (np.cumsum(others) - others / 2) / others.sum(), 1 - (np.cumsum(ours) - ours / 2) / ours.sum()
    left_out = []
    for shares, counts in ((beats, of_classes[0]), (beaten, of_classes[1])):
        n = counts.sum()
        left_out.append(np.repeat((n * value - shares) / (n - 1), counts))
    bounds = _bca(_area(*drawn), value, left_out, len(scores))
    method = "bootstrap over the rows of each class (BCa)"
    return value, None if bounds is None else RowsInterval(len(scores), *bounds, method)


def _bins(scores: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Scores as ranks, rows of the same score having the same one; of very many scores, some of them share one."""
    ranks: NDArray[np.intp] = np.unique(scores, return_inverse=True)[1].ravel()
    most = int(ranks.max(initial=0)) + 1
    return ranks if most <= _MOST_BINS else ranks * _MOST_BINS // most


def _area(ours: Floats, others: Floats) -> Floats:
    """The area from the counts of both classes by bin, ascending, shape [resamples, bins]."""
    beaten = np.cumsum(others, axis=1) - others / 2
    with np.errstate(invalid="ignore"):
        area: Floats = np.einsum("rb,rb->r", ours, beaten) / (ours.sum(axis=1) * others.sum(axis=1))
    return area
