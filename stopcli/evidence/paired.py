"""Differences between two arms whose runs share their seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Fewer pairs say nothing of how much a difference varies.
FEWEST = 3
CONFIDENCE = 0.95
_RESAMPLES = 9999


@dataclass(frozen=True)
class PairedDifference:
    """A difference between two arms, pair by pair.

    Attributes:
        n: pairs.
        mean: of the differences.
        low, high: bounds of the bootstrap 95 % interval (BCa) of the mean; None where n < 3.
        share_below: of pairs whose difference is below 0.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    share_below: float

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


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
    low, high = _interval(differences) if len(differences) >= FEWEST else (None, None)
    below = float(np.mean(differences < 0))
    return PairedDifference(len(differences), statistics.fmean(differences.tolist()), low, high, below)


def _interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    if np.ptp(differences) == 0:
        # Nothing varies, and the bootstrap's acceleration would be 0 / 0.
        return float(differences[0]), float(differences[0])
    from scipy import stats

    found = stats.bootstrap(
        (differences,), np.mean, confidence_level=CONFIDENCE, n_resamples=_RESAMPLES, method="BCa", rng=0
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
