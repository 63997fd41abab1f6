"""When a comparison of paired seeds is decided while one looks after every seed, and how many more seeds one needs that
is not.

A 95 % interval holds a mean in 95 % of all cases for one look. Whoever looks after every seed, to stop where it leaves
out 0, sees a difference where there is none in 3 of 10 comparisons within 30 seeds. An anytime-valid interval holds the
mean at all looks together, so that one may stop as soon as it has decided.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stopcli.stats.intervals import CONFIDENCE, FEWEST

Outcome = Literal["higher", "lower", "equal", "undecided"]
# More seeds than this are no plan.
MOST_SEEDS = 10_000
_ALPHA = 1 - CONFIDENCE
# Of a bet that the next difference is the same again.
_ODDS = 3.0
# e to this power is near the largest float.
_LARGEST_EXPONENT = 700.0
# Φ(−6) is 1e-9.
_FAR = 6.0


@dataclass(frozen=True)
class AnytimeInterval:
    """A mean of paired differences with its anytime-valid 95 % interval.

    Attributes:
        n: differences.
        sd: their standard deviation; None where n < 2.
        low, high: bounds of the interval; None where it has none, because n is too few (`fewest_seeds`).
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None

    @property
    def bounds(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


def bayes_factor(differences: Sequence[float], mean: float = 0.0, *, scale: float = 1.0) -> float:
    """The evidence of paired differences against their having a mean: how many times as likely they are where their
    effect size varies around 0 as they are where it is 0.

    With n differences of mean d and standard deviation s, ν = n − 1 and t = (d − mean) / (s / √n):

        BF = (1 + n g)^(−1/2) · [(1 + t²/ν) / (1 + t²/(ν (1 + n g)))]^(n/2)

    The effect size (d − mean) / σ has the prior N(0, g), and σ the prior 1/σ (M. Gönen, W. Johnson, Y. Lu,
    P. Westfall, "The Bayesian Two-Sample t Test", 2005). Where the mean is true, BF reaches K at any look with a
    probability of 1 / K at most, whatever σ is (A. Hendriksen, R. de Heide, P. Grünwald, "Optional Stopping with Bayes
    Factors", 2021).

    That is of normal differences. By simulation (docs/decisions/0056) it also holds of those of two settings that are
    the same, whatever they vary like, as these are symmetric. It does not of skewed ones, such as where one setting
    diverges for a few seeds.

    Differences that are all the same have no s, and t would be certain, although a few accuracies of few rows are
    easily the same. What is left to bet on is that the next is the same again. Of two settings that are the same but
    for their mean, no value v of a difference is more likely than 1 / 3: beside the mean, none is likelier than the
    mean itself (Σ p(x) p(x + v) ≤ Σ p(x)², by Cauchy and Schwarz), and each is as likely as the one on the other side.
    So whoever bets all there is on the first value at odds of 3 to 1 has at the most a fair bet, which reaches K with a
    probability of 1 / K at most (J. Ville, 1939), whenever one looks: BF = 3^(n − 1).

    Args:
        differences: of each seed, in any unit; one or more, without what rounding makes of them
            (`differences_by_pair`).
        mean: in their unit.
        scale: the variance g of the effect size's prior, in squares of a standard deviation; above 0.

    Returns:
        Above 0; `inf` where it is too large for a float. 1 for a single difference, which says nothing of a mean as
        long as σ is unknown.

    Raises:
        ValueError: there are no differences, one of them or the mean is not finite, or the scale is out of range.

    >>> round(bayes_factor([0.02, 0.03, 0.01, 0.02, 0.03]), 2), bayes_factor([0.02] * 5)
    (12.67, 81.0)
    """
    _check(differences, 1, scale)
    if not math.isfinite(mean):
        raise ValueError(f"received a mean of {mean}, expected a finite number")
    n = len(differences)
    if n == 1:
        return 1.0
    freedom, wide, deviation = n - 1, 1 + n * scale, statistics.stdev(differences)
    if deviation == 0 and differences[0] != mean:
        return _ODDS**freedom if freedom * math.log(_ODDS) < _LARGEST_EXPONENT else math.inf
    t = (statistics.fmean(differences) - mean) / deviation * math.sqrt(n) if deviation else 0.0
    # The square of one in 1e200 would be too large, and the quotient has reached 1 + n g long before.
    square = min(abs(t), 1e150) ** 2 / freedom
    exponent = (n * (math.log1p(square) - math.log1p(square / wide)) - math.log(wide)) / 2
    return math.exp(exponent) if exponent < _LARGEST_EXPONENT else math.inf


def anytime_interval(differences: Sequence[float], *, comparisons: int = 1, scale: float = 1.0) -> AnytimeInterval:
    """The mean of paired differences with the interval that holds it at all looks together, with 95 %.

    It is all means that `bayes_factor` is below K = comparisons / 0.05 against. In closed form, with
    c = (√(1 + n g) · K)^(2/n) and q = (c − 1) / (1 − c / (1 + n g)), its half width is √(ν q) · s / √n. Where
    c ≥ 1 + n g no t is convincing, and it has no bounds.

    Of differences that are all the same it is their value from 3^(n − 1) ≥ K on, and has no bounds before.

    Args:
        differences, scale: as for `bayes_factor`.
        comparisons: how many are made at a time, such as of several settings with one; 1 or more. All of their
            intervals hold their means with 95 % (C. E. Bonferroni's inequality).

    Raises:
        ValueError: as for `bayes_factor`, or the comparisons are out of range.

    >>> interval = anytime_interval([0.02, 0.03, 0.01, 0.02, 0.03, 0.01])
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0001, 0.0399)
    """
    _check(differences, comparisons, scale)
    n = len(differences)
    if n == 1:
        return AnytimeInterval(n, float(differences[0]), None, None, None)
    mean, deviation = statistics.fmean(differences), statistics.stdev(differences)
    if deviation == 0:
        # Not their sum by n, which rounding may make another number.
        mean = float(differences[0])
        reach = 0.0 if (n - 1) * math.log(_ODDS) >= _log_evidence_needed(comparisons) else None
    else:
        reach = _half_width(n, deviation, comparisons, scale)
    return AnytimeInterval(n, mean, deviation, *((None, None) if reach is None else (mean - reach, mean + reach)))


def fewest_seeds(comparisons: int = 1, scale: float = 1.0) -> int:
    """The smallest number of differences whose anytime-valid interval has bounds, where they are not all the same.

    Args:
        comparisons, scale: as for `anytime_interval`.

    >>> fewest_seeds(), fewest_seeds(4)
    (5, 6)
    """
    _check([0.0], comparisons, scale)
    n = 2
    while _half_width(n, 1.0, comparisons, scale) is None:
        n += 1
    return n


def _log_evidence_needed(comparisons: int) -> float:
    return math.log(comparisons / _ALPHA)


def _half_width(n: int, deviation: float, comparisons: int, scale: float) -> float | None:
    """Of the interval of n ≥ 2 differences that vary; None where it has no bounds."""
    log_wide = math.log1p(n * scale)
    log_c = (log_wide + 2 * _log_evidence_needed(comparisons)) / n
    if log_c >= log_wide:
        return None
    q = math.expm1(log_c) / -math.expm1(log_c - log_wide)
    return math.sqrt((n - 1) * q / n) * deviation


def _check(differences: Sequence[float], comparisons: int, scale: float) -> None:
    if not len(differences):
        raise ValueError("received no differences, expected one or more")
    for seed, difference in enumerate(differences):
        if not math.isfinite(difference):
            raise ValueError(f"received {difference} as difference {seed + 1}, expected finite numbers")
    if comparisons < 1:
        raise ValueError(f"received {comparisons} comparisons, expected 1 or more")
    if not (scale > 0 and math.isfinite(scale)):
        raise ValueError(f"received a scale of {scale}, expected a finite number above 0")


@dataclass(frozen=True)
class Look:
    """What there is to see of a comparison after n seeds.

    Attributes:
        n: seeds.
        interval: the anytime-valid one.
        margin: the largest difference that counts as none, in the unit of the differences.
        plain: bounds of Student's 95 % interval of the mean, which holds for one look only; None where n < 2. Where
            all differences are the same, it is their value.
    """

    n: int
    interval: AnytimeInterval
    margin: float
    plain: tuple[float, float] | None

    @property
    def outcome(self) -> Outcome:
        """`higher` or `lower` where the anytime-valid interval leaves out 0, however small the difference; `equal`
        where it lies within the margin, its ends included."""
        if not self.interval.bounds:
            return "undecided"
        low, high = self.interval.bounds
        if low > 0:
            return "higher"
        if high < 0:
            return "lower"
        return "equal" if -self.margin <= low and high <= self.margin else "undecided"

    @property
    def claims(self) -> bool:
        """Whether the plain interval leaves out 0."""
        return self.plain is not None and (self.plain[0] > 0 or self.plain[1] < 0)

    def to_dict(self) -> dict[str, Any]:
        """What a summary.json holds of it."""
        interval, (plain_low, plain_high) = self.interval, self.plain or (None, None)
        values = {"n": self.n, "mean": interval.mean, "sd": interval.sd, "low": interval.low, "high": interval.high}
        return {**values, "margin": self.margin, "plain_low": plain_low, "plain_high": plain_high}


@dataclass(frozen=True)
class SequentialTest:
    """A comparison that was looked at after every seed.

    Attributes:
        looks: after 1, 2, … seeds.
    """

    looks: tuple[Look, ...]

    @property
    def decided(self) -> int | None:
        """The first number of seeds at which it is decided; None where it is not. It stays decided whatever comes
        later: that is what the interval holds for."""
        return next((look.n for look in self.looks if look.outcome != "undecided"), None)

    @property
    def outcome(self) -> Outcome:
        """Of the look at which it was decided."""
        return "undecided" if self.decided is None else self.looks[self.decided - 1].outcome

    @property
    def claimed(self) -> int | None:
        """The first number of seeds at which the plain interval leaves out 0; None where it never does."""
        return next((look.n for look in self.looks if look.claims), None)

    def to_dict(self) -> dict[str, Any]:
        """What a summary.json holds of it."""
        looks = [look.to_dict() for look in self.looks]
        return {"outcome": self.outcome, "decided": self.decided, "claimed": self.claimed, "looks": looks}


def sequential_test(
    differences: Sequence[float], margins: Sequence[float], *, comparisons: int = 1, scale: float = 1.0
) -> SequentialTest:
    """Look at paired differences after every seed.

    Args:
        differences: as for `bayes_factor`, in the order of the seeds.
        margins: of each look, 0 or more, in the unit of the differences. That of look n may depend on the first n
            seeds, such as a share of a mean.
        comparisons, scale: as for `anytime_interval`.

    Raises:
        ValueError: as for `anytime_interval`; the margins are not as many as the differences, or one is below
            0 or not finite.

    >>> test = sequential_test([0.02, 0.03, 0.01, 0.02, 0.03, 0.01], [0.005] * 6)
    >>> test.outcome, test.decided, test.claimed
    ('higher', 6, 4)
    """
    if len(margins) != len(differences):
        raise ValueError(f"received {len(margins)} margins of {len(differences)} differences, expected as many")
    for margin in margins:
        if not (margin >= 0 and math.isfinite(margin)):
            raise ValueError(f"received a margin of {margin}, expected a finite number, 0 or more")
    _check(differences, comparisons, scale)
    values = [float(difference) for difference in differences]
    looks = []
    for n, margin in enumerate(margins, 1):
        interval = anytime_interval(values[:n], comparisons=comparisons, scale=scale)
        looks.append(Look(n, interval, float(margin), _plain_interval(interval)))
    return SequentialTest(tuple(looks))


def _plain_interval(interval: AnytimeInterval) -> tuple[float, float] | None:
    """Student's 95 % interval of the same differences."""
    if interval.sd is None:
        return None
    from scipy import special

    reach = float(special.stdtrit(interval.n - 1, 1 - _ALPHA / 2)) * interval.sd / math.sqrt(interval.n)
    return interval.mean - reach, interval.mean + reach


@dataclass(frozen=True)
class SeedsNeeded:
    """How many more seeds a t-test needs.

    Attributes:
        more: besides those that there are; 0 where they are enough. None where it would be more than `MOST_SEEDS` with
            them.
        low, high: the same for the bounds of the standard deviation's 95 % interval.
        power: the chance to tell the effect from 0.
        effect: in the unit of the differences; above 0.
    """

    more: int | None
    low: int | None
    high: int | None
    power: float
    effect: float


def seeds_needed(differences: Sequence[float], effect: float, *, power: float = 0.8) -> SeedsNeeded | None:
    """How many more seeds a paired, two-sided t-test (5 %) needs to tell an effect from 0.

    The t of n differences whose mean is the effect has the noncentral t distribution with n − 1 degrees of freedom and
    noncentrality √n · effect / σ (J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, chapter 2).
    σ is taken to be the standard deviation s of the differences, which few seeds say little of: √(ν / χ²) · s are the
    bounds of its 95 % interval, with the quantiles of χ² with ν = n − 1 degrees of freedom.

    It is of a test that is asked once, after all seeds. A sequential test takes 1.6 to 1.8 times as many in total
    for the same power, by simulation (docs/decisions/0056).

    Args:
        differences: as for `bayes_factor`.
        effect: the difference to tell from 0, in their unit; its sign does not matter.
        power: the chance to tell it, above 0.05 and below 1.

    Returns:
        None where n < 3 or the differences are all the same: nothing is known of how much they vary.

    Raises:
        ValueError: there are no differences, one is not finite, or the effect or power is out of range.

    >>> needed = seeds_needed([-0.02, 0.01, 0.0, 0.02, 0.01], 0.01)
    >>> needed.more, needed.low, needed.high
    (16, 4, 146)
    """
    _check(differences, 1, 1.0)
    if effect == 0 or not math.isfinite(effect):
        raise ValueError(f"received an effect of {effect}, expected a finite number other than 0")
    if not _ALPHA < power < 1:
        raise ValueError(f"received a power of {power}, expected above {_ALPHA:.2g} and below 1")
    n = len(differences)
    deviation = statistics.stdev(differences) if n >= FEWEST else 0.0
    if deviation == 0:
        return None
    from scipy import special

    # chdtri is of the upper tail.
    quantiles = (n - 1.0, *(float(special.chdtri(n - 1, tail)) for tail in (_ALPHA / 2, 1 - _ALPHA / 2)))
    sizes = (abs(effect) / (deviation * math.sqrt((n - 1) / quantile)) for quantile in quantiles)
    totals = [_sample_size(size, power) for size in sizes]
    more, low, high = (None if total is None else max(0, total - n) for total in totals)
    return SeedsNeeded(more, low, high, power, abs(effect))


def _sample_size(size: float, power: float) -> int | None:
    """The smallest n ≥ 2 with which a t-test tells a mean of so many standard deviations; None above `MOST_SEEDS`."""
    too_few, enough = 1, 2
    # From few on: far above what is enough, SciPy's noncentral t has no digits any more, and is no number.
    while _power(enough, size) < power:
        if enough == MOST_SEEDS:
            return None
        too_few, enough = enough, min(2 * enough, MOST_SEEDS)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _power(middle, size) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def _power(n: int, size: float) -> float:
    """Of a two-sided t-test (5 %) of n differences whose mean is so many standard deviations."""
    from scipy import special

    critical, noncentrality = special.stdtrit(n - 1, 1 - _ALPHA / 2), math.sqrt(n) * size
    above = 1 - float(special.nctdtr(n - 1, noncentrality, critical))
    # A t on the other side is rarer than Φ(−noncentrality), and SciPy has no number for what is hardly ever.
    other_side = noncentrality < _FAR and float(special.nctdtr(n - 1, noncentrality, -critical))
    return above + other_side
