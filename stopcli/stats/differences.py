"""Differences of means, their intervals, and the words for them."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.quantities import counted
from stopcli.runs.headline import Headline
from stopcli.stats.intervals import CONFIDENCE, FEWEST, bootstrap_interval, proportion
from stopcli.stopping.rule import Direction

# Of the values that differences are made of: 33/35 − 32/35 and 31/35 − 30/35 are the same, but for float32's precision.
_ROUNDING = 5e-7
# A real difference of float32 values is larger than this; what rounding leaves of none is not.
_NOTHING = 1e-9
_TINY = 5e-5
_SMALLEST_P = 0.001
_NEGLIGIBLE = 1e-17
NONE = "–"


def p_cell(p: float | None) -> str:
    """A p-value for a table; below a thousandth its digits say nothing. A dash for none.

    >>> p_cell(0.0312), p_cell(3.3e-38), p_cell(None)
    ('0.031', '< 0.001', '–')
    """
    if p is None:
        return NONE
    return "< 0.001" if p < _SMALLEST_P else f"{p:.2g}"


def p_words(p: float, test: str = "p") -> str:
    """A p-value in a sentence.

    Args:
        test: what it is by, ending with "p".

    >>> p_words(0.0312), p_words(3.3e-38, "bootstrap p")
    ('p = 0.031', 'bootstrap p < 0.001')
    """
    return f"{test} {p_cell(p)}" if p < _SMALLEST_P else f"{test} = {p_cell(p)}"


def signed(value: float, digits: int = 4) -> str:
    """A difference as text: of shares and losses some digits, of epochs and seconds as many as tell anything.

    >>> signed(-0.0123), signed(0.0123, 2), signed(4e-6), signed(-1234.5)
    ('-0.0123', '+0.01', '+4e-06', '-1,234.5')
    """
    if abs(value) >= 10:
        return f"{value:+,.1f}"
    # A loss near 0 is not the same as another because both begin with zeros.
    if _NOTHING < abs(value) < _TINY:
        return f"{value:+.0e}"
    return f"{value:+.{digits}f}"


_with_three_digits = partial(signed, digits=3)


def writer_of_differences(headline: Headline | None) -> Callable[[float], str]:
    """What writes differences of a metric as text, with their sign: of an error with the digits of an error, of
    anything else as `signed` does."""
    return headline.show_difference if headline is not None and headline.kind == "error" else signed


def tells_apart(low: float | None, high: float | None, p: float | None) -> bool:
    """Whether both the bounds of a difference's interval and the p of its test tell it from 0; None for none."""
    if low is None or high is None or p is None:
        return False
    return (low > 0 or high < 0) and p < 1 - CONFIDENCE


def verdict_on(mean: float, better: Direction | None, *, distinguishable: bool) -> str:
    """`better`, `worse` or `not distinguishable`; `higher` or `lower` where neither is the better one."""
    if not distinguishable:
        return "not distinguishable"
    if better is None:
        return "higher" if mean > 0 else "lower"
    return "better" if (mean > 0) == (better == "max") else "worse"


@dataclass(frozen=True)
class Difference:
    """A difference between the means of two arms.

    Attributes:
        n: pairs; of independent samples, values of the first.
        mean: of the differences, the first arm's value less the second's.
        low, high: bounds of the 95 % interval of the mean: the bootstrap's (`bootstrap_interval`) for pairs, Welch's
            for independent samples. None where n < 3.
        p: of the t-test, paired or Welch's, two-sided; where nothing varies, of a sign or a permutation test. None
            where n < 3.
        share_below, share_equal: of the pairs, those whose difference is below 0, and those without one; None of
            independent samples.
        other_n: values of the second sample; None of pairs.
        standard_error: of the mean; None where n < 3.
    """

    n: int
    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    share_below: float | None = None
    share_equal: float | None = None
    other_n: int | None = None
    standard_error: float | None = None

    @property
    def paired(self) -> bool:
        return self.other_n is None

    @property
    def bounds(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def share_above(self) -> float | None:
        """Of the pairs, those whose difference is above 0."""
        if self.share_below is None or self.share_equal is None:
            return None
        return 1 - self.share_below - self.share_equal

    @property
    def distinguishable(self) -> bool:
        """Whether both the interval and the test tell the mean from 0.

        The bootstrap alone is too sure of itself with few pairs: where there is no difference, it leaves out 0 in about
        a quarter of all cases for three pairs, and in a twelfth for five, instead of a twentieth.
        """
        return tells_apart(self.low, self.high, self.p)

    def to_dict(self) -> dict[str, Any]:
        """What a summary.json holds of it."""
        pairs = {"share_below": self.share_below, "share_equal": self.share_equal}
        values = {"paired": self.paired, "n": self.n, **(pairs if self.paired else {"other_n": self.other_n})}
        values |= {"mean": self.mean, "low": self.low, "high": self.high, "p": self.p}
        return {**values, "distinguishable": self.distinguishable}

    def is_better(self, better: Direction) -> bool:
        """Whether the first arm is distinguishably better than the second.

        Args:
            better: whether less or more of the value is better.
        """
        return self.verdict(better) == "better"

    def verdict(self, better: Direction | None = None) -> str:
        """`better`, `worse` or `not distinguishable`; `higher` or `lower` where neither is the better one."""
        return verdict_on(self.mean, better, distinguishable=self.distinguishable)

    def sample_size(self) -> str:
        """`5` pairs, or `5 and 4` values."""
        return f"{self.n}" if self.other_n is None else f"{self.n} and {self.other_n}"

    def agreement(self) -> str:
        """In how many pairs the difference goes the way of the mean: `higher in 4 of 5 seeds`; empty where there are
        no pairs."""
        if self.share_above is None or self.share_below is None:
            return ""
        seeds = counted(self.n, "seed")
        if self.share_equal == 1:
            return f"the same in {'all ' if self.n > 1 else ''}{seeds}"
        word, share = ("higher", self.share_above) if self.mean > 0 else ("lower", self.share_below)
        return f"{word} in {round(share * self.n)} of {seeds}"

    def sentence(
        self,
        label: str,
        base: str,
        what: str,
        better: Direction | None = None,
        show: Callable[[float], str] = signed,
        unit: str = "",
        reason: str = "the seeds differ",
    ) -> str:
        """How an arm differs from another, ending with whether the two can be told apart.

        Args:
            label, base: of the first arm and of the second.
            what: was measured, such as `test accuracy`.
            show: writes a difference as text, with its sign.
            unit: of the differences; empty for none.
            reason: why the runs of two independent samples are no pairs.

        >>> Difference(4, -0.02, -0.03, -0.01, 0.01, 1.0, 0.0).sentence("m2", "simple", "error", "min")
        'm2 against simple: error -0.0200 (95 % interval -0.0300 to -0.0100; p = 0.01), lower in 4 of 4 seeds: better.'
        """
        if self.p is None:
            ending = f"; not distinguishable at n = {self.sample_size()}: fewer than {FEWEST} seeds give no interval"
        elif self.distinguishable:
            ending = f": {self.verdict(better)}"
        else:
            ending = f"; not distinguishable at n = {self.sample_size()}"
        return f"{label} against {base}: {what} {self._amount(show, unit, reason)}{ending}."

    def _amount(self, show: Callable[[float], str], unit: str, reason: str) -> str:
        agreement, mean = self.agreement(), f"{show(self.mean)} {unit}".rstrip()
        if self.low is None or self.high is None or self.p is None:
            return f"{mean}, {agreement or 'in other seeds'}"
        p = p_words(self.p)
        interval = f"95 % interval {show(self.low)} to {show(self.high)}"
        if not self.paired:
            return f"{mean} (unpaired, because {reason}; Welch's {interval}; {p})"
        if self.share_equal == 1:
            return agreement
        if self.low == self.high:
            return f"{mean} in each of {self.n} seeds ({p})"
        return f"{mean} ({interval}; {p}), {agreement}"


def difference_cell(difference: Difference | None, show: Callable[[float], str] = _with_three_digits) -> str:
    """A difference with its interval, for a table: `+0.012 [-0.003, +0.020]`; a dash for none.

    Args:
        show: as for `Difference.sentence`.
    """
    if difference is None:
        return NONE
    if not difference.bounds:
        return f"{show(difference.mean)} (n = {difference.sample_size()})"
    low, high = map(show, difference.bounds)
    return f"{show(difference.mean)} [{low}, {high}]"


def paired_difference(values: Sequence[float], others: Sequence[float]) -> Difference:
    """values − others, pair by pair.

    Args:
        values, others: of the same seeds, in the same order; at least one pair.

    Raises:
        ValueError: they are not as many, or none.
    """
    differences, rounding = _differences_and_rounding(values, others)
    n, mean = len(differences), statistics.fmean(differences.tolist())
    # What is left where differences of both signs cancel.
    mean = 0.0 if abs(mean) <= rounding.min() else mean
    shares = float(np.mean(differences < 0)), float(np.mean(differences == 0))
    if n < FEWEST:
        return Difference(n, mean, None, None, None, *shares)
    if not _vary(differences, rounding):
        # Nothing varies: the bootstrap's acceleration would be 0 / 0, and the t-test certain, although a few accuracies
        # of few rows are easily the same. What is left to ask is how often so many would have one sign by chance.
        return Difference(n, mean, mean, mean, 2.0 ** (1 - n) if mean else 1.0, *shares, standard_error=0.0)
    from scipy import stats

    p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    return Difference(n, mean, *bootstrap_interval(differences), p, *shares, standard_error=error)


def difference_by_seed(values: Mapping[int, float], others: Mapping[int, float]) -> Difference | None:
    """The paired difference values − others over the seeds that both have; None where they share none."""
    seeds = sorted(values.keys() & others.keys())
    return paired_difference([values[seed] for seed in seeds], [others[seed] for seed in seeds]) if seeds else None


def differences_by_pair(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """values − others, pair by pair, without what rounding makes of them: differences that are rounding only are 0, and
    one that is an earlier one but for rounding is that one, so that each depends on the pairs before it only.

    Args:
        values, others: as for `paired_difference`.

    Raises:
        ValueError: as for `paired_difference`.
    """
    differences, rounding = _differences_and_rounding(values, others)
    for i in range(1, len(differences)):
        # By the smaller rounding of the two: of a loss that ran away it is larger than any difference.
        same = np.abs(differences[:i] - differences[i]) <= np.minimum(rounding[:i], rounding[i])
        if same.any():
            differences[i] = differences[same.argmax()]
    return [float(difference) for difference in differences]


def _differences_and_rounding(
    values: Sequence[float], others: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each pair the difference, 0 where it is rounding only, and how large rounding may be."""
    if len(values) != len(others) or not values:
        raise ValueError(f"received {len(values)} and {len(others)} values, expected pairs")
    differences = np.asarray(values, float) - np.asarray(others, float)
    # Of each pair its own: beside a loss that ran away, the others' differences are no rounding.
    rounding = _ROUNDING * np.abs([values, others]).max(axis=0)
    differences[np.abs(differences) <= rounding] = 0.0
    return differences, rounding


def _vary(differences: NDArray[np.float64], rounding: NDArray[np.float64]) -> bool:
    """Whether differences are more than one value and what rounding makes of it."""
    if 0 < np.count_nonzero(differences) < len(differences):
        return True
    return float((differences - rounding / 2).max()) > float((differences + rounding / 2).min())


def unpaired_difference(values: Sequence[float], others: Sequence[float]) -> Difference:
    """The mean of values less that of others, which vary independently and each in its own way (B. L. Welch, 1947).

    Raises:
        ValueError: there are none of either.
    """
    if not values or not others:
        raise ValueError(f"received {len(values)} and {len(others)} values, expected one or more of each")
    ours, theirs = np.asarray(values, float), np.asarray(others, float)
    n, other_n, mean = len(ours), len(theirs), float(ours.mean() - theirs.mean())
    if min(n, other_n) < FEWEST:
        return Difference(n, mean, other_n=other_n)
    if np.ptp(ours) == 0 and np.ptp(theirs) == 0:
        # Nothing varies, and the t-test would be certain. What is left to ask is how often as many values would be
        # sorted by chance into those two heaps, either of them the higher one.
        # Not of their means, which rounding may tell apart.
        only = float(ours[0] - theirs[0])
        p = min(1.0, 2 / math.comb(n + other_n, n)) if only else 1.0
        return Difference(n, only, only, only, p, other_n=other_n, standard_error=0.0)
    from scipy import stats

    parts = [float(sample.var(ddof=1)) / len(sample) for sample in (ours, theirs)]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (other_n - 1))
    error = math.sqrt(sum(parts))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return Difference(n, mean, mean - reach, mean + reach, p, other_n=other_n, standard_error=error)


@dataclass(frozen=True)
class RowsDifference:
    """The accuracies of two models on the same rows, row by row.

    Attributes:
        both_right, only_first, only_second, both_wrong: rows, by which of the models are right.
        mean: the first model's accuracy less the second's.
        low, high: bounds of its 95 % interval for paired shares (R. G. Newcombe, 1998, "Improved confidence intervals
            for the difference between binomial proportions based on paired data", method 10).
        p: of McNemar's exact test, two-sided: how often as many of the rows that only one of the models has right, or
            more, would be one model's where each is as likely to be either's (Q. McNemar, 1947).
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    mean: float
    low: float
    high: float
    p: float

    @property
    def test(self) -> str:
        """What p is by, for a sentence."""
        return "McNemar's exact p"

    @property
    def rows(self) -> int:
        return self.both_right + self.only_first + self.only_second + self.both_wrong

    @property
    def distinguishable(self) -> bool:
        """Whether both the interval and the test tell the accuracies apart."""
        return tells_apart(self.low, self.high, self.p)

    def verdict(self) -> str:
        """As that of a `Difference`."""
        return verdict_on(self.mean, "max", distinguishable=self.distinguishable)

    def by_rows(self) -> str:
        """On how many rows only one of the models is right, for a table."""
        return f"{self.only_first:,} to {self.only_second:,} rows"

    def sentence(self, label: str, base: str, what: str) -> str:
        """As that of a `Difference`.

        >>> print(rows_difference(36, 12, 2, 0).sentence("a", "b", "accuracy"))
        a against b: accuracy +0.2000 (95 % interval +0.0569 to +0.3404; McNemar's exact p = 0.013) on the same 50 \
test rows; only a is right on 12, only b on 2: better.
        """
        interval = f"95 % interval {signed(self.low)} to {signed(self.high)}"
        p = p_words(self.p, self.test)
        rows = f"only {label} is right on {self.only_first:,}, only {base} on {self.only_second:,}"
        return (
            f"{label} against {base}: {what} {signed(self.mean)} ({interval}; {p}) on the same "
            f"{self.rows:,} test rows; {rows}: {self.verdict()}."
        )


def rows_difference(both_right: int, only_first: int, only_second: int, both_wrong: int) -> RowsDifference:
    """The difference of two models' accuracies from how many rows both, only one, or neither has right.

    Raises:
        ValueError: there are no rows.
    """
    counts = (both_right, only_first, only_second, both_wrong)
    rows, mean = sum(counts), (only_first - only_second) / max(sum(counts), 1)
    first, second = (proportion(both_right + only, rows) for only in (only_first, only_second))
    shares = first.right / rows, second.right / rows
    margins = math.sqrt(first.right * second.right) * math.sqrt((rows - first.right) * (rows - second.right))
    # How far the models are right on the same rows, corrected for continuity.
    excess = both_right * both_wrong - only_first * only_second
    together = (max(excess - rows / 2, 0.0) if excess > 0 else excess) / margins if margins else 0.0

    def reach(down: float, up: float) -> float:
        return math.sqrt(max(down * down - 2 * together * down * up + up * up, 0.0))

    low = mean - reach(shares[0] - first.low, second.high - shares[1])
    high = mean + reach(first.high - shares[0], shares[1] - second.low)
    return RowsDifference(*counts, mean, low, high, _mcnemar(only_first, only_second))


def _mcnemar(first: int, second: int) -> float:
    """The two-sided p of as many successes and failures where both are equally likely. Not by SciPy, which takes a
    second to import."""
    n, fewer = first + second, min(first, second)
    term = math.exp(math.lgamma(n + 1) - math.lgamma(fewer + 1) - math.lgamma(n - fewer + 1) - n * math.log(2))
    total = 0.0
    # From the largest term down.
    for successes in range(fewer, -1, -1):
        total += term
        if term < total * _NEGLIGIBLE:
            break
        term *= successes / (n - successes + 1)
    return 1.0 if first == second else min(1.0, 2 * total)


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
        varies = self.sd is not None and self.sd >= 0.005
        return f"{self.mean:.2f}" + (f" ± {self.sd:.2f}" if varies else "")


def ratio_of(values: Mapping[int, float], others: Mapping[int, float]) -> Ratio | None:
    """The ratio of values to others by seed; None where no seed has both.

    >>> str(ratio_of({0: 2.0, 1: 3.0, 2: 9.0}, {0: 1.0, 1: 1.0}))
    '2.50 ± 0.71'
    """
    ratios = [values[seed] / others[seed] for seed in sorted(values.keys() & others.keys()) if others[seed]]
    if not ratios:
        return None
    return Ratio(len(ratios), statistics.fmean(ratios), statistics.stdev(ratios) if len(ratios) > 1 else None)


def too_few(n: int) -> str:
    """A sentence for arms of fewer seeds than an interval needs."""
    return f"Not distinguishable at n = {n}: fewer than {FEWEST} seeds give no interval."
