"""What makes the result on a table look better than it is: rows that are in two parts, and columns that give the target
away."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stopcli.data.row_parts import TEST, TRAIN, VALIDATION
from stopcli.data.same_rows import are_among
from stopcli.data.single_columns import (
    accuracy_by_number,
    accuracy_by_word,
    auc_by_number,
    auc_by_word,
    r2_by_number,
    r2_by_word,
    ranks_of,
)
from stopcli.errors import shown
from stopcli.quantities import agreeing, counted
from stopcli.seeding import derive_seed

if TYPE_CHECKING:
    from stopcli.data.table_columns import RawRows, TableColumns

# A column that predicts the target better than this by itself is worth a question.
SUSPICIOUS = 0.99
# So many training rows are enough to say it, and of fewer than so many it is no wonder.
_MOST_ROWS, _FEWEST_ROWS = 20_000, 20
# Of a class. Of fewer rows, one of many columns may set them apart by chance.
_FEWEST_OF_CLASS = 5
# A column with a value in less than this share of the rows gives little away.
_SMALLEST_SHARE = 0.1
_MOST_NAMED = 10


def leaks(
    raw: RawRows, columns: TableColumns, part: NDArray[np.int8], hashes: NDArray[np.uint64], *, seed: int = 0
) -> tuple[str, ...]:
    """Notes on rows that are in two parts, and on columns that give the target away.

    Args:
        raw: all rows of the table, with their targets.
        part: int8 [rows], as of `RowParts`.
        hashes: uint64 [rows], of features and target, as of `row_hashes`.
        seed: the data seed; of many training rows, it draws those on which columns are looked at.

    Returns:
        A sentence without a full stop each.
    """
    assert raw.target is not None, "there is nothing to give away"
    return (*_rows_in_two_parts(hashes, part), *_columns_that_give_away(raw, columns, part, seed))


def _rows_in_two_parts(hashes: NDArray[np.uint64], part: NDArray[np.int8]) -> Iterator[str]:
    train = np.sort(hashes[part == TRAIN])
    for number, name in ((TEST, "test"), (VALIDATION, "validation")):
        # In order, so that they are looked for one beside the other.
        of_part = np.sort(hashes[part == number])
        same = int(are_among(of_part, train).sum())
        if same:
            are = agreeing(same, "is the same as a training row", "are the same as a training row")
            yield f"{same:,} of {counted(len(of_part), f'{name} row')} {are}, in features and target"


def _columns_that_give_away(raw: RawRows, columns: TableColumns, part: NDArray[np.int8], seed: int) -> Iterator[str]:
    import pandas

    assert raw.target is not None
    rows = np.flatnonzero(part == TRAIN)
    if len(rows) > _MOST_ROWS:
        draw = np.random.Generator(np.random.PCG64(derive_seed(seed, "leaks")))
        rows = np.sort(draw.choice(rows, _MOST_ROWS, replace=False))
    target, is_regression = raw.target[rows], columns.task == "regression"
    # Columns by themselves lie far apart in memory.
    numbers = np.asfortranarray(raw.numbers[rows])
    # They are the same for every column without missing values, and take half of the time.
    target_ranks = ranks_of(target) if is_regression else None
    suspicious = []
    for column, name in enumerate(columns.numbers):
        values = numbers[:, column]
        has_value = ~np.isnan(values)
        if has_value.sum() >= _SMALLEST_SHARE * len(rows):
            known_ranks = target_ranks if has_value.all() else None
            figure = _of_number(values[has_value], target[has_value], is_regression, known_ranks)
            suspicious.append((figure, name))
        if not has_value.all() and not is_regression:
            # That it is missing may say the class.
            suspicious.append((_of_number(values, target, is_regression), name))
    for column, name in enumerate(columns.words):
        codes, _ = pandas.factorize(raw.words[rows, column])
        suspicious.append((_of_word(codes, target, is_regression), name))
    figures: dict[str, _Figure] = {}
    for figure, name in sorted(suspicious, key=lambda one: -one[0].value):
        if figure.value > SUSPICIOUS:
            figures.setdefault(name, figure)
    for name, figure in list(figures.items())[:_MOST_NAMED]:
        on_rows = f"{figure.measure} {_rounded_down(figure.value)} on {counted(figure.rows, 'training row')}"
        question = f"is it known when one predicts? --ignore {shlex.quote(name)} leaves it out"
        yield f"{shown(name)} alone gives the target away: {on_rows}; {question}"
    if len(figures) > _MOST_NAMED:
        more = len(figures) - _MOST_NAMED
        yield f"{more} more {agreeing(more, 'column gives', 'columns give')} the target away, each of them alone"


class _Figure(NamedTuple):
    value: float
    measure: str
    rows: int


def _of_number(
    values: NDArray[Any],
    target: NDArray[Any],
    is_regression: bool,
    target_ranks: NDArray[np.float64] | None = None,
) -> _Figure:
    measures = partial(r2_by_number, target_ranks=target_ranks), auc_by_number, accuracy_by_number
    return _figure(values, target, is_regression, measures)


def _of_word(codes: NDArray[Any], target: NDArray[Any], is_regression: bool) -> _Figure:
    measures = r2_by_word, auc_by_word, accuracy_by_word
    return _figure(codes, target, is_regression, measures)


_Measure = Callable[[NDArray[Any], NDArray[Any]], float]


def _figure(
    values: NDArray[Any], target: NDArray[Any], is_regression: bool, measures: tuple[_Measure, _Measure, _Measure]
) -> _Figure:
    """How well a column predicts the target: R², of two classes the AUC, of more the balanced accuracy; 0 where the
    rows are too few to say."""
    r2, auc, accuracy = measures
    if not is_regression:
        is_frequent = (np.bincount(target) >= _FEWEST_OF_CLASS)[target]
        values, target = values[is_frequent], target[is_frequent]
    if len(target) < _FEWEST_ROWS or target.min() == target.max():
        return _Figure(0.0, "", len(target))
    if is_regression:
        return _Figure(r2(values, target), "R²", len(target))
    different = np.unique(target)
    if len(different) == 2:
        return _Figure(auc(values, target == different[1]), "AUC", len(target))
    return _Figure(accuracy(values, target), "balanced accuracy", len(target))


def _rounded_down(figure: float) -> str:
    """With four decimals, and 1.0000 only where it is."""
    return f"{math.floor(figure * 10_000) / 10_000:.4f}"
