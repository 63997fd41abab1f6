"""How large the mean of what runs lose may be: one-sided upper limits, of losses that are often nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stopcli.stats.intervals import CONFIDENCE, FEWEST, bootstrap_interval

Floats = NDArray[np.float64]

# The upper bound of a two-sided interval of this confidence is a one-sided limit of CONFIDENCE.
_TWO_SIDED = 2 * CONFIDENCE - 1


def student_limits(values: Floats) -> Floats:
    """Student's one-sided 95 % upper limits of means.

    Args:
        values: shape [..., n], n ≥ 2; the means are over the last axis.

    Returns:
        Shape [...].
    """
    from scipy.special import stdtrit

    n = values.shape[-1]
    errors = values.std(axis=-1, ddof=1) / math.sqrt(n)
    limits: Floats = values.mean(axis=-1) + stdtrit(n - 1, CONFIDENCE) * errors
    return limits


def upper_limit(values: Floats) -> float:
    """The one-sided 95 % upper limit of a mean: the higher one of the bootstrap's (BCa, widened for few values) and of
    Student's.

    The bootstrap's is the higher one where a few values are far above the others, as losses are. Values that are all
    the same have that value as their limit: `limit_of_losses` says what is not seen in them.

    Args:
        values: 3 or more, shape [n].

    Raises:
        ValueError: there are fewer.
    """
    if len(values) < FEWEST:
        raise ValueError(f"received {len(values)} values, expected {FEWEST} or more")
    if not np.isfinite(values).all():
        return math.inf
    if np.ptp(values) == 0:
        return float(values[0])
    return max(bootstrap_interval(values, _TWO_SIDED)[1], float(student_limits(values)))


def limit_of_losses(losses: Floats, size: float) -> float:
    """The one-sided 95 % upper limit of a mean loss, also where most runs lose nothing, or all of them.

    Of runs that lose all or nothing, the few that lost say little of how many will, and none says nothing of it: the
    limit is no lower than the 95 % upper limit of the share of runs that lose (C. Clopper and E. Pearson, 1934) times
    what a run loses that does.

    Args:
        losses: of 3 runs or more, each ≥ 0, shape [n].
        size: what a run would lose that does, where none has lost.

    >>> round(limit_of_losses(np.zeros(30), 0.5), 3)
    0.048
    """
    n, lost = len(losses), losses[losses > 0]
    size = float(lost.mean()) if len(lost) else size
    return max(upper_limit(losses), largest_share(len(lost), n) * size)


def largest_share(count: int, n: int) -> float:
    """The one-sided 95 % upper limit of the share that was counted in count of n runs, by Clopper and Pearson.

    >>> round(largest_share(0, 30), 4), round(largest_share(2, 30), 4), largest_share(5, 5)
    (0.095, 0.1953, 1.0)
    """
    from scipy.special import betaincinv

    return 1.0 if count == n else float(betaincinv(count + 1, n - count, CONFIDENCE))
