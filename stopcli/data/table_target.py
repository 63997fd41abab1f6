"""What the target of a table is predicted as: a number, or one of some classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.data.column_kinds import Column, column_of, mixture_error, numbers_of, texts_of
from stopcli.data.row_parts import TRAIN
from stopcli.data.table_file import TableFile, cell_at
from stopcli.errors import ConfigError, RequestError, did_you_mean, shown
from stopcli.quantities import agreeing, counted, first_few

TableTask = Literal["regression", "classes"]

# Whole numbers with so many values can be either.
MOST_AMBIGUOUS = 20


@dataclass(frozen=True)
class _Values:
    """The distinct values of a target.

    Attributes:
        texts: of each, ascending; the first few of numbers where there are many.
        counts: in how many rows each of them stands.
        distinct: how many there are.
        whole: whether they are whole numbers.
    """

    texts: list[str]
    counts: list[int]
    distinct: int
    whole: bool


def choose_task(table: TableFile, name: str, task: str) -> tuple[TableTask, tuple[str, ...], str, tuple[str, ...]]:
    """What a column is predicted as, its classes, why it is this, and notes; `task` is what was requested, or `auto`.

    Raises:
        RequestError: it has no value or only one, cannot be what was requested, or can be either.
    """
    column = column_of(table, name)
    at = f"{table.path}, column {name}"
    if not column.present:
        raise RequestError(f"{at}: no row has a value, expected some: it is the target")
    if column.kind in ("dates", "other"):
        what = "dates or times" if column.kind == "dates" else "neither numbers nor words"
        raise RequestError(f"{at}: {what}, expected numbers or classes: it is the target")
    if column.kind == "mixture" and task != "classes":
        raise mixture_error(table, column, "--task classes takes all its values as classes.")
    values = _values_of(table, column)
    if values.distinct == 1:
        raise RequestError(f"{at}: {values.texts[0]} in all rows, expected different values: it is the target")
    chosen, why = _task_of(table, column, values, task)
    reason, notes = f"{name}: {why}" if task == "auto" else "", list[str]()
    if column.missing:
        have, are = agreeing(column.missing, "has", "have"), agreeing(column.missing, "it is", "they are")
        notes.append(f"{counted(column.missing, 'row')} {have} no value of {name}, so {are} left out")
    if chosen == "regression":
        return chosen, (), reason, tuple(notes)
    single = [text for text, count in zip(values.texts, values.counts, strict=True) if count == 1]
    if single:
        classes = counted(len(single), "class", "classes")
        notes.append(f"{classes} of {name} with a single row: {first_few(single)}")
    return chosen, tuple(values.texts), reason, tuple(notes)


def class_indices(table: TableFile, name: str, classes: tuple[str, ...]) -> NDArray[np.int32]:
    """The index of each row's class, -1 where it is missing. Raises RequestError where one is not among the classes."""
    codes, values = _codes(table, name)
    index = {text: i for i, text in enumerate(classes)}
    if not index.keys() >= set(values):
        # As in `01` and `A2`, of which another table may have only the first.
        texts = texts_of(table, name)
        written = sorted(set(texts) - {""})
        if index.keys() >= set(written):
            codes = np.array([index.get(text, -1) for text in texts], np.int64)
            return codes.astype(np.int32)
        unknown = next(i for i, text in enumerate(values) if text not in index)
        row = int(np.flatnonzero(codes == unknown)[0])
        raise RequestError(
            f"{cell_at(table, row, name)}: received {shown(values[unknown])}, expected one of the model's classes: "
            f"{first_few(list(classes))}",
            hint=did_you_mean(values[unknown], classes),
        )
    indices = np.array([index[text] for text in values] + [-1], np.int32)
    selected: NDArray[np.int32] = indices[codes]
    return selected


def _codes(table: TableFile, name: str) -> tuple[NDArray[Any], list[str]]:
    """A code for each row, -1 where it is missing, and the texts of the codes."""
    codes, values = table.frame[name].factorize()
    return codes, list(map(_as_text, values))


def _as_text(value: Any) -> str:
    """A class as text: 3 for 3.0."""
    if isinstance(value, (float, np.floating)):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)


def _values_of(table: TableFile, column: Column) -> _Values:
    if column.kind != "numbers":
        codes, texts = _codes(table, column.name)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        order = sorted(range(len(texts)), key=texts.__getitem__)
        return _Values([texts[i] for i in order], [int(counts[i]) for i in order], len(texts), whole=False)
    rows = numbers_of(table, column.name)
    rows = rows[~np.isnan(rows)] if column.missing else rows
    values, counts = np.unique(rows, return_counts=True)
    whole = bool((values == np.rint(values)).all())
    # A text for each of a million amounts would take seconds.
    most = len(values) if 2 * len(values) <= len(rows) else MOST_AMBIGUOUS
    return _Values(list(map(_as_text, values[:most])), counts[:most].tolist(), len(values), whole)


def untrained_classes(classes: Sequence[str], indices: NDArray[Any], part: NDArray[np.int8]) -> tuple[str, ...]:
    """A note where rows validate or test whose class no row that trains has.

    Args:
        classes: as texts.
        indices: of each row's class, int [rows]; -1 where it is missing.
        part: of each row, as in RowParts.
    """
    trained = np.zeros(len(classes), bool)
    trained[indices[part == TRAIN]] = True
    others = indices[(part > TRAIN) & (indices >= 0)]
    unknown = others[~trained[others]]
    if not len(unknown):
        return ()
    names = first_few([classes[index] for index in np.unique(unknown)])
    verb = agreeing(len(unknown), "validates or tests", "validate or test")
    return (f"classes that no row that trains has: {names}, of which {counted(len(unknown), 'row')} {verb}",)


def _task_of(table: TableFile, column: Column, values: _Values, task: str) -> tuple[TableTask, str]:
    """What a column is predicted as, and why."""
    if task == "regression" and column.kind != "numbers":
        expected = f"classes: {column.name} has {_what(column)}, such as {shown(values.texts[0])}"
        raise ConfigError("task", task, expected)
    if task == "classes":
        _check_classes(table, column, values)
        return "classes", ""
    if task == "regression":
        return "regression", ""
    distinct = values.distinct
    in_classes = f"so {'two' if distinct == 2 else f'{distinct:,}'} classes ({first_few(values.texts)})"
    if column.kind != "numbers":
        _check_classes(table, column, values)
        return "classes", f"{_what(column)}, {in_classes}"
    # Whole numbers become floats where some are missing.
    if table.frame[column.name].dtype.kind == "f" and not (values.whole and column.missing):
        choice = ""
        if values.whole and distinct == 2:
            choice = f" (--task classes would take the values {' and '.join(values.texts)} as classes)"
        return "regression", f"numbers with decimals, so regression{choice}"
    if distinct == 2:
        return "classes", f"whole numbers with two values, {in_classes}"
    if distinct > MOST_AMBIGUOUS:
        return "regression", f"whole numbers with {distinct:,} values, so regression"
    raise RequestError(
        f"{table.path}, column {column.name}: {distinct} whole numbers, {values.texts[0]} to {values.texts[-1]}, which "
        "can be classes or amounts",
        hint="Say which: --task classes, or --task regression.",
    )


def _check_classes(table: TableFile, column: Column, values: _Values) -> None:
    """Raise RequestError where values are too many to be classes, of which each has some rows."""
    decimals = column.kind == "numbers" and not values.whole
    if values.distinct > MOST_AMBIGUOUS and (decimals or 2 * values.distinct > column.present):
        raise RequestError(
            f"{table.path}, column {column.name}: {values.distinct:,} different values in "
            f"{counted(column.present, 'row')}, too many for classes",
            hint="--task regression predicts the number." if column.kind == "numbers" else "",
        )


def _what(column: Column) -> str:
    return "true and false" if column.kind == "logical" else "words"
