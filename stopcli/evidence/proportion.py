"""How sure an accuracy is that was counted on few rows."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from stopcli.evidence.interval import CONFIDENCE


@dataclass(frozen=True)
class Proportion:
    """Rows that were right, of how many.

    Attributes:
        right, rows: the counts.
        low, high: bounds of the 95 % interval.
    """

    right: int
    rows: int
    low: float
    high: float


def proportion(right: int, rows: int) -> Proportion:
    """The Wilson 95 % interval of a share: what a model's accuracy would be on all rows like those it was counted on.

    It says nothing of what training again would give. Wilson's interval holds the true share in 95 % of all cases on
    average, also near 0 and 1; Clopper and Pearson's, which holds it in 95 % at least, is wider than that needs.
    (E. B. Wilson, 1927; L. Brown, T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion", 2001.)
    By its formula: scipy's function gives the same, and importing it takes longer than showing a run.

    Raises:
        ValueError: there are no rows, or more right ones than rows.
    """
    if rows < 1 or not 0 <= right <= rows:
        raise ValueError(f"received {right} of {rows} rows, expected 0 ≤ right ≤ rows and rows ≥ 1")
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = right / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    # At the ends rounding would leave 1e-17 of nothing.
    low, high = 0.0 if right == 0 else middle - reach, 1.0 if right == rows else middle + reach
    return Proportion(right, rows, low, high)


def proportion_of(accuracy: float, rows: int) -> Proportion | None:
    """The same, of an accuracy that was measured on so many rows; None where there is none to count."""
    return proportion(round(accuracy * rows), rows) if rows > 0 and 0 <= accuracy <= 1 else None
