from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from stopcli.stats.differences import differences_by_pair, paired_difference, rows_difference


def test_the_difference_is_taken_pair_by_pair() -> None:
    difference = paired_difference([0.5, 0.4, 0.7, 0.4], [0.6, 0.5, 0.6, 0.6])
    assert difference.n == 4
    assert difference.mean == pytest.approx(-0.075)
    assert difference.share_below == 0.75


def test_fewer_than_three_pairs_give_no_interval() -> None:
    difference = paired_difference([0.1, 0.1], [0.9, 0.9])
    assert (difference.low, difference.high, difference.distinguishable) == (None, None, False)


def test_the_interval_of_three_pairs_lies_within_what_resampling_can_give() -> None:
    differences = [-0.1, -0.2, -0.4]
    means = [float(np.mean(sample)) for sample in itertools.product(differences, repeat=3)]
    difference = paired_difference(differences, [0.0] * 3)
    assert difference.low is not None
    assert difference.high is not None
    assert min(means) <= difference.low < difference.mean < difference.high <= max(means)
    # Three pairs that agree would convince the bootstrap alone; the t-test says p = 0.12.
    assert difference.p == pytest.approx(0.1181, abs=1e-3)
    assert not difference.distinguishable
    assert paired_difference([-0.1, -0.11, -0.12], [0.0] * 3).distinguishable


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 5, 10])
def test_where_there_is_no_difference_few_are_told_apart(n: int) -> None:
    draw = np.random.default_rng(n)
    sentence = sum(paired_difference(draw.normal(size=n).tolist(), [0.0] * n).distinguishable for _ in range(200))
    assert sentence / 200 <= 0.08


def test_an_interval_that_holds_0_distinguishes_nothing() -> None:
    assert not paired_difference([0.1, -0.1, 0.2, -0.2, 0.05], [0.0] * 5).distinguishable


def test_equal_differences_have_themselves_as_their_interval() -> None:
    difference = paired_difference([0.5, 0.25, 0.75], [0.25, 0.0, 0.5])
    assert (difference.low, difference.high) == (0.25, 0.25)


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=8).tolist()
    assert paired_difference(values, [0.0] * 8) == paired_difference(values, [0.0] * 8)


@pytest.mark.parametrize(("values", "others"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_is_no_pairs_is_refused(values: list[float], others: list[float]) -> None:
    with pytest.raises(ValueError, match="expected pairs"):
        paired_difference(values, others)


@pytest.mark.parametrize(("n", "convinces"), [(3, False), (5, False), (6, True)])
def test_differences_that_are_all_the_same_convince_as_far_as_their_signs_do(n: int, convinces: bool) -> None:
    difference = paired_difference([0.75] * n, [0.5] * n)
    assert difference.p == pytest.approx(stats.binomtest(n, n, 0.5).pvalue)
    assert (difference.low, difference.high) == (0.25, 0.25)
    assert difference.distinguishable == convinces
    assert not paired_difference([0.5] * n, [0.5] * n).distinguishable


def test_differences_of_as_many_rows_are_the_same_whatever_float32_makes_of_them() -> None:
    right = np.array([64, 63, 61, 60, 47], dtype=np.float32)
    difference = paired_difference(((right + 2) / 70).tolist(), (right / 70).tolist())
    assert difference.low == difference.high == pytest.approx(2 / 70)
    assert difference.p == pytest.approx(stats.binomtest(5, 5, 0.5).pvalue)
    assert not difference.distinguishable
    equal = paired_difference([0.9, 0.8, 0.7], [0.9 + 1e-8, 0.8 - 1e-8, 0.7])
    assert (equal.mean, equal.p, equal.share_equal) == (0, 1, 1)


@pytest.mark.parametrize("runaway", [250.0, 1e6, 1e30])
def test_a_loss_that_ran_away_hides_no_difference_of_the_others(runaway: float) -> None:
    values, others = [0.30, 0.20, 0.25, runaway], [0.25, 0.15, 0.10, runaway]
    difference = paired_difference(values, others)
    assert difference.p == pytest.approx(stats.ttest_rel(values, others).pvalue)
    assert (difference.share_above, difference.share_equal) == (0.75, 0.25)
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < difference.mean < difference.high


def test_differences_of_pairs_lose_what_rounding_makes_of_them_and_nothing_else() -> None:
    right = np.array([64, 63, 61, 60, 47], dtype=np.float32)
    differences = differences_by_pair(((right + 2) / 70).tolist(), (right / 70).tolist())
    assert len(set(differences)) == 1
    assert differences[0] == pytest.approx(2 / 70)
    assert differences_by_pair([0.9, 0.8, 0.7], [0.9 + 1e-8, 0.8 - 1e-8, 0.6]) == [0.0, 0.0, pytest.approx(0.1)]
    runaway = differences_by_pair([1e30, 0.30, 0.20], [1e30, 0.25, 0.151])
    assert runaway == [0.0, pytest.approx(0.05), pytest.approx(0.049)]
    # Each depends on the pairs before it only.
    assert differences_by_pair([0.5, 0.5 + 1e-7], [0.25, 0.25])[:1] == differences_by_pair([0.5], [0.25])
    with pytest.raises(ValueError, match="expected pairs"):
        differences_by_pair([0.1], [])


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 3), (0, 8), (5, 9), (11, 2)])
def test_mcnemar_s_p_is_that_of_all_ways_to_share_the_rows_out(first: int, second: int) -> None:
    n = first + second
    ways = [abs(2 * sum(way) - n) >= abs(first - second) for way in itertools.product((0, 1), repeat=n)]
    assert rows_difference(7, first, second, 3).p == pytest.approx(np.mean(ways))


@pytest.mark.parametrize(("first", "second"), [(320, 200), (40, 900), (5001, 5000), (150_000, 149_000)])
def test_mcnemar_s_p_of_many_rows_is_the_binomial_test_s(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second).pvalue
    assert rows_difference(1, first, second, 1).p == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [((36, 12, 2, 0), 0.0569, 0.3404), ((36, 14, 0, 0), 0.1528, 0.4167)],
)
def test_the_interval_of_paired_shares_is_newcombe_s_tenth(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    """Two of the examples that Newcombe (1998) gives all his intervals of."""
    difference = rows_difference(*counts)
    assert (round(difference.low, 4), round(difference.high, 4)) == (low, high)
    swapped = rows_difference(counts[0], counts[2], counts[1], counts[3])
    assert (swapped.mean, swapped.low, swapped.high) == pytest.approx(
        (-difference.mean, -difference.high, -difference.low)
    )


def test_the_interval_of_paired_shares_holds_the_difference_in_95_of_100_cases() -> None:
    shares, draws = [0.8, 0.09, 0.05, 0.06], 3000
    counts = np.random.default_rng(0).multinomial(200, shares, draws).tolist()
    held = sum(row.low <= shares[1] - shares[2] <= row.high for row in itertools.starmap(rows_difference, counts))
    assert 0.935 < held / draws < 0.97


def test_models_that_are_right_on_the_same_rows_cannot_be_told_apart() -> None:
    for counts in ((10, 0, 0, 0), (0, 0, 0, 10), (7, 0, 0, 3)):
        difference = rows_difference(*counts)
        assert (difference.mean, difference.p, difference.verdict()) == (0.0, 1.0, "not distinguishable")
        assert difference.low <= 0 <= difference.high
    with pytest.raises(ValueError, match="0 of 0 rows"):
        rows_difference(0, 0, 0, 0)
