from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from stopcli.stats import sequential
from stopcli.stats.sequential import anytime_interval, bayes_factor, fewest_seeds, seeds_needed, sequential_test

SAMPLES = [
    np.random.default_rng(n).normal(effect, 1, n).tolist() for n in (2, 3, 5, 8, 20, 60) for effect in (0, 0.5, 3)
]


def test_the_examples_of_the_docstrings_are_right() -> None:
    assert doctest.testmod(sequential).failed == 0


def _marginal_likelihood_ratio(differences: list[float], mean: float, scale: float) -> float:
    """The noncentral t density of the observed t, averaged over the prior, by the central one."""
    n = len(differences)
    t = float(stats.ttest_1samp(differences, mean).statistic)

    def integrand(size: float) -> float:
        return float(stats.nct.pdf(t, n - 1, math.sqrt(n) * size) * stats.norm.pdf(size, scale=math.sqrt(scale)))

    likely = t / math.sqrt(n)
    reach = 12 * math.sqrt(scale) + abs(likely)
    total, _ = integrate.quad(integrand, -reach, reach, points=[0, likely], limit=500, epsabs=0, epsrel=1e-9)
    return total / float(stats.t.pdf(t, n - 1))


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("differences", SAMPLES[:12])
def test_the_bayes_factor_is_the_average_of_likelihoods_over_the_prior(differences: list[float], scale: float) -> None:
    for mean in (0.0, 0.4):
        expected = _marginal_likelihood_ratio(differences, mean, scale)
        assert bayes_factor(differences, mean, scale=scale) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("comparisons", "scale"), [(1, 1.0), (4, 1.0), (3, 0.4)])
@pytest.mark.parametrize("differences", SAMPLES)
def test_the_interval_is_all_means_that_the_bayes_factor_is_not_large_against(
    differences: list[float], comparisons: int, scale: float
) -> None:
    interval = anytime_interval(differences, comparisons=comparisons, scale=scale)

    def excess(mean: float) -> float:
        return math.log(bayes_factor(differences, mean, scale=scale)) - math.log(comparisons / 0.05)

    if interval.bounds is None:
        assert len(differences) < fewest_seeds(comparisons, scale)
        assert excess(interval.mean + 1e9) < 0
        return
    low, high = (
        optimize.brentq(excess, interval.mean, interval.mean + sign * 1e3, xtol=1e-13, rtol=1e-14) for sign in (-1, 1)
    )
    assert interval.bounds == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize(("size", "power", "seeds"), [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.9, 44)])
def test_the_seeds_needed_are_those_of_published_tables(size: float, power: float, seeds: int) -> None:
    differences = [-1.0, 0.0, 1.0]
    needed = seeds_needed(differences, -size, power=power)
    assert needed is not None
    assert needed.more == seeds - 3


def test_identical_results_are_equal_once_their_signs_could_have_said_otherwise() -> None:
    test = sequential_test([0.0] * 8, [0.001] * 8)
    assert (test.outcome, test.decided, test.claimed) == ("equal", 6, None)
