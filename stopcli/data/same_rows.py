"""How many rows of one part of a data set are, byte for byte, also in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.row_view import row_chunks

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def same_rows(rows: Sequence[NDArray[Any]], others: Sequence[NDArray[Any]]) -> int:
    """How many of some rows are also among others.

    Args:
        rows: one array or several of the same length, shape [rows, …]; together they make up a row.
        others: arrays of the same dtypes and shapes, except for the number of rows.

    Returns:
        The number of rows with such a counterpart, by a hash of 64 bits; it takes two for the same that are not in
        about one of 10¹⁹ comparisons.
    """
    return int(are_among(hashes_of_rows(rows), np.sort(hashes_of_rows(others))).sum())


def are_among(hashes: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of some hashes are also among others, which are sorted; several times as fast as np.isin."""
    if not len(ascending):
        return np.zeros(len(hashes), np.bool_)
    positions = np.searchsorted(ascending, hashes)
    among: NDArray[np.bool_] = ascending[np.minimum(positions, len(ascending) - 1)] == hashes
    return among


def hashes_of_rows(arrays: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """A hash of each row's bytes, uint64 [rows]. Arguments as of `same_rows`."""
    hashes = np.zeros(len(arrays[0]), np.uint64)
    for array in arrays:
        for chunk in row_chunks(array):
            hashes[chunk] = _mixed(hashes[chunk], _integers(array[chunk]))
    return hashes


def _integers(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """The bytes of each row, filled up with zeros, uint64 [rows, integers]."""
    data = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    filled = np.zeros((len(data), -(-data.shape[1] // 8) * 8), np.uint8)
    filled[:, : data.shape[1]] = data
    return filled.view(np.uint64)


def _mixed(hashes: NDArray[np.uint64], integers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # Multiplication by an odd number and the shift can be undone, so rows that differ in one integer never collide.
    for column in integers.T:
        hashes = (hashes ^ column) * _FACTOR
        hashes ^= hashes >> _HALF
    return hashes
