from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from stopcli.evidence.interval import mean_interval


def test_a_mean_has_scipy_s_bootstrap_interval_from_three_values_on() -> None:
    values = np.random.default_rng(1).normal(3, 1, 12)
    found = mean_interval(values.tolist())
    expected = stats.bootstrap((values,), np.mean, n_resamples=9999, method="BCa", rng=0).confidence_interval
    assert (found.low, found.high) == (expected.low, expected.high)
    assert found.mean == pytest.approx(values.mean())
    assert found.sd == pytest.approx(values.std(ddof=1))


@pytest.mark.parametrize("n", [1, 2])
def test_there_is_none_for_fewer(n: int) -> None:
    found = mean_interval([1.0, 3.0][:n])
    assert (found.n, found.low, found.high) == (n, None, None)
    assert (found.sd is None) == (n == 1)


def test_equal_values_have_an_interval_of_no_width_and_no_values_are_refused() -> None:
    found = mean_interval([2.0] * 4)
    assert (found.mean, found.low, found.high) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="received no values"):
        mean_interval([])
