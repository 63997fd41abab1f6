"""The order in time of a table's rows, by a column of numbers, dates, or texts that are dates."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RequestError

if TYPE_CHECKING:
    import pandas

# What people write where they do not write 2024-01-31. Of a group, all are tried on all texts: they differ in the order
# of day and month, or in May, which is a short name of a month and a whole one.
_DATES = (
    *(("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"), ("%d/%m/%y", "%m/%d/%y"), ("%d-%m-%y", "%m-%d-%y")),
    *(("%d.%m.%Y",), ("%d.%m.%y",), ("%m/%Y",), ("%m.%Y",), ("%Y-%m-%d",), ("%Y/%m/%d",), ("%Y.%m.%d",)),
    *(("%d %b %Y", "%d %B %Y"), ("%b %d %Y", "%B %d %Y"), ("%b %d, %Y", "%B %d, %Y"), ("%b %Y", "%B %Y")),
    *(("%d-%b-%Y", "%d-%B-%Y"), ("%d-%b-%y", "%d-%B-%y"), ("%a, %d %b %Y",), ("%a %d %b %Y",)),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S %z", " %H:%M:%S %Z")
# 2024Q1, 2024-W05.
_PARTS_OF_YEARS = {"quarter": r"^(\d{4})[- ]?[Qq]([1-4])$", "week": r"^(\d{4})[- ]?[Ww](\d\d?)$"}
# The first of those that read most is taken.
_WAYS: tuple[tuple[str, ...], ...] = (
    *(("number",), ("ISO8601",), ("quarter",), ("week",)),
    *(tuple(f"{date}{time}" for date in dates) for dates, time in itertools.product(_DATES, _TIMES)),
)
# Of so many texts it is found out how they write a date, before all are read.
_SAMPLE = 300

_EXPECTED = "numbers, or dates such as 2024-01-31, 2024-01-31 17:45, 31.01.2024 or Jan 31 2024"


class TimeTextError(RequestError):
    """A text that is no time. `row` is the first that has it, among those that were read."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(f"received {text!r}, expected {_EXPECTED}")
        self.row = row


def time_order(times: pandas.Series[Any]) -> NDArray[np.int64]:
    """The place of each row's time among the different times, from 0.

    Args:
        times: none is missing. Numbers, dates, texts that are numbers, or texts that are dates and written in one way.

    Returns:
        int64 [rows]; equal times have the same.

    Raises:
        TimeTextError: a text is not a time, or not written as the others are.
        RequestError: the day and the month cannot be told apart; or the column is not of times.
    """
    import pandas

    if isinstance(times.dtype, pandas.CategoricalDtype):
        times = times.astype(times.cat.categories.dtype)
    types = pandas.api.types
    if types.is_bool_dtype(times.dtype):
        raise RequestError(f"received true and false, expected {_EXPECTED}")
    if types.is_complex_dtype(times.dtype):
        raise RequestError(f"received complex numbers, expected {_EXPECTED}")
    is_ordered = types.is_numeric_dtype(times.dtype) or times.dtype.kind in "mM"
    if is_ordered or isinstance(times.dtype, (pandas.DatetimeTZDtype, pandas.PeriodDtype)):
        return np.asarray(pandas.factorize(times, sort=True)[0], np.int64)
    codes, different = pandas.factorize(times)
    texts = pandas.Series([str(value).strip() for value in different], dtype=object)
    order: NDArray[np.int64] = _text_order(texts, codes)[codes]
    return order


def _text_order(texts: pandas.Series[Any], codes: NDArray[Any]) -> NDArray[np.int64]:
    """As `time_order`, of different texts. `codes` say which of them each row has."""
    import pandas

    readings = [_read(texts, way) for way in _ways(texts[:_SAMPLE])]
    complete = [read for read in readings if not read.isna().any()]
    if len(complete) > 1 and (complete[0] != complete[1]).any():
        text = texts[int(np.flatnonzero((complete[0] != complete[1]).to_numpy())[0])]
        message = (
            f"received dates such as {text!r}, of which it cannot be told whether the day or the month comes first"
        )
        raise RequestError(message, hint="Write them as 2024-01-31.")
    if complete:
        return np.asarray(pandas.factorize(complete[0], sort=True)[0], np.int64)
    best = min(readings, key=lambda read: int(read.isna().sum()))
    unread = int(np.flatnonzero(best.isna().to_numpy())[0])
    raise TimeTextError(int(np.flatnonzero(codes == unread)[0]), texts[unread])


def _ways(texts: pandas.Series[Any]) -> tuple[str, ...]:
    """Those of _WAYS of which one reads most of some texts."""
    counts: dict[tuple[str, ...], int] = {}
    for ways in _WAYS:
        counts[ways] = max(int(_read(texts, way).notna().sum()) for way in ways)
        if counts[ways] == len(texts):
            break
    return max(counts, key=lambda ways: counts[ways])


def _read(texts: pandas.Series[Any], way: str) -> pandas.Series[Any]:
    """Numbers or dates that can be ordered, missing where a text is not written in this way."""
    import pandas

    if way == "number":
        return pandas.to_numeric(texts, errors="coerce")
    if way in _PARTS_OF_YEARS:
        match = texts.str.extract(_PARTS_OF_YEARS[way])
        return pandas.to_numeric(match[0]) * 100 + pandas.to_numeric(match[1])
    return pandas.to_datetime(texts, format=way, utc=True, errors="coerce")
