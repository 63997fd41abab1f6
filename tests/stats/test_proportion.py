from __future__ import annotations

import pytest
from scipy import stats

from stopcli.stats.intervals import proportion, proportion_of


@pytest.mark.parametrize(("right", "rows"), [(66, 70), (0, 7), (7, 7), (1, 1), (0, 1), (5312, 10_000), (1, 10**7)])
def test_the_interval_is_wilson_s_as_scipy_has_it(right: int, rows: int) -> None:
    share = proportion(right, rows)
    expected = stats.binomtest(right, rows).proportion_ci(method="wilson")
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= share.low <= right / rows <= share.high <= 1


def test_an_accuracy_is_counted_back_from_what_float32_has_left_of_it() -> None:
    share = proportion_of(0.9428571462631226, 70)
    assert share is not None
    assert (share.right, share.rows) == (66, 70)
    assert (share.low, share.high) == pytest.approx((0.8621, 0.9776), abs=1e-4)


def test_where_nothing_was_counted_there_is_none() -> None:
    assert proportion_of(0.5, 0) is None
    assert proportion_of(float("nan"), 10) is None
    with pytest.raises(ValueError, match="received 3 of 2 rows"):
        proportion(3, 2)
    with pytest.raises(ValueError, match="received 0 of 0 rows"):
        proportion(0, 0)
