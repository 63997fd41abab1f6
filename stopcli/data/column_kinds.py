"""What the columns of a table hold: numbers, words, dates, and what is wrong with one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.data.csv_layout import MEANT_AS_WORDS, is_number
from stopcli.data.table_file import NumberColumn, TableFile, cell_at
from stopcli.errors import RequestError, shown
from stopcli.quantities import agreeing, counted

if TYPE_CHECKING:
    import pandas

Kind = Literal["numbers", "logical", "words", "mixture", "dates", "empty", "other"]
"""`mixture`: mostly numbers, with some words among them. `other`: bytes, lists, complex numbers."""

_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([ T]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}:\d{2}(:\d{2})?"
)
# Numbers as people write them: $1,200.50, 7 %, 1,5, 1.200,50 €, 1 200,5.
_DECORATED = re.compile(
    r"[-+]?\s*[$€£¥]?\s*[-+]?"
    r"(\d{1,3}([,']\d{3})+(\.\d+)?|\d{1,3}(\.\d{3})+,\d+|\d{1,3}([ \u00a0\u202f]\d{3})+(,\d+)?|\d+([,.]\d+)?)"
    r"\s*[%$€£¥]?"
)
# What pandas infers from objects.
_INFERRED: dict[str, Kind] = {
    "boolean": "logical",
    "empty": "empty",
    **dict.fromkeys(("date", "datetime", "datetime64", "time", "timedelta", "timedelta64", "period"), "dates"),
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "numbers"),
}
_MANY = 10_000
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Column:
    """A column and what it holds.

    Attributes:
        present, missing: in how many rows it has a value, and in how many not.
        values: of words, the distinct ones, as they first occur; empty for any other kind.
        counts: in how many rows each of them stands.
    """

    name: str
    kind: Kind
    present: int
    missing: int
    values: NDArray[Any]
    counts: NDArray[np.int64]


def column_of(table: TableFile, name: str) -> Column:
    """What a column holds."""
    series = table.frame[name]
    present = len(series) - _count_missing(series)
    kind = _kind_of(series) if present else "empty"
    if kind != "words":
        return Column(name, kind, present, len(series) - present, np.empty(0, object), np.empty(0, np.int64))
    codes, values = series.factorize()
    values = np.asarray(values, object)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    # Of a million names, the first few would have some numbers among them if most were any.
    few = values if len(values) <= _MANY else values[: _MANY // 10]
    if not any(is_number(value) or _is_decorated(value) or _DATE.fullmatch(value) for value in few):
        return Column(name, kind, present, len(series) - present, values, counts)
    numeric = np.fromiter(map(is_number, values), bool, len(values))
    if all(map(_DATE.fullmatch, values)):
        kind = "dates"
    elif numeric.all() and table.layout is not None:
        # pandas has not read them, such as one with a no-break space behind it: whoever converts them says which.
        kind, values, counts = "numbers", values[:0], counts[:0]
    elif not numeric.all():
        similar = numeric | np.fromiter(map(_is_decorated, values), bool, len(values))
        kind = "mixture" if 2 * counts[similar].sum() > present else kind
    return Column(name, kind, present, len(series) - present, values, counts)


def _is_decorated(text: str) -> bool:
    return _DECORATED.fullmatch(text) is not None


def mixture_error(table: TableFile, column: Column, hint: str) -> RequestError:
    """The error of a column of numbers with words among them: the first of these with its line."""
    odd = np.fromiter((not is_number(value) for value in column.values), bool, len(column.values))
    # NA is hardly what was not meant to be there.
    first = next((value for value in column.values[odd] if value not in MEANT_AS_WORDS), column.values[odd][0])
    row = int(np.flatnonzero((table.frame[column.name] == first).to_numpy())[0])
    count = int(column.counts[odd].sum())
    cells = f"{counted(count, 'cell')} of the column {agreeing(count, 'is', 'are')} no number"
    if _is_decorated(first):
        expected = "a number such as 1234.5, without signs and commas"
    else:
        expected = "a number, or an empty cell where it is missing"
    return RequestError(
        f"{cell_at(table, row, column.name)}: received {shown(first)}, expected {expected} ({cells})", hint=hint
    )


def _kind_of(series: pandas.Series) -> Kind:
    from pandas.api.types import infer_dtype

    letter = series.dtype.kind
    if letter == "b":
        return "logical"
    if letter in "iuf":
        return "numbers"
    if letter in "Mm":
        return "dates"
    if letter != "O":
        return "other"
    inferred = infer_dtype(series, skipna=True)
    if inferred == "string":
        return "words"
    return _INFERRED.get(inferred, "other")


def _count_missing(series: pandas.Series) -> int:
    # Several times as fast as to look at each value, where none is missing.
    if series.dtype.kind in "iub" or (
        series.dtype.kind == "f" and len(series) and not np.isnan(series.to_numpy().min())
    ):
        return 0
    return int(series.isna().sum())


def extremes_of(values: NDArray[Any]) -> tuple[Any, Any]:
    """The smallest and the largest of some numbers (≥ 1), of those that are not NaN where any is."""
    smallest, largest = values.min(), values.max()
    if smallest != smallest:
        return np.fmin.reduce(values), np.fmax.reduce(values)
    return smallest, largest


def numbers_of(table: TableFile, name: str) -> NDArray[Any]:
    """A column of numbers, or of logical values as 1 and 0; float64 with NaN for missing values, or whole numbers where
    none is missing.

    Raises:
        RequestError: a value is no number, is infinite, or too large for float32; with its line.
    """
    return checked_numbers(table, name).values


def checked_numbers(table: TableFile, name: str) -> NumberColumn:
    """As `numbers_of`, with the smallest and the largest of them. Each column of a table is looked at once."""
    if name not in table.numbers:
        series = table.frame[name]
        is_numeric = series.dtype.kind in "iubf"
        values: NDArray[Any] = series.to_numpy() if is_numeric else _converted(table, name)
        smallest, largest = extremes_of(values) if len(values) else (np.nan, np.nan)
        if values.dtype.kind == "f" and (smallest < -_LARGEST or largest > _LARGEST):
            raise _out_of_range(table, name, values)
        table.numbers[name] = NumberColumn(values, float(smallest), float(largest))
    return table.numbers[name]


def _out_of_range(table: TableFile, name: str, values: NDArray[Any]) -> RequestError:
    row = int(np.flatnonzero(np.abs(values) > _LARGEST)[0])
    limit = "a finite number" if np.isinf(values[row]) else f"a number of at most {_LARGEST:.1e}, as in float32"
    return RequestError(
        f"{cell_at(table, row, name)}: received {values[row]:g}, expected {limit}",
        hint="An empty cell is a missing value.",
    )


def _converted(table: TableFile, name: str) -> NDArray[np.float64]:
    """Numbers from objects or texts."""
    import pandas

    series = table.frame[name]
    if series.dtype.kind in "Mmc":
        raise RequestError(
            f"{cell_at(table, 0, name)}: received {series.dtype.name} ({shown(str(series.iloc[0]))}), expected a number"
        )
    objects = series.astype(object)
    logical = objects.map({"true": 1.0, "false": 0.0, True: 1.0, False: 0.0}).where(objects.notna(), np.nan)
    values = pandas.to_numeric(objects, errors="coerce").astype(np.float64).fillna(logical)
    wrong = np.flatnonzero((values.isna() & objects.notna()).to_numpy())
    if len(wrong):
        row = int(wrong[0])
        raise RequestError(
            f"{cell_at(table, row, name)}: received {shown(objects.iloc[row])}, expected a number",
            hint="An empty cell is a missing value.",
        )
    converted: NDArray[np.float64] = values.to_numpy()
    return converted


def texts_of(table: TableFile, name: str) -> NDArray[Any]:
    """A column as words: str objects as they are written, "" for missing ones. Of whole numbers that became floats in a
    program that writes missing values so (`3.0`), without their decimals."""
    series = table.frame[name]
    # A column with a type for words has nothing else.
    codes, values = (series if series.dtype.kind == "O" and series.dtype != object else table.written(name)).factorize()
    values = np.asarray(values, object)
    if series.dtype.kind in "iuf" and all(re.fullmatch(r"-?\d+\.0+", value) for value in values):
        values = np.array([value[: value.index(".")] for value in values], object)
    texts: NDArray[Any] = np.append(values, "")[codes]
    return texts
