"""Verdicts on published numbers: whether what was measured agrees with what was reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stopcli.stats.differences import Difference
from stopcli.stats.intervals import FEWEST

Verdict = Literal[
    "reproduced",
    "not reproduced",
    "not distinguishable",
    "trend only",
    "shown, not judged",
    "not run",
    "not finished",
    "failed",
]
Expected = Literal["higher", "lower", "not higher", "not lower"]
Trend = Literal["agrees", "contrary", "not distinguishable"]


@dataclass(frozen=True)
class RunCounts:
    """How far the runs of an arm have got.

    Attributes:
        planned: 0 where the scale leaves the arm out.
        finished, failed: of them.
    """

    planned: int
    finished: int
    failed: int = 0

    @property
    def verdict(self) -> Verdict | None:
        """Why nothing can be judged; None where all have finished.

        The mean of those that got through would leave out just the ones that went wrong.
        """
        if self.failed:
            return "failed"
        if self.finished < self.planned:
            return "not finished" if self.finished else "not run"
        return None if self.planned else "not run"


def judge_value(mean: float | None, band: tuple[float, float] | None, runs: RunCounts, *, published: bool) -> Verdict:
    """A measured mean against the band that counts as reproduced.

    Args:
        mean: over the runs that have finished; None where none has measured it.
        band: lowest and highest, both within; None for a value that is shown and never judged.
        published: whether the published setting was run: its scale, its data.
    """
    if runs.verdict is not None:
        return runs.verdict
    if band is None or mean is None:
        return "shown, not judged"
    if not published:
        return "trend only"
    return "reproduced" if band[0] <= mean <= band[1] else "not reproduced"


def trend_of(expected: Expected, difference: Difference | None) -> Trend:
    """Whether the difference of two arms goes the way that was published, as far as it can be told from none.

    That an arm is *not* higher is never shown by a difference that cannot be told from none; it only does not speak
    against it.
    """
    if difference is None or not difference.distinguishable:
        return "not distinguishable"
    return "agrees" if (difference.mean > 0) == (expected in ("higher", "not lower")) else "contrary"


def judge_claim(expected: Expected, difference: Difference | None, runs: RunCounts, *, published: bool) -> Verdict:
    """A published comparison of two arms.

    Args:
        difference: the first arm's value less the second's, over the seeds that both have finished.
        runs: of both arms, the one that is further behind.
        published: as for `judge_value`.
    """
    if runs.verdict is not None:
        return runs.verdict
    if not published:
        return "trend only"
    trends: dict[Trend, Verdict] = {"agrees": "reproduced", "contrary": "not reproduced"}
    return trends.get(trend_of(expected, difference), "not distinguishable")


def trend_sentence(expected: Expected, difference: Difference | None) -> str:
    """The trend in words: `agrees`, `contrary to it`, or that nothing can be told, and why."""
    if difference is None:
        return "no seed has finished in both"
    if difference.n < FEWEST:
        return f"not distinguishable: n = {difference.n}, and fewer than {FEWEST} seeds give no interval"
    trend = trend_of(expected, difference)
    if trend != "not distinguishable":
        return {"agrees": "agrees", "contrary": "contrary to it"}[trend]
    null = ", which does not speak against it" if expected.startswith("not ") else ""
    return f"{trend} at n = {difference.n}{null}"
