"""Which columns of a table a model takes, what its target is, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.data.column_kinds import (
    Column,
    checked_numbers,
    column_of,
    mixture_error,
    numbers_of,
    texts_of,
)
from stopcli.data.csv_layout import DELIMITERS, MEANT_AS_WORDS
from stopcli.data.table_file import NumberColumn, TableFile
from stopcli.data.table_target import TableTask as TableTask
from stopcli.data.table_target import choose_task, class_indices
from stopcli.errors import ConfigError, RequestError, did_you_mean, shown
from stopcli.quantities import agreeing, first_few

# Notes on columns, each with those that it is about, where it does not name one itself.
_Notes = dict[str, list[str]]
# Words of which more than half stand in a single row tell nothing of other rows, in a table of at least so many.
_FEWEST_ROWS = 50
# Of the range of a column's values, what float32 may take from one of them before it is said.
_LARGEST_ROUNDING = 1e-3
# Rows whose numbers fit into a processor's cache.
_CHUNK = 1 << 12


@dataclass(frozen=True)
class TableColumns:
    """The part of each column of a table.

    Attributes:
        target: what is predicted.
        task: what it is predicted as.
        classes: its values as texts, in the order of their indices: of numbers ascending, of words by their letters;
            () for regression.
        numbers, words: the features, in the table's order.
        unused: the other columns, and why.
        reason: why it is this task, such as `price: numbers with decimals, so regression`; empty where that was
            requested.
    """

    target: str
    task: TableTask
    classes: tuple[str, ...]
    numbers: tuple[str, ...]
    words: tuple[str, ...]
    unused: Mapping[str, str]
    reason: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model takes, numbers first."""
        return (*self.numbers, *self.words)


@dataclass(frozen=True, eq=False)
class RawRows:
    """The values of rows as they stand in the table.

    Attributes:
        numbers: float32, [rows, numbers]; NaN where missing.
        words: str objects, [rows, words]; "" where missing.
        target: float32, [rows], NaN where missing; or int32, [rows], the class's index, -1 where missing; None where it
            was not requested.
    """

    numbers: NDArray[np.float32]
    words: NDArray[Any]
    target: NDArray[Any] | None

    def at(self, indices: NDArray[Any]) -> RawRows:
        """Some of the rows, by their indices or a mask."""
        return RawRows(
            self.numbers[indices], self.words[indices], None if self.target is None else self.target[indices]
        )

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.numbers)


def choose_columns(
    table: TableFile,
    *,
    target: str,
    task: Literal["auto", "regression", "classes"] = "auto",
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    categorical: Sequence[str] = (),
    apart: Mapping[str, str] = {},
) -> tuple[TableColumns, tuple[str, ...]]:
    """Which columns are features, as numbers or as words, and what the target is predicted as; and notes.

    Numbers and logical values are numbers; words are words, unless nearly each stands in one row only. Columns of one
    value and dates are not used, which is said.

    Args:
        target: the column to predict.
        task: `auto` takes words and logical values as classes, numbers with decimals as regression, whole numbers with
            two values as classes, with more than 20 as regression, and refuses what is between.
        features: the only columns to use; () for all.
        ignore: columns not to use.
        categorical: columns that are words, whatever they look like.
        apart: columns that are not features unless `features` names them, and why.

    Raises:
        RequestError: there is no such column; the target is a feature, has no or only one value, or its task cannot be
            told; a feature has no value, words among numbers, or infinite values; no feature remains.
    """
    _check_requested(table, target, features, ignore, categorical)
    notes: _Notes = {}
    unused: dict[str, str] = {}
    numbers: list[str] = []
    texts: list[str] = []
    for name in table.columns:
        reason = _reason_apart(name, target, features, ignore, apart)
        if not reason:
            column = column_of(table, name)
            reason = _reason_unused(table, column, name in categorical, name in features, notes)
            if not reason:
                (texts if name in categorical or column.kind == "words" else numbers).append(name)
        if reason:
            unused[name] = reason
    chosen, classes, reason, more = choose_task(table, target, task)
    if chosen == "regression":
        of_target = checked_numbers(table, target)
        _note_rounding(target, of_target.smallest, of_target.largest, notes)
    if not numbers and not texts:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(unused.items())[:5] if name != target)
        raise RequestError(f"{table.path}: no feature remains beside the target {target} ({reasons or 'one column'})")
    columns = TableColumns(target, chosen, classes, tuple(numbers), tuple(texts), unused, reason)
    return columns, (*more, *_sentences(notes))


def raw_rows(table: TableFile, columns: TableColumns, *, with_target: bool = True) -> RawRows:
    """The values of all rows of a table: of the one that the columns were chosen from, or of another one, whose further
    columns do not matter.

    Raises:
        RequestError: a column is not there, or has a value of another kind, or a class of the target is not known; with
            the line.
    """
    for name in (*columns.features, *([columns.target] if with_target else [])):
        if name not in table.frame:
            what = "the target" if name == columns.target else "which the model takes"
            raise RequestError(f"{table.path}: no column {name}, {what}", hint=did_you_mean(name, table.columns))
    rows = len(table.frame)
    numbers = np.empty((rows, len(columns.numbers)), np.float32)
    values = [numbers_of(table, name) for name in columns.numbers]
    # Some rows at a time: a column by itself lies far apart in memory.
    for start in range(0, rows, _CHUNK):
        for i, column in enumerate(values):
            numbers[start : start + _CHUNK, i] = column[start : start + _CHUNK]
    texts = np.empty((rows, len(columns.words)), object)
    table.read_cells(columns.words)
    for i, name in enumerate(columns.words):
        texts[:, i] = texts_of(table, name)
    return RawRows(numbers, texts, _target_of(table, columns) if with_target else None)


def has_target(table: TableFile, columns: TableColumns) -> NDArray[np.bool_]:
    """Which rows have a value of the target: no other can train or be measured."""
    present: NDArray[np.bool_] = table.frame[columns.target].notna().to_numpy()
    return present


def _target_of(table: TableFile, columns: TableColumns) -> NDArray[Any]:
    if columns.task == "regression":
        return numbers_of(table, columns.target).astype(np.float32)
    return class_indices(table, columns.target, columns.classes)


def _check_requested(
    table: TableFile, target: str, features: Sequence[str], ignore: Sequence[str], categorical: Sequence[str]
) -> None:
    """Raise ConfigError where a column that is named is not there, or named for two ends."""
    expected = f"a column of {table.path.name}"
    named = {"target": [target], "features": features, "ignore": ignore, "categorical": categorical}
    for setting, names in named.items():
        for name in names:
            if name not in table.columns:
                raise ConfigError(setting, name, expected, hint=_which_columns(table, name))
    for setting in ("features", "ignore", "categorical"):
        if target in named[setting]:
            hint = "--task classes takes its values as classes." if setting == "categorical" else ""
            raise ConfigError(setting, target, f"columns other than the target {target}", hint=hint)
    for setting, names in (("features", features), ("categorical", categorical)):
        both = [name for name in names if name in ignore]
        if both:
            raise ConfigError(setting, both[0], "a column that --ignore does not name")
    beside = [name for name in categorical if features and name not in features]
    if beside:
        raise ConfigError("categorical", beside[0], "one of the columns that --features names")


def _which_columns(table: TableFile, name: str) -> str:
    """A hint at the columns that there are."""
    columns = table.columns
    if len(columns) == 1 and table.layout is not None:
        tried = ", ".join(DELIMITERS.values())
        return f"The only column is {shown(columns[0])}; looked for between columns were {tried}."
    with_commas = [column for column in columns if name in [part.strip() for part in column.split(",")]]
    if with_commas:
        return f"In a list a name that has commas stands in double quotation marks: {_as_item(with_commas[0])}."
    near = did_you_mean(name, columns)
    return near or f"It has: {first_few(list(columns))}."


def _as_item(name: str) -> str:
    """A name with commas as a list option takes it, for the shell."""
    return quote('"' + name.replace('"', '""') + '"')


def _reason_apart(
    name: str, target: str, features: Sequence[str], ignore: Sequence[str], apart: Mapping[str, str]
) -> str:
    """Why a column is not a feature, by its name alone; empty where it may be one."""
    if name == target:
        return "the target"
    if name in ignore:
        return "ignored"
    if features:
        return "" if name in features else "not among the features"
    return apart.get(name, "")


def _reason_unused(table: TableFile, column: Column, categorical: bool, requested: bool, notes: _Notes) -> str:
    """Why a column cannot be a feature; empty where it is one. Raises RequestError where it has to be changed first."""
    name = column.name
    ignored = f"--ignore {quote(name)} leaves it out."
    if column.kind == "empty":
        raise RequestError(f"{table.path}, column {name}: no row has a value, expected some", hint=ignored)
    if categorical:
        return ""
    if column.kind == "mixture":
        raise mixture_error(table, column, f"--categorical {quote(name)} takes all its values as words; {ignored}")
    if column.kind in ("dates", "other"):
        what = "dates or times" if column.kind == "dates" else "neither numbers nor words"
        if requested:
            raise RequestError(f"{table.path}, column {name}: {what}, expected numbers or words")
        notes.setdefault(f"not used, {what}", []).append(name)
        return what
    if column.kind == "words":
        return _reason_of_words(column, notes)
    return _reason_of_numbers(column, checked_numbers(table, name), notes)


def _reason_of_numbers(column: Column, numbers: NumberColumn, notes: _Notes) -> str:
    """As `_reason_unused`, of numbers and logical values."""
    values, smallest, largest = numbers
    if not column.missing and smallest == largest:
        notes.setdefault("not used, the same in all rows", []).append(column.name)
        return "the same in all rows"
    if column.kind == "logical":
        notes.setdefault("true and false, taken as the numbers 1 and 0", []).append(column.name)
    elif values.dtype.kind in "iu" and len(values) >= _FEWEST_ROWS and (np.diff(values) == 1).all():
        notes[
            f"{column.name} counts the rows, and is used as a number (--ignore {quote(column.name)} leaves it out)"
        ] = []
    _note_rounding(column.name, smallest, largest, notes)
    return ""


def _note_rounding(name: str, smallest: float, largest: float, notes: _Notes) -> None:
    # Half the distance from the largest number to the next.
    rounding = max(abs(smallest), abs(largest)) * np.finfo(np.float32).eps / 2
    if rounding > _LARGEST_ROUNDING * (largest - smallest):
        notes[
            f"{name}: from {smallest:.10g} to {largest:.10g} in float32, which rounds by up to {rounding:.2g}; "
            "differences from the first value would keep their digits"
        ] = []


def _reason_of_words(column: Column, notes: _Notes) -> str:
    distinct, rows = len(column.values), column.present
    if distinct == 1 and not column.missing:
        notes.setdefault("not used, the same in all rows", []).append(column.name)
        return "the same in all rows"
    if distinct == rows > 1 or (rows >= _FEWEST_ROWS and 2 * distinct > rows):
        reason = f"{distinct:,} different words in {rows:,} rows, such as names or ids"
        notes[f"{column.name} is not used: {reason} (--categorical {quote(column.name)} takes it)"] = []
        return reason
    meant = sorted(MEANT_AS_WORDS.intersection(column.values))
    if meant:
        are = agreeing(len(meant), "is a word, not a missing value", "are words, not missing values")
        notes[f"{column.name}: {' and '.join(meant)} {are}"] = []
    return ""


def _sentences(notes: _Notes) -> list[str]:
    return [f"{note}: {first_few(names)}" if names else note for note, names in notes.items()]
