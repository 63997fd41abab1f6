"""Differences between two arms whose runs share no seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stopcli.evidence.interval import CONFIDENCE, FEWEST


@dataclass(frozen=True)
class UnpairedDifference:
    """A difference between the means of two independent samples.

    Attributes:
        n, other_n: values of either.
        mean: of the one less that of the other.
        low, high: bounds of Welch's 95 % interval; None where either has n < 3.
        p: of Welch's t-test, two-sided; where neither sample varies, of the permutation test. None where n < 3.
    """

    n: int
    other_n: int
    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def distinguishable(self) -> bool:
        """Whether the test tells the mean from 0; the interval is the same test's."""
        return self.p is not None and self.p < 1 - CONFIDENCE


def unpaired_difference(values: Sequence[float], others: Sequence[float]) -> UnpairedDifference:
    """The mean of values less that of others, which vary independently and each in its own way (B. L. Welch, 1947).

    Raises:
        ValueError: there are none of either.
    """
    if not values or not others:
        raise ValueError(f"received {len(values)} and {len(others)} values, expected one or more of each")
    ours, theirs = np.asarray(values, float), np.asarray(others, float)
    n, other_n, mean = len(ours), len(theirs), float(ours.mean() - theirs.mean())
    if min(n, other_n) < FEWEST:
        return UnpairedDifference(n, other_n, mean)
    if np.ptp(ours) == 0 and np.ptp(theirs) == 0:
        # Nothing varies, and the t-test would be certain. What is left to ask is how often as many values would be
        # sorted by chance into those two heaps, either of them the higher one.
        # Not of their means, which rounding may tell apart.
        only = float(ours[0] - theirs[0])
        p = min(1.0, 2 / math.comb(n + other_n, n)) if only else 1.0
        return UnpairedDifference(n, other_n, only, only, only, p)
    from scipy import stats

    parts = [float(each.var(ddof=1)) / len(each) for each in (ours, theirs)]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (other_n - 1))
    error = math.sqrt(sum(parts))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return UnpairedDifference(n, other_n, mean, mean - reach, mean + reach, p)
