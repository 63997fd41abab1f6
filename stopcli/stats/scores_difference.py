"""How the metric of two models differs on the same rows, by resampling these rows for both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stopcli.stats.bootstrap import FEWEST_ROWS, FINISHES, Floats, RowScores, resample
from stopcli.stats.differences import NONE, p_words, signed, tells_apart, verdict_on
from stopcli.stopping.rule import Direction


@dataclass(frozen=True)
class ScoresDifference:
    """The metric of two models on the same rows.

    Attributes:
        rows: that both were measured on.
        mean: the first model's value less the second's.
        low, high: bounds of its 95 % interval (BCa over rows, which are drawn for both models alike).
        p: the achieved significance level of the same resamples, two-sided: how often they lie beyond 0, on the side
            where fewer do, times two (A. C. Davison, D. V. Hinkley, "Bootstrap Methods and their Application", 1997).
        better: whether less or more of the metric is better.
        lower: rows whose error, or loss, is lower by the first model; None where the metric has none for each row.
        standard_error: of the mean, by leaving out each row in turn.
        test: what p is by, for a sentence.
    """

    rows: int
    mean: float
    low: float
    high: float
    p: float
    better: Direction
    lower: int | None = None
    standard_error: float = 0.0
    test: str = "bootstrap p"

    @property
    def distinguishable(self) -> bool:
        """Whether both the interval and the test tell the values apart."""
        return tells_apart(self.low, self.high, self.p)

    def verdict(self) -> str:
        """As that of a `Difference`."""
        return verdict_on(self.mean, self.better, distinguishable=self.distinguishable)

    def by_rows(self) -> str:
        """On how many rows the first model's error is lower, for a table."""
        return NONE if self.lower is None else f"lower on {self.lower:,}"

    def sentence(self, label: str, base: str, what: str, show: Callable[[float], str] = signed, unit: str = "") -> str:
        """As that of a `Difference`.

        >>> ScoresDifference(50, -0.02, -0.03, -0.01, 0.004, "min", 40).sentence("a", "b", "RMSE")
        'a against b: RMSE -0.0200 (95 % interval -0.0300 to -0.0100; bootstrap p = 0.004) on the same 50 test rows, \
lower on 40 of them: better.'
        """
        interval = f"95 % interval {show(self.low)} to {show(self.high)}"
        lower = "" if self.lower is None else f", lower on {self.lower:,} of them"
        p, mean = p_words(self.p, self.test), f"{show(self.mean)} {unit}".rstrip()
        return (
            f"{label} against {base}: {what} {mean} ({interval}; {p}) on the same {self.rows:,} test "
            f"rows{lower}: {self.verdict()}."
        )


def scores_difference(first: RowScores, second: RowScores, better: Direction) -> ScoresDifference | None:
    """The difference of a metric of two models on the same rows; None for fewer than 10 rows, or where it is no number.

    Args:
        first, second: the same metric's, row by row.

    Raises:
        ValueError: they are not of as many rows, or not of the same metric.
    """
    if first.values.shape != second.values.shape or first.finish != second.finish:
        raise ValueError(
            f"received scores {first.values.shape} and {second.values.shape}, expected those of the same rows"
        )
    if first.rows < FEWEST_ROWS:
        return None
    finish, k = FINISHES[first.finish], first.values.shape[1]
    shift = first.shift - second.shift

    def difference(means: Floats) -> Floats:
        return finish(means[:, :k]) - finish(means[:, k:])

    both = resample(np.hstack([first.values, second.values]), difference)
    if both.bounds is None:
        return None
    drawn = both.drawn
    beyond = min(np.count_nonzero(drawn + shift <= 0), np.count_nonzero(drawn + shift >= 0))
    p = min(1.0, 2 * (int(beyond) + 1) / (len(drawn) + 1))
    of_each_row = first.finish in ("mean", "root")
    lower = int(np.count_nonzero(first.values < second.values)) if of_each_row else None
    low, high = (bound + shift for bound in both.bounds)
    mean = first.value() - second.value()
    return ScoresDifference(first.rows, mean, low, high, p, better, lower, both.standard_error)
