"""Times are ordered as pandas and Python order them, however they are written; and what is no time is named."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopcli.data.time_order import TimeTextError, time_order
from stopcli.errors import RequestError

# In the order of time. No way of writing them sorts so as text, beside ISO 8601.
DAYS = [
    datetime(1999, 12, 31),
    datetime(2000, 2, 29),
    datetime(2009, 11, 5),
    datetime(2010, 5, 13, 9),
    datetime(2024, 1, 2),
]
WAYS = [
    *("%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y%m%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d %Y", "%d-%b-%Y", "%b %Y", "%B %Y", "%m/%Y", "%d-%b-%y"),
    *("%m/%d/%Y %I:%M %p", "%Y-%m-%d %I:%M %p", "%Y.%m.%d", "%a, %d %b %Y %H:%M:%S +0000"),
]
SHUFFLED = [3, 0, 4, 1, 2, 0]


@pytest.mark.parametrize("way", WAYS)
def test_dates_are_read_however_they_are_written(way: str) -> None:
    texts = [DAYS[i].strftime(way) for i in SHUFFLED]
    assert time_order(pandas.Series(texts)).tolist() == SHUFFLED
    assert time_order(pandas.Series(texts, dtype="category")).tolist() == SHUFFLED


@pytest.mark.parametrize(
    "column",
    [
        pandas.Series([DAYS[i] for i in SHUFFLED]),
        pandas.Series([DAYS[i] for i in SHUFFLED]).dt.tz_localize("America/New_York"),
        pandas.Series([date(2000 + i, 1, 1) for i in SHUFFLED], dtype=object),
        pandas.Series([pandas.Timedelta(days=i) for i in SHUFFLED]),
        pandas.Series(pandas.PeriodIndex([f"20{i}0-03" for i in SHUFFLED], freq="M")),
        pandas.Series([f"{2000 + i}Q{4 - i % 4}" for i in SHUFFLED]),
        pandas.Series([f"{2000 + i}-W{50 - 9 * i:02}" for i in SHUFFLED]),
        # As pandas infers them, of a file that is read in parts.
        pandas.Series([30, "07", 99.5, "8", "9.0", 7.0], dtype=object),
        pandas.Series([3, 0, 4, 1, 2, 0], dtype="Int64"),
        pandas.Series([3, 0, 4, 1, 2, 0], dtype="uint8"),
        pandas.Series([2**62 + i for i in SHUFFLED]),
        pandas.Series([[-np.inf, -1.5, 0, 1e-9, np.inf][i] for i in SHUFFLED]),
        pandas.Series(
            [f"2024-03-31T{time}" for time in ("05:00+01", "00:00Z", "03:30-02", "02:00+01", "01:00-01", "00:00+00")]
        ),
    ],
)
def test_columns_of_other_types_are_ordered(column: pandas.Series[Any]) -> None:
    assert time_order(column).tolist() == SHUFFLED


@given(days=st.lists(st.integers(0, 9_000), min_size=1, max_size=30), way=st.sampled_from(WAYS))
@settings(max_examples=12, deadline=None)
def test_the_order_is_that_of_pandas(days: list[int], way: str) -> None:
    dates = pandas.Timestamp("2000-01-01") + pandas.to_timedelta(days, "D")
    texts = dates.strftime(way)
    expected = np.unique(pandas.to_datetime(texts, format=way), return_inverse=True)[1]
    # One of them, so that the day and the month are told apart.
    texts, expected = [*texts, pandas.Timestamp("2030-12-31").strftime(way)], [*expected, max(expected) + 1]
    np.testing.assert_array_equal(time_order(pandas.Series(texts)), expected)


def test_dates_that_can_be_read_in_two_ways_are_refused() -> None:
    with pytest.raises(RequestError, match="dates such as '02/03/2024', of which it cannot be told") as caught:
        time_order(pandas.Series(["01/01/2024", "02/03/2024", "04/04/2024"]))
    assert "2024-01-31" in caught.value.hint
    assert time_order(pandas.Series(["04/04/2024", "01/01/2024"])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("texts", "row", "text"),
    [
        (["2024-01-01", "2024-01-02", "soon"], 2, "soon"),
        (["2024-01-01", "2024-02-30", "2024-02-30"], 1, "2024-02-30"),
        (["2024", "2023", "none", "2022"], 2, "none"),
        (["31.01.2024", "28.02.2024", "2024-03-01"], 2, "2024-03-01"),
        (["13/01/2024", "14/01/2024", "01/15/2024"], 2, "01/15/2024"),
        (["red", "blue"], 0, "red"),
        ([f"2024-01-{day:02}" for day in range(1, 29)] * 20 + ["x"], 560, "x"),
    ],
)
def test_a_text_that_is_no_time_is_named(texts: list[str], row: int, text: str) -> None:
    with pytest.raises(TimeTextError, match=f"received '{text}', expected numbers, or dates such as") as caught:
        time_order(pandas.Series(texts))
    assert caught.value.row == row


def test_logical_and_complex_values_are_no_times() -> None:
    with pytest.raises(RequestError, match="received true and false, expected numbers, or dates"):
        time_order(pandas.Series([True, False]))
    with pytest.raises(RequestError, match="received complex numbers, expected numbers, or dates"):
        time_order(pandas.Series([1j, 2]))
