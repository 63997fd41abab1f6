from __future__ import annotations

import doctest
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr, ndtri

from stopcli.stats import intervals
from stopcli.stats.intervals import MeanInterval, bootstrap_interval, mean_interval, widened_confidence

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
RESAMPLES = 9999


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(intervals).failed == 0


def test_a_cell_has_what_is_asked_of_it_and_known() -> None:
    interval = MeanInterval(3, 0.5, 0.25, 0.25, 0.75)
    assert interval.cell("{:.1f}".format, sd=False) == "0.5 [0.2, 0.8]"
    assert interval.cell(interval=False) == "0.500 ± 0.250"
    assert MeanInterval(1, 0.5, None, None, None).cell() == "0.500"
    # Nothing of a standard deviation that shows no digit.
    assert MeanInterval(3, 0.5, 0.0004, 0.5, 0.5).cell() == "0.500 [0.500, 0.500]"
    assert MeanInterval(3, 12.0, 0.0, None, None).cell("{:.0f}".format) == "12"


def test_a_mean_has_scipy_s_bootstrap_interval_from_three_values_on() -> None:
    values = np.random.default_rng(1).normal(3, 1, 12)
    interval = mean_interval(values.tolist())
    # Student's t of 11 degrees of freedom, from a table.
    wide = 2 * stats.norm.cdf(np.sqrt(12 / 11) * 2.200985) - 1
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=wide, method="BCa", rng=0
    ).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.sd == pytest.approx(values.std(ddof=1))


@pytest.mark.parametrize("n", [1, 2])
def test_there_is_none_for_fewer(n: int) -> None:
    interval = mean_interval([1.0, 3.0][:n])
    assert (interval.n, interval.low, interval.high) == (n, None, None)
    assert (interval.sd is None) == (n == 1)


def test_equal_values_have_an_interval_of_no_width_and_no_values_are_refused() -> None:
    interval = mean_interval([2.0] * 4)
    assert (interval.mean, interval.low, interval.high) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="received no values"):
        mean_interval([])


@pytest.mark.parametrize("values", [[0.0, 0.0, 1.0], [0.0, 1.0, 5.0, 5.0], [0.0] * 9 + [1.0], [1e9, 1e9 + 1, 1e9 + 2]])
def test_few_and_lopsided_values_have_an_interval_around_their_mean_within_them(values: list[float]) -> None:
    interval = mean_interval(values)
    assert interval.low is not None
    assert interval.high is not None
    assert min(values) <= interval.low < interval.mean < interval.high <= max(values)


@pytest.mark.parametrize("right", [[62, 64, 66, 65, 64], [64, 64, 64, 66], [66, 60, 66, 65, 66, 66, 66]])
def test_errors_have_the_interval_of_the_accuracies_that_they_are_the_rest_of(right: list[int]) -> None:
    counted = mean_interval([float(count) for count in right])
    accuracy, error = (mean_interval([count / 70 for count in sample]) for sample in (right, [70 - c for c in right]))
    assert counted.low is not None
    assert counted.high is not None
    assert (accuracy.low, accuracy.high) == pytest.approx((counted.low / 70, counted.high / 70), abs=1e-9)
    assert (error.low, error.high) == pytest.approx((1 - counted.high / 70, 1 - counted.low / 70), abs=1e-9)


def test_many_values_are_asked_for_95_percent_and_few_for_more() -> None:
    level = [widened_confidence(n) for n in (3, 5, 10, 30, 1000)]
    assert level == sorted(level, reverse=True)
    assert level[2:] == pytest.approx([0.98290, 0.96249, 0.95039], abs=2e-5)


def bca(samples: Floats, confidence: float) -> tuple[Floats, Floats]:
    """BCa intervals of means by the book (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, 14.3).

    Args:
        samples: shape [samples, n]; all are resampled by the same draws, those that scipy makes with seed 0.
    """
    n = samples.shape[1]
    picked = np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
    counts = np.stack([(picked == index).sum(axis=1) for index in range(n)])
    means = np.sort(samples @ (counts / n), axis=1)
    mean = samples.mean(axis=1, keepdims=True)
    tie = 1e-12
    below = ((means < mean - tie).sum(axis=1) + (means < mean + tie).sum(axis=1)) / (2 * RESAMPLES)
    bias = ndtri(below)
    # Leaving out one value moves the mean the other way.
    influence = samples - mean
    acceleration = (influence**3).sum(axis=1) / (6 * (influence**2).sum(axis=1) ** 1.5)
    bounds = []
    for z in (ndtri((1 - confidence) / 2), ndtri((1 + confidence) / 2)):
        quantile = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
        index = quantile * (RESAMPLES - 1)
        rows, down, up = np.arange(len(means)), np.floor(index).astype(int), np.ceil(index).astype(int)
        bounds.append(means[rows, down] + (index - down) * (means[rows, up] - means[rows, down]))
    return bounds[0], bounds[1]


def _accuracies(draw: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Of 70 rows, as the moons have them: seeds share their rows, and differ by a few of them."""
    return (70 - draw.binomial(8, 0.5, shape)) / 70


CASES: dict[str, tuple[Draw, float]] = {
    "normal": (lambda draw, shape: draw.normal(size=shape), 0.0),
    "exponential": (lambda draw, shape: draw.exponential(size=shape), 1.0),
    "log-normal, sigma 0.5": (lambda draw, shape: draw.lognormal(0, 0.5, shape), float(np.exp(0.125))),
    "accuracies": (_accuracies, 66 / 70),
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("case", CASES)
def test_the_interval_holds_the_mean_in_90_to_98_percent_of_all_cases(case: str, n: int) -> None:
    make, mean = CASES[case]
    draw = np.random.default_rng(n)
    samples = make(draw, (1000, n))
    samples = samples[np.ptp(samples, axis=1) > 0]
    low, high = bca(samples, widened_confidence(n))
    # The simulated intervals are those that users get.
    for i in range(10):
        assert bootstrap_interval(samples[i]) == pytest.approx((low[i], high[i]), abs=1e-9)
    coverage = float(np.mean((low <= mean) & (mean <= high)))
    # Of 1,000 samples, the standard error is below 0.01.
    assert 0.90 <= coverage <= 0.98
