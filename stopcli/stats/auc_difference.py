"""How the areas under the ROC curves of two models differ on the same rows."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.stats.bootstrap import FEWEST_ROWS, Floats
from stopcli.stats.intervals import CONFIDENCE
from stopcli.stats.scores_difference import ScoresDifference

_NORMAL = statistics.NormalDist()
_TEST = "DeLong's p"


def auc_difference(
    positive: NDArray[np.bool_],
    first: NDArray[np.floating[Any]],
    second: NDArray[np.floating[Any]],
    thresholds: NDArray[np.floating[Any]] | None = None,
) -> ScoresDifference | None:
    """The first model's area less the second's, with the interval and the p of the normal distribution (E. R. DeLong,
    D. M. DeLong, D. L. Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating
    Characteristic Curves", 1988).

    Args:
        positive: the class of each row, shape [rows].
        first, second: what each model scores the rows, shape [rows].
        thresholds: as for `auc_interval`.

    Returns:
        None with fewer than 10 rows, or 2 of a class.
    """
    counts = int(positive.sum()), int((~positive).sum())
    if len(positive) < FEWEST_ROWS or min(counts) < 2:
        return None
    beaten, beating = (
        ours - theirs
        for ours, theirs in zip(
            _placements(positive, first, thresholds), _placements(positive, second, thresholds), strict=True
        )
    )
    mean = float(beaten.mean())
    error = math.sqrt(beaten.var(ddof=1) / counts[0] + beating.var(ddof=1) / counts[1])
    if error <= 1e-12:
        # Nothing varies, as where one model orders all rows rightly and the other gives all the same score. What is
        # left to ask is how often chance would sort as many rows into their two classes.
        p = min(1.0, 2 / math.comb(len(positive), counts[0])) if abs(mean) > 1e-12 else 1.0
        return ScoresDifference(len(positive), mean, mean, mean, p, "max", test=_TEST)
    reach = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2) * error
    p = math.erfc(abs(mean) / error / math.sqrt(2))
    return ScoresDifference(len(positive), mean, mean - reach, mean + reach, p, "max", test=_TEST)


def _placements(
    positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]], thresholds: NDArray[np.floating[Any]] | None
) -> tuple[Floats, Floats]:
    """Of each positive row the share of negative ones that it beats, and of each negative one the share of positive
    ones that beat it; ties for a half."""
    bins = (
        np.unique(scores, return_inverse=True)[1].ravel()
        if thresholds is None
        else np.searchsorted(thresholds, scores, side="left")
    )
    most = int(bins.max()) + 1
    ours, others = (np.bincount(bins[of_class], minlength=most).astype(float) for of_class in (positive, ~positive))
    beaten = (np.cumsum(others) - others / 2) / others.sum()
    beating = 1 - (np.cumsum(ours) - ours / 2) / ours.sum()
    return beaten[bins[positive]], beating[bins[~positive]]
