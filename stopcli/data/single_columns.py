"""How well a single column of a table predicts its target, each row from the others, without a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def auc_by_number(values: NDArray[Any], is_positive: NDArray[np.bool_]) -> float:
    """The area under the ROC curve where rows are ordered by a number, or against it, whichever is larger.

    Args:
        values: [rows]; NaN, where missing, counts as smaller or as larger than all others.
        is_positive: [rows], which are of the second class; some of both.
    """
    orders = [np.nan_to_num(values, nan=end) for end in (-np.inf, np.inf)]
    return max(max(area, 1 - area) for area in (_auc(order, is_positive) for order in orders))


def auc_by_word(codes: NDArray[Any], is_positive: NDArray[np.bool_]) -> float:
    """The area under the ROC curve where a row is as likely positive as the other rows with its word are.

    Args:
        codes: whole numbers [rows], one for each word.
        is_positive: [rows], which are of the second class; some of both.
    """
    return _auc(_mean_of_others(codes, is_positive.astype(np.float64)), is_positive)


def r2_by_number(values: NDArray[Any], target: NDArray[Any], target_ranks: NDArray[np.float64] | None = None) -> float:
    """The share of the target's variance that a line explains: through the values, or through their ranks and the
    target's, whichever is larger.

    Args:
        values, target: [rows], none of them missing.
        target_ranks: `ranks_of` the target, where they are known.
    """
    return max(
        _squared_correlation(values.astype(np.float64), target.astype(np.float64)),
        _squared_correlation(ranks_of(values), ranks_of(target) if target_ranks is None else target_ranks),
    )


def r2_by_word(codes: NDArray[Any], target: NDArray[Any]) -> float:
    """The share of the target's variance that the mean of the other rows with the same word explains; negative where
    it explains less than the mean of all rows.

    Args:
        codes: whole numbers [rows], one for each word.
        target: numbers [rows].
    """
    values = target.astype(np.float64)
    total = float(np.square(values - values.mean()).sum())
    return 1 - float(np.square(values - _mean_of_others(codes, values)).sum()) / total if total else 0.0


def accuracy_by_number(values: NDArray[Any], classes: NDArray[Any]) -> float:
    """As `accuracy_by_word`, of numbers [rows]: one that no other row has predicts the class of the nearest. NaN, where
    missing, is a value of its own."""
    return _accuracy(values, classes, nearest=True)


def accuracy_by_word(codes: NDArray[Any], classes: NDArray[Any]) -> float:
    """The balanced accuracy, the mean over classes, where a row has the class that most other rows with its word have.

    A word that no other row has predicts nothing, nor do other rows that are as many of two classes.

    Args:
        codes: whole numbers [rows], one for each word.
        classes: whole numbers [rows], ≥ 0.
    """
    return _accuracy(codes, classes, nearest=False)


def _accuracy(values: NDArray[Any], classes: NDArray[Any], *, nearest: bool) -> float:
    different, groups = np.unique(values, return_inverse=True)
    sizes = np.bincount(classes)
    # Pairs of a value and a class that occur, by value, the most frequent class first.
    pairs, counts = np.unique(groups.astype(np.int64) * len(sizes) + classes, return_counts=True)
    group_of_pair, class_of_pair = np.divmod(pairs, len(sizes))
    order = np.lexsort((-counts, group_of_pair))
    group_of_pair, class_of_pair, counts = group_of_pair[order], class_of_pair[order], counts[order]
    first = np.flatnonzero(np.diff(group_of_pair, prepend=-1))
    majority, largest = class_of_pair[first], counts[first]
    has_second = np.diff(first, append=len(pairs)) > 1
    second = np.where(has_second, counts[np.minimum(first + 1, len(pairs) - 1)], 0)
    # Without the row itself, its class still has to be the most frequent.
    is_right = largest - 1 > second
    if nearest and len(different) > 1:
        alone = np.flatnonzero((largest == 1) & ~has_second)
        is_right[alone] = majority[_nearest(different)[alone]] == majority[alone]
    right = np.bincount(majority, np.where(is_right, largest, 0), minlength=len(sizes))
    return float(np.mean(right[sizes > 0] / sizes[sizes > 0]))


def _nearest(ascending: NDArray[Any]) -> NDArray[np.intp]:
    """The index of the nearest other one of different numbers; NaN, the last of them, is far from all."""
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = np.nan_to_num(np.diff(ascending), nan=np.inf)
    before, after = np.concatenate([[np.inf], gaps]), np.concatenate([gaps, [np.inf]])
    indices = np.arange(len(ascending))
    nearest: NDArray[np.intp] = np.where((before <= after) & (indices > 0), indices - 1, indices + 1)
    return np.minimum(nearest, len(ascending) - 1)


def _mean_of_others(codes: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the other rows with the same word, or over all others where there are none."""
    groups = np.unique(codes, return_inverse=True)[1]
    sizes, sums = np.bincount(groups)[groups], np.bincount(groups, values)[groups]
    with np.errstate(divide="ignore", invalid="ignore"):
        means: NDArray[np.float64] = np.where(
            sizes > 1, (sums - values) / (sizes - 1), (values.sum() - values) / (len(values) - 1)
        )
    return means


def _auc(order: NDArray[Any], is_positive: NDArray[np.bool_]) -> float:
    positive = int(is_positive.sum())
    pairs = positive * (len(order) - positive)
    return float(ranks_of(order)[is_positive].sum() - positive * (positive + 1) / 2) / pairs


def ranks_of(values: NDArray[Any]) -> NDArray[np.float64]:
    """From 1; equal values have the mean of theirs."""
    groups, counts = np.unique(values, return_inverse=True, return_counts=True)[1:]
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[groups]
    return ranks


def _squared_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(), y - y.mean()
    product = float(x @ x) * float(y @ y)
    return float(x @ y) ** 2 / product if product > 0 else 0.0
