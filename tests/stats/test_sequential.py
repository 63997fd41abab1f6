from __future__ import annotations

import doctest
import json
import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from sequential_looks import SEEDS, SYMMETRIC, decided_after, equal_settings, false_alarms, look_after_every_seed

from stopcli.stats import sequential
from stopcli.stats.sequential import (
    MOST_SEEDS,
    anytime_interval,
    bayes_factor,
    fewest_seeds,
    seeds_needed,
    sequential_test,
)

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


def test_a_single_difference_is_no_evidence_and_overwhelming_evidence_is_no_error() -> None:
    assert bayes_factor([5.0]) == 1.0
    assert anytime_interval([5.0]).bounds is None
    assert bayes_factor([5.0] * 2000) == bayes_factor([5.0, 5.1] * 1000) == math.inf
    # However sure the t-test, two differences are no more evidence than their number allows.
    assert bayes_factor([1e200, 1.0000001e200]) == pytest.approx(math.sqrt(3), rel=1e-4)


@pytest.mark.parametrize(("comparisons", "scale"), [(1, 1.0), (4, 1.0), (1, 0.1), (100, 3.0)])
def test_an_interval_has_bounds_from_the_fewest_seeds_on(comparisons: int, scale: float) -> None:
    fewest = fewest_seeds(comparisons, scale)
    for n in range(2, fewest + 3):
        interval = anytime_interval(list(range(n)), comparisons=comparisons, scale=scale)
        assert (interval.bounds is not None) == (n >= fewest)


@pytest.mark.parametrize("case", SYMMETRIC)
def test_the_simulated_looks_are_those_that_users_get(case: str) -> None:
    for differences in SYMMETRIC[case](np.random.default_rng(1), (3, 4, 30))[:, 0]:
        looks = look_after_every_seed(differences, 4)
        test = sequential_test(differences.tolist(), [0.0] * 30, comparisons=4)
        for n, look in enumerate(test.looks):
            mean, anytime, plain = looks.means[n], looks.anytime[n], looks.plain[n]
            bounds = look.interval.bounds or (-math.inf, math.inf)
            assert bounds == pytest.approx((mean - anytime, mean + anytime), abs=1e-9)
            assert (look.plain or (-math.inf, math.inf)) == pytest.approx((mean - plain, mean + plain), abs=1e-9)


@pytest.mark.parametrize("case", SYMMETRIC)
def test_whoever_looks_after_every_seed_is_wrong_in_5_of_100_cases_at_most(case: str) -> None:
    plain, anytime, any_of_four = false_alarms(SYMMETRIC[case](np.random.default_rng(2), (4000, 4, SEEDS)))
    # Of 4,000 comparisons, the standard error is below 0.004.
    assert plain > 0.3
    assert anytime <= 0.05
    assert any_of_four <= 0.05


@pytest.mark.parametrize("effect", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("case", ["normal", "t₃", "accuracies of 100 rows"])
def test_the_interval_at_which_one_stops_holds_the_mean(case: str, effect: float) -> None:
    differences = SYMMETRIC[case](np.random.default_rng(3), (4000, 1, SEEDS))[:, 0]
    # Whole rows, so that differences of accuracies stay such.
    mean = round(effect * differences.std()) if case.startswith("acc") else effect * differences.std()
    seeds = np.minimum(decided_after(differences + mean), SEEDS)
    looks = look_after_every_seed(differences)
    rows = np.arange(len(seeds))
    assert (np.abs(looks.means) <= looks.anytime)[rows, seeds - 1].mean() >= 0.95
    assert (np.abs(looks.means) <= looks.anytime).all(axis=-1).mean() >= 0.95


@pytest.mark.parametrize(("effect", "seeds", "of_four"), [(1.0, 12, 17), (2.0, 7, 9)])
def test_half_of_all_large_effects_are_decided_after_a_few_seeds(effect: float, seeds: int, of_four: int) -> None:
    differences = effect + np.random.default_rng(4).normal(size=(4000, SEEDS))
    assert np.median(decided_after(differences)) == pytest.approx(seeds, abs=1)
    assert np.median(decided_after(differences, 4)) == pytest.approx(of_four, abs=1)


def test_the_same_setting_twice_is_hardly_ever_better_and_becomes_equal() -> None:
    outcomes = [outcome for outcome, _ in equal_settings(200, 60, share=0.01)]
    assert outcomes.count("higher") + outcomes.count("lower") <= 0.05 * len(outcomes)
    assert outcomes.count("equal") >= 0.85 * len(outcomes)
    # A margin that so many seeds cannot resolve decides nothing.
    outcomes = [outcome for outcome, _ in equal_settings(50, 30, share=0.001)]
    assert outcomes.count("undecided") >= 0.9 * len(outcomes)


@pytest.mark.parametrize(("comparisons", "fewest"), [(1, 4), (4, 5)])
def test_differences_that_are_all_the_same_decide_as_far_as_that_is_no_chance(comparisons: int, fewest: int) -> None:
    for value, outcome in ((0.01, "higher"), (-0.1, "lower"), (0.0, "equal")):
        test = sequential_test([value] * 9, [0.0] * 9, comparisons=comparisons)
        assert (test.outcome, test.decided) == (outcome, fewest)
        assert [look.interval.bounds for look in test.looks] == [None] * (fewest - 1) + [(value, value)] * (10 - fewest)
        assert test.claimed == (2 if value else None)
    # The chance that so many further ones are the same, each of them in a third of all cases.
    assert stats.binomtest(fewest - 1, fewest - 1, 1 / 3, "greater").pvalue <= 0.05 / comparisons
    assert stats.binomtest(fewest - 2, fewest - 2, 1 / 3, "greater").pvalue > 0.05 / comparisons


def test_no_difference_of_a_setting_with_itself_is_likelier_than_a_third() -> None:
    draw = np.random.default_rng(0)
    for values in (2, 3, 5, 20):
        for concentration in (0.05, 1.0, 50.0):
            for share in draw.dirichlet(np.full(values, concentration), 50):
                of_difference = np.convolve(share, share[::-1])
                others = np.delete(of_difference, values - 1)
                assert others.max() <= 1 / 3 + 1e-12
                np.testing.assert_array_less(others, of_difference[values - 1] + 1e-12)


def test_what_is_decided_stays_so_whatever_comes_later() -> None:
    differences = [0.02, 0.03, 0.01, 0.02, 0.03, 0.01, -0.5, -0.5]
    test = sequential_test(differences, [0.001] * 8)
    assert (test.outcome, test.decided) == ("higher", 6)
    assert test.looks[-1].outcome == "undecided"


def test_a_difference_within_the_margin_is_equal_unless_the_interval_leaves_out_0() -> None:
    around_0 = [0.01, -0.01] * 10
    high = anytime_interval(around_0).high
    assert high is not None
    assert sequential_test(around_0, [0.0] * 19 + [high]).decided == 20
    assert sequential_test(around_0, [0.0] * 19 + [high * 0.99]).outcome == "undecided"
    assert sequential_test([0.01, 0.011] * 10, [1.0] * 20).outcome == "higher"
    # An interval with no bounds lies within no margin.
    assert sequential_test([0.01, -0.01] * 2, [1.0] * 4).outcome == "undecided"


def test_the_plain_interval_is_that_of_the_t_test() -> None:
    test = sequential_test(SAMPLES[12], [0.0] * 20)
    for look in test.looks[1:]:
        assert look.plain == pytest.approx(stats.ttest_1samp(SAMPLES[12][: look.n], 0.0).confidence_interval())
    assert test.looks[0].plain is None
    assert test.claimed == next((look.n for look in test.looks if look.claims), None)


def test_a_summary_holds_all_looks() -> None:
    test = sequential_test([0.02, 0.03, 0.01, 0.02, 0.03, 0.01], [0.005] * 6)
    read = json.loads(json.dumps(test.to_dict(), allow_nan=False))
    assert (read["outcome"], read["decided"], read["claimed"]) == ("higher", 6, 4)
    assert [look["n"] for look in read["looks"]] == [1, 2, 3, 4, 5, 6]
    assert {read["looks"][0][key] for key in ("sd", "low", "high", "plain_low", "plain_high")} == {None}
    assert read["looks"][5]["low"] == test.looks[5].interval.low


def test_what_is_no_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="received no differences"):
        sequential_test([], [])
    with pytest.raises(ValueError, match="2 margins of 1 differences"):
        sequential_test([0.1], [0.1, 0.1])
    with pytest.raises(ValueError, match=r"received a margin of -0\.1"):
        sequential_test([0.1], [-0.1])
    with pytest.raises(ValueError, match="received a margin of nan"):
        sequential_test([0.1], [math.nan])
    with pytest.raises(ValueError, match="received nan as difference 2"):
        anytime_interval([0.1, math.nan])
    with pytest.raises(ValueError, match="received 0 comparisons"):
        anytime_interval([0.1, 0.2], comparisons=0)
    with pytest.raises(ValueError, match=r"received a scale of 0\.0"):
        bayes_factor([0.1, 0.2], scale=0.0)
    with pytest.raises(ValueError, match="received a mean of inf"):
        bayes_factor([0.1, 0.2], math.inf)
    with pytest.raises(ValueError, match=r"received an effect of 0\.0"):
        seeds_needed([0.1, 0.2, 0.4], 0.0)
    with pytest.raises(ValueError, match=r"received a power of 1\.0"):
        seeds_needed([0.1, 0.2, 0.4], 0.1, power=1.0)


@pytest.mark.parametrize(("size", "power", "seeds"), [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.9, 44)])
def test_the_seeds_needed_are_those_of_published_tables(size: float, power: float, seeds: int) -> None:
    """As for the differences of pairs in J. Cohen (1988), and by G*Power."""
    needed = seeds_needed([-1.0, 0.0, 1.0], -size, power=power)
    assert needed is not None
    assert (needed.more, needed.power, needed.effect) == (seeds - 3, power, size)


def _power(n: int, size: float) -> float:
    critical, noncentrality = stats.t.ppf(0.975, n - 1), math.sqrt(n) * size
    return float(stats.nct.sf(critical, n - 1, noncentrality) + stats.nct.cdf(-critical, n - 1, noncentrality))


def _seeds_one_by_one(size: float, power: float) -> int:
    return next(n for n in range(2, MOST_SEEDS) if _power(n, size) >= power)


@pytest.mark.parametrize("effect", [0.3, 0.9, 2.0])
def test_the_bounds_of_the_seeds_needed_are_those_of_the_standard_deviation(effect: float) -> None:
    differences = np.random.default_rng(5).normal(size=12)
    variance, freedom = differences.var(ddof=1), 11
    bounds = [math.sqrt(freedom * variance / stats.chi2.ppf(share, freedom)) for share in (0.975, 0.025)]
    needed = seeds_needed(differences.tolist(), effect)
    expected = [max(0, _seeds_one_by_one(effect / sd, 0.8) - 12) for sd in (math.sqrt(variance), *bounds)]
    assert needed is not None
    assert [needed.more, needed.low, needed.high] == expected


def test_seeds_needed_are_none_where_they_are_unknown_or_too_many() -> None:
    assert seeds_needed([0.1, 0.2], 0.1) is None
    assert seeds_needed([0.1] * 5, 0.1) is None
    differences = [-1.0, 0.0, 1.0]
    needed = seeds_needed(differences, 0.05)
    assert needed is not None
    assert (needed.low is not None, needed.more is not None, needed.high) == (True, True, None)
    assert seeds_needed(differences, 1e-9) == sequential.SeedsNeeded(None, None, None, 0.8, 1e-9)
    # However large the effect, a t-test has two differences at least.
    assert seeds_needed(differences, 1e9) == sequential.SeedsNeeded(0, 0, 0, 0.8, 1e9)
    near_most = seeds_needed(differences, 0.0281)
    assert near_most is not None
    assert near_most.more is not None
    assert _power(near_most.more + 2, 0.0281) < 0.8 <= _power(near_most.more + 3, 0.0281)
    assert MOST_SEEDS * 0.99 < near_most.more < MOST_SEEDS
