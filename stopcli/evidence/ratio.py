"""Times of one arm as multiples of another's, seed by seed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """How many times another arm's value an arm's is, over the seeds that both have.

    Attributes:
        n: seeds.
        mean: of the ratios of each seed.
        sd: their standard deviation; None where n < 2.
    """

    n: int
    mean: float
    sd: float | None

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + (f" ± {self.sd:.2f}" if self.sd else "")


def ratio_of(values: Mapping[int, float], others: Mapping[int, float]) -> Ratio | None:
    """The ratio of values to others by seed; None where no seed has both.

    >>> str(ratio_of({0: 2.0, 1: 3.0, 2: 9.0}, {0: 1.0, 1: 1.0}))
    '2.50 ± 0.71'
    """
    ratios = [values[seed] / others[seed] for seed in sorted(values.keys() & others.keys()) if others[seed]]
    if not ratios:
        return None
    return Ratio(len(ratios), statistics.fmean(ratios), statistics.stdev(ratios) if len(ratios) > 1 else None)
