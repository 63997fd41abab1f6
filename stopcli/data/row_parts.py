"""Which rows of a data set train, validate and test, where it comes as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples, Splits, fraction_of
from stopcli.seeding import derive_seed

# What a row is for.
TRAIN, VALIDATION, TEST = 0, 1, 2


def set_apart(rows: Examples, validation_share: float, test_share: float, *, last: bool, seed: int) -> Splits:
    """Rows that train, validate and test, with their numbers among all. Each part keeps the rows' order.

    Which rows test depends on nothing but their share and the seed.

    Args:
        rows: as many as there are parts, or more.
        validation_share: of those that do not test, in [0, 1); 0 for none.
        test_share: in [0, 1); 0 for none.
        last: whether the last rows are set apart, those that test last of all; else they are drawn at random.
        seed: the data seed.
    """
    training, remaining = _first_numbers(rows.count, validation_share, test_share)
    if last or training == rows.count:
        numbers = {"validation": np.arange(training, remaining), "test": np.arange(remaining, rows.count)}
        taken = rows.take(0, training), rows.take(training, remaining), rows.take(remaining, rows.count)
        return Splits(*taken, numbers)
    # Each part gathered once: of many rows, numbers and parts of parts would take much memory.
    parts = drawn_parts(rows.count, validation_share, test_share, seed)
    numbers = {name: _numbers(parts == part) for part, name in enumerate(("train", "validation", "test"))}
    train, validation, test = (rows.at(of_part) for of_part in numbers.values())
    return Splits(train, validation, test, numbers)


def drawn_parts(rows: int, validation_share: float, test_share: float, seed: int) -> NDArray[np.int8]:
    """The part of each row, TRAIN, VALIDATION or TEST, drawn at random. Arguments as of `set_apart`."""
    training, remaining = _first_numbers(rows, validation_share, test_share)
    # A byte a row.
    parts = np.full(rows, TRAIN, np.int8)
    parts[_drawn(rows, rows - remaining, seed, "test")] = TEST
    parts[np.flatnonzero(parts == TRAIN)[_drawn(remaining, remaining - training, seed, "validation")]] = VALIDATION
    return parts


def last_parts(rows: int, validation_share: float, test_share: float) -> NDArray[np.int8]:
    """The part of each row where the last ones are set apart. Arguments as of `set_apart`."""
    training, remaining = _first_numbers(rows, validation_share, test_share)
    parts = np.full(rows, TEST, np.int8)
    parts[:remaining] = VALIDATION
    parts[:training] = TRAIN
    return parts


def _first_numbers(rows: int, validation_share: float, test_share: float) -> tuple[int, int]:
    """How many rows train; and how many train or validate."""
    testing = min(fraction_of(rows, test_share), rows - 1 - (validation_share > 0)) if test_share else 0
    remaining = rows - testing
    validating = fraction_of(remaining, validation_share) if validation_share else 0
    return remaining - validating, remaining


def _drawn(rows: int, count: int, seed: int, stream: str) -> NDArray[np.intp]:
    """Numbers of rows, drawn at random."""
    draw = np.random.Generator(np.random.PCG64(derive_seed(seed, "rows", stream)))
    return draw.permutation(rows)[:count]


def _numbers(chosen: NDArray[np.bool_]) -> NDArray[np.signedinteger]:
    """Where something is true, in half of the memory that NumPy's own integers would take."""
    dtype = np.int32 if len(chosen) <= np.iinfo(np.int32).max else np.int64
    return np.flatnonzero(chosen).astype(dtype)
