"""Which rows of a data set train, validate and test, where it comes as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples, Splits, fraction_of
from stopcli.seeding import derive_seed


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
    testing = min(fraction_of(rows.count, test_share), rows.count - 1 - (validation_share > 0)) if test_share else 0
    remaining = rows.count - testing
    validating = fraction_of(remaining, validation_share) if validation_share else 0
    training = remaining - validating
    if last or training == rows.count:
        numbers = {"validation": np.arange(training, remaining), "test": np.arange(remaining, rows.count)}
        taken = rows.take(0, training), rows.take(training, remaining), rows.take(remaining, rows.count)
        return Splits(*taken, numbers)
    # A byte a row, and each part gathered once: of many rows, numbers and parts of parts would take much memory.
    parts = np.zeros(rows.count, np.int8)
    parts[_drawn(rows.count, testing, seed, "test")] = 2
    parts[np.flatnonzero(parts == 0)[_drawn(remaining, validating, seed, "validation")]] = 1
    numbers = {name: _numbers(parts == part) for part, name in enumerate(("train", "validation", "test"))}
    train, validation, test = (rows.at(of_part) for of_part in numbers.values())
    return Splits(train, validation, test, numbers)


def _drawn(rows: int, count: int, seed: int, stream: str) -> NDArray[np.intp]:
    """Numbers of rows, drawn at random."""
    draw = np.random.Generator(np.random.PCG64(derive_seed(seed, "rows", stream)))
    return draw.permutation(rows)[:count]


def _numbers(chosen: NDArray[np.bool_]) -> NDArray[np.signedinteger]:
    """Where something is true, in half of the memory that NumPy's own integers would take."""
    dtype = np.int32 if len(chosen) <= np.iinfo(np.int32).max else np.int64
    return np.flatnonzero(chosen).astype(dtype)
