from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from stopcli.stats.differences import unpaired_difference


@pytest.mark.parametrize("theirs", [[0.85, 0.80, 0.92, 0.88, 0.87, 0.86], [0.5, 0.25, 0.75]])
def test_interval_and_test_are_those_of_welch(theirs: list[float]) -> None:
    ours = [0.91, 0.93, 0.95, 0.90]
    difference, expected = unpaired_difference(ours, theirs), stats.ttest_ind(ours, theirs, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (difference.n, difference.other_n) == (4, len(theirs))
    assert difference.mean == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert (difference.low, difference.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert difference.p == pytest.approx(expected.pvalue)


def test_a_sample_that_does_not_vary_is_certain_of_itself_alone() -> None:
    ours = [0.91, 0.93, 0.95, 0.90]
    expected = stats.ttest_1samp(ours, 0.9)
    difference = unpaired_difference(ours, [0.9] * 3)
    assert difference.p == pytest.approx(expected.pvalue)
    assert difference.low == pytest.approx(expected.confidence_interval(0.95).low - 0.9)


def test_interval_and_test_agree_on_what_is_told_apart() -> None:
    draw = np.random.default_rng(0)
    for shift in np.linspace(0, 2, 40):
        difference = unpaired_difference(draw.normal(shift, 1, 6).tolist(), draw.normal(0, 2, 9).tolist())
        assert difference.low is not None
        assert difference.high is not None
        assert difference.distinguishable == (difference.low > 0 or difference.high < 0)


def test_fewer_than_three_of_either_give_no_interval() -> None:
    difference = unpaired_difference([0.9, 0.8], [0.1, 0.2, 0.3])
    assert (difference.low, difference.high, difference.p, difference.distinguishable) == (None, None, None, False)
    assert difference.mean == pytest.approx(0.65)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (4, 5)])
def test_samples_that_do_not_vary_convince_as_far_as_permutations_do(n: int, m: int) -> None:
    difference = unpaired_difference([0.75] * n, [0.5] * m)
    values = np.array([0.75] * n + [0.5] * m)
    ours = [values[list(chosen)].mean() for chosen in itertools.combinations(range(n + m), n)]
    assert difference.p == pytest.approx(2 * np.mean(np.array(ours) >= 0.75))
    assert (difference.low, difference.high) == (0.25, 0.25)
    # Their means differ by rounding.
    assert unpaired_difference([0.1] * n, [0.1] * m).p == 1


@pytest.mark.parametrize(("values", "others"), [([], [1.0]), ([1.0], [])])
def test_what_is_no_samples_is_refused(values: list[float], others: list[float]) -> None:
    with pytest.raises(ValueError, match="one or more of each"):
        unpaired_difference(values, others)
