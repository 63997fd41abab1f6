"""How sure a mean over few seeds is, and a share that was counted on few rows.

What choosing an epoch on the test rows would have claimed, against what the epoch chosen on other rows is worth.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.runs.headline import ACCURACY, Headline
from stopcli.runs.metrics import Columns
from stopcli.runs.summary import ChosenEpoch, Selection
from stopcli.stopping import BestEpoch, BestState

# Fewer values say nothing of how much they vary.
FEWEST = 3
CONFIDENCE = 0.95
_RESAMPLES = 9999
# Of the largest value: means that are no further apart are the same.
_TIE = 1e-12


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its bootstrap 95 % interval.

    Attributes:
        n: values.
        sd: their standard deviation; None where n < 2.
        low, high: bounds of the interval (BCa, widened for few values); None where n < 3.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None

    @property
    def bounds(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    def complement(self) -> MeanInterval:
        """Of one minus each value: the error where the values are shares of what is right."""
        low, high = (None if bound is None else 1 - bound for bound in (self.high, self.low))
        return replace(self, mean=1 - self.mean, low=low, high=high)

    def cell(self, show: Callable[[float], str] = "{:.3f}".format, *, sd: bool = True, interval: bool = True) -> str:
        """As text for a table, with its standard deviation and its interval as far as it has them.

        >>> MeanInterval(3, 0.9, 0.01, 0.89, 0.91).cell()
        '0.900 ± 0.010 [0.890, 0.910]'
        """
        text = show(self.mean)
        # Where all values are the same to the last digit shown, there is nothing to say of how they vary.
        if sd and self.sd is not None and show(self.sd).strip("0."):
            text += f" ± {show(self.sd)}"
        if interval and self.bounds:
            text += f" [{', '.join(map(show, self.bounds))}]"
        return text


def mean_interval(values: Sequence[float]) -> MeanInterval:
    """Of one value or more.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("received no values, expected one or more")
    return _mean_interval(tuple(values))


@functools.cache
def _mean_interval(values: tuple[float, ...]) -> MeanInterval:
    """Once for the same values: tables, figures and summaries all show it, and the bootstrap takes its time."""
    mean, sd = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
    if len(values) < FEWEST:
        return MeanInterval(len(values), mean, sd, None, None)
    array = np.asarray(values, float)
    if np.ptp(array) == 0:
        # Nothing varies: the bootstrap's acceleration would be 0 / 0.
        return MeanInterval(len(values), mean, sd, mean, mean)
    return MeanInterval(len(values), mean, sd, *bootstrap_interval(array))


def bootstrap_interval(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The bootstrap interval (BCa) of the mean of values that are not all the same.

    A resample of n values varies less than n values do, and quantiles of it are those of a normal distribution where
    Student's are due. For 10 values that vary normally a plain BCa interval (95 %) holds the mean in 89 % of all cases,
    so the quantiles are taken further out: Φ(√(n / (n − 1)) · t), with t of n − 1 degrees of freedom, in the place of
    97.5 % (T. Hesterberg, "What Teachers Should Know About the Bootstrap", 2015). With it the mean is held in 94 %.
    Nothing that is drawn from values lies outside of them, so with 3 values it is held in 75 % at most.

    Args:
        values: 3 or more, shape [n].
        confidence: two-sided, in (0, 1).
    """
    from scipy import stats

    # The resamples are those that scipy would draw with rng=0. They are drawn once for all intervals of n values: a
    # study asks for hundreds, and drawing takes ten times as long as the rest. Their means are no matrix product,
    # whose threads would wait for each other where other processes compute.
    means = np.einsum("ji,j->i", _resample_counts(len(values)), values) / len(values)
    # Of few values many resamples have the very mean (of 5, their permutations alone are 4 %), and half of these count
    # as lower. Left to the last digit, errors would have another interval than the shares they are the rest of.
    mean = values.mean()
    means[np.abs(means - mean) <= _TIE * np.abs(values).max()] = mean
    interval = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=widened_confidence(len(values), confidence),
        n_resamples=0,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=means),
        method="BCa",
    ).confidence_interval
    return float(interval.low), float(interval.high)


@functools.lru_cache(maxsize=1)
def _resample_counts(n: int) -> NDArray[np.float64]:
    """How often each of n values is in each resample, shape [n, resamples]."""
    indices = np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))
    # Counted all at once: the indices of a resample are moved to where no other's are.
    indices = indices * _RESAMPLES + np.arange(_RESAMPLES)[:, None]
    return np.bincount(indices.ravel(), minlength=n * _RESAMPLES).reshape(n, _RESAMPLES).astype(float)


@functools.cache
def widened_confidence(n: int, confidence: float = CONFIDENCE) -> float:
    """The confidence to ask of a bootstrap of n values for an interval of 95 %, or of another confidence; above it, and
    near it for many."""
    from scipy import stats

    t = stats.t.ppf((1 + confidence) / 2, n - 1)
    return float(2 * stats.norm.cdf(math.sqrt(n / (n - 1)) * t) - 1)


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
    """The Wilson 95 % interval of a share: what it would be on all rows like those it was counted on.

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


def proportion_of(value: float | None, rows: int, headline: Headline = ACCURACY) -> Proportion | None:
    """The same, of a metric that was measured on so many rows; None where it is no share of them, or there are none to
    count."""
    if value is None or headline.kind != "proportion" or rows < 1 or not 0 <= value <= 1:
        return None
    return proportion(round(value * rows), rows)


def share_shown(n: int) -> float:
    """The share of all runs that n of n runs show at least, with a confidence of 95 %: 0.05^(1/n).

    It holds for the largest of n values too, such as the patience that was just enough in each of n runs: whatever they
    vary like, a share q of all others is no larger with a probability of 1 − q^n (S. S. Wilks, 1941).

    >>> round(share_shown(3), 3), runs_to_show(0.95)
    (0.368, 59)
    """
    return float((1 - CONFIDENCE) ** (1 / n))


def runs_to_show(share: float) -> int:
    """How many runs it takes to show a share of all, with a confidence of 95 %."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(share))


def compare_selection(
    metrics: Columns, rule: BestEpoch, readable: Sequence[str], headline: Headline = ACCURACY
) -> Selection | None:
    """Ask a rule twice over a run's epochs.

    Args:
        metrics: the columns of metrics.csv, up to the epoch at which training stopped.
        rule: which epoch is the best, by a metric of the rows that validate, or of those that train. On the test rows
            it is asked by the same metric of theirs: `test_loss` for `val_loss` and for `loss`.
        readable: the metrics that rules may read. An epoch in which one of them is no number counts for neither.
        headline: the metric whose values on the test rows are compared. It is recorded of them where they are set apart
            (docs/decisions/0004).

    Returns:
        None where no test rows were set apart, or no epoch counts.
    """
    base = rule.monitor.removeprefix("val_")
    on_test = BestEpoch(f"test_{base}", rule.mode, rule.start_from_epoch)
    if headline.column("test") not in metrics or on_test.monitor not in metrics:
        return None
    sound = np.isfinite(np.stack([metrics[name] for name in readable])).all(axis=0)
    honest, claimed = (_chosen(metrics, best, sound, headline) for best in (rule, on_test))
    return Selection(honest, claimed, headline.direction) if honest and claimed else None


def _chosen(metrics: Columns, rule: BestEpoch, sound: Any, headline: Headline) -> ChosenEpoch | None:
    best = BestState()
    columns = (metrics["epoch"], metrics[rule.monitor], sound)
    for epoch, value, counts in zip(*(column.tolist() for column in columns), strict=True):
        if counts:
            best = rule.update(best, int(epoch), {rule.monitor: value})
    if best.value is None:
        return None
    row = int(np.flatnonzero(metrics["epoch"] == best.epoch)[0])
    tested = float(metrics[headline.column("test")][row])
    key = "test_accuracy" if headline == ACCURACY else "test_value"
    return ChosenEpoch(rule.monitor, best.epoch, best.value, **{key: tested})
