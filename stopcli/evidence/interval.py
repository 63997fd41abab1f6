"""How sure a mean over few seeds is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Fewer values say nothing of how much they vary.
FEWEST = 3
CONFIDENCE = 0.95
_RESAMPLES = 9999


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its bootstrap 95 % interval.

    Attributes:
        n: values.
        sd: their standard deviation; None where n < 2.
        low, high: bounds of the interval (BCa); None where n < 3.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


def mean_interval(values: Sequence[float]) -> MeanInterval:
    """Of one value or more.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("received no values, expected one or more")
    mean, sd = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
    if len(values) < FEWEST:
        return MeanInterval(len(values), mean, sd, None, None)
    array = np.asarray(values, float)
    if np.ptp(array) == 0:
        # Nothing varies: the bootstrap's acceleration would be 0 / 0.
        return MeanInterval(len(values), mean, sd, mean, mean)
    return MeanInterval(len(values), mean, sd, *bootstrap_interval(array))


def bootstrap_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The bootstrap 95 % interval (BCa) of the mean of values that are not all the same."""
    from scipy import stats

    found = stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, n_resamples=_RESAMPLES, method="BCa", rng=0
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
