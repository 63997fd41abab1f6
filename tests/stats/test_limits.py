"""Upper limits of mean losses: by SciPy's own functions, and whether they hold what they promise."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy import stats

from stopcli.stats import limits
from stopcli.stats.intervals import widened_confidence
from stopcli.stats.limits import largest_share, limit_of_losses, student_limits, upper_limit


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(limits).failed == 0


def test_a_limit_is_the_higher_one_of_student_s_and_of_scipy_s_bootstrap() -> None:
    draws = np.random.default_rng(0)
    for values in (draws.normal(1, 0.1, 12), draws.exponential(1, 12) ** 2, -(draws.exponential(1, 12) ** 2)):
        student = stats.ttest_1samp(values, 0, alternative="less").confidence_interval(0.95).high
        level = widened_confidence(len(values), 0.9)
        assert level > 0.9
        bootstrap = stats.bootstrap((values,), np.mean, confidence_level=level, method="BCa", rng=0).confidence_interval
        assert student_limits(values) == pytest.approx(student)
        assert upper_limit(values) == pytest.approx(max(student, bootstrap.high))
    rows = draws.normal(0, 1, (3, 7))
    assert student_limits(rows) == pytest.approx([float(student_limits(row)) for row in rows])


def test_what_does_not_vary_is_its_own_limit_and_what_is_infinite_has_none() -> None:
    assert upper_limit(np.full(5, 0.25)) == 0.25
    assert upper_limit(np.array([0.1, np.inf, 0.2])) == np.inf
    with pytest.raises(ValueError, match="received 2 values, expected 3 or more"):
        upper_limit(np.zeros(2))


@pytest.mark.parametrize(("count", "n"), [(0, 30), (3, 12), (11, 12)])
def test_the_largest_share_is_the_one_that_would_give_so_few_in_one_case_of_twenty(count: int, n: int) -> None:
    share = largest_share(count, n)
    assert stats.binom.cdf(count, n, share) == pytest.approx(0.05)
    interval = stats.binomtest(count, n, alternative="less").proportion_ci(0.95, method="exact")
    assert share == pytest.approx(interval.high)


@pytest.mark.parametrize(("share", "n"), [(0.02, 30), (0.05, 30), (0.1, 10)])
def test_of_losses_that_are_all_or_nothing_the_limit_holds_what_the_bootstrap_does_not(share: float, n: int) -> None:
    draws = np.random.default_rng(1)
    losses = 0.5 * (draws.random((2000, n)) < share)
    # Many draws are the same.
    unique, inverse = np.unique(np.sort(losses), axis=0, return_inverse=True)
    holds = [
        [limit(row) >= 0.5 * share for row in unique] for limit in (upper_limit, lambda row: limit_of_losses(row, 0.5))
    ]
    usual, of_losses = np.array(holds)[:, inverse.ravel()].mean(axis=1)
    assert of_losses >= 0.94
    assert usual < 0.9


def test_losses_that_vary_have_the_usual_limit() -> None:
    losses = np.random.default_rng(2).exponential(1, 20)
    assert limit_of_losses(losses, 100.0) == upper_limit(losses)
