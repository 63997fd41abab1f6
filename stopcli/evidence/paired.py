"""Differences between two arms whose runs share their seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stopcli.evidence.interval import CONFIDENCE, FEWEST, bootstrap_interval

# Of the values that differences are made of: 33/35 − 32/35 and 31/35 − 30/35 are the same, but for float32's precision.
_ROUNDING = 5e-7


@dataclass(frozen=True)
class PairedDifference:
    """A difference between two arms, pair by pair.

    Attributes:
        n: pairs.
        mean: of the differences.
        low, high: bounds of the bootstrap 95 % interval of the mean (`bootstrap_interval`); None where n < 3.
        p: of the paired t-test, two-sided; where all differences are the same, of the sign test. None where n < 3.
        share_below, share_equal: of pairs whose difference is below 0, and of those without one.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    share_below: float
    p: float | None = None
    share_equal: float = 0.0

    @property
    def share_above(self) -> float:
        """Of pairs whose difference is above 0."""
        return 1 - self.share_below - self.share_equal

    @property
    def distinguishable(self) -> bool:
        """Whether both the interval and the t-test tell the mean from 0.

        The bootstrap alone is too sure of itself with few pairs: where there is no difference, it leaves out 0 in about
        a quarter of all cases for three pairs, and in a twelfth for five, instead of a twentieth.
        """
        if self.low is None or self.high is None or self.p is None:
            return False
        return (self.low > 0 or self.high < 0) and self.p < 1 - CONFIDENCE


def paired_difference(values: Sequence[float], others: Sequence[float]) -> PairedDifference:
    """values − others, pair by pair.

    Args:
        values, others: of the same seeds, in the same order; at least one pair.

    Raises:
        ValueError: they are not as many, or none.
    """
    if len(values) != len(others) or not values:
        raise ValueError(f"received {len(values)} and {len(others)} values, expected pairs")
    differences = np.asarray(values, float) - np.asarray(others, float)
    # Of each pair its own: beside a loss that ran away, the others' differences are no rounding.
    rounding = _ROUNDING * np.abs([values, others]).max(axis=0)
    differences[np.abs(differences) <= rounding] = 0.0
    mean, below = statistics.fmean(differences.tolist()), float(np.mean(differences < 0))
    equal = float(np.mean(differences == 0))
    if len(differences) < FEWEST:
        return PairedDifference(len(differences), mean, None, None, below, None, equal)
    if not _vary(differences, rounding):
        # Nothing varies: the bootstrap's acceleration would be 0 / 0, and the t-test certain, although a few accuracies
        # of few rows are easily the same. What is left to ask is how often so many would have one sign by chance.
        p = 2.0 ** (1 - len(differences)) if mean else 1.0
        return PairedDifference(len(differences), mean, mean, mean, below, p, equal)
    low, high = bootstrap_interval(differences)
    return PairedDifference(len(differences), mean, low, high, below, _t_test(differences), equal)


def _vary(differences: NDArray[np.float64], rounding: NDArray[np.float64]) -> bool:
    """Whether differences are more than one value and what rounding makes of it."""
    if 0 < np.count_nonzero(differences) < len(differences):
        return True
    return float((differences - rounding / 2).max()) > float((differences + rounding / 2).min())


def _t_test(differences: NDArray[np.float64]) -> float:
    from scipy import stats

    return float(stats.ttest_1samp(differences, 0.0).pvalue)
