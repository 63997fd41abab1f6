"""A hash of each value of a table's column, which is the same whatever dtype pandas has chosen for the column."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas

# The constants of SplitMix64: Steele, Lea & Flood, Fast splittable pseudorandom number generators, 2014.
_STEPS = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_LAST_SHIFT = np.uint64(31)
_ODD = np.uint64(0x9E3779B97F4A7C15)
# The bits of the number that is none; of every missing value.
_MISSING = np.uint64(0x7FF8000000000000)
# How pandas reads them in a column that has nothing else.
_BOOLEANS = {**dict.fromkeys(("true", "True", "TRUE"), "1"), **dict.fromkeys(("false", "False", "FALSE"), "0")}
_NUMBER = re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *", re.ASCII)
# pandas writes a date of a column of dates and times so, or without its time.
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[ T]00:00:00(\.0+)?", re.ASCII)
# In bytes. Longer texts are represented by a hash of that length.
_LONGEST = 32


def value_hashes(column: pandas.Series[Any]) -> NDArray[np.uint64]:
    """64 bits for each value, the same in every table that has the value, on every machine and in every version.

    A number is the same as its text, a bool as 0 or 1, a date as its text, and every missing value as every other.
    Numbers that are not whole are compared with the precision of float32, in which they are trained.

    Returns:
        uint64 [rows]. They are not scattered over their range: see `scrambled`.
    """
    return hashes_by_rows(column)(slice(None))


def hashes_by_rows(column: pandas.Series[Any]) -> Callable[[slice], NDArray[np.uint64]]:
    """`value_hashes` of some of a column's rows: what returns them, uint64 [rows of the slice]."""
    import pandas

    if pandas.api.types.is_bool_dtype(column.dtype) or pandas.api.types.is_numeric_dtype(column.dtype):
        is_plain = column.dtype.kind in "biuf" and isinstance(column.dtype, np.dtype)
        numbers = column.to_numpy() if is_plain else column.to_numpy(np.float64, na_value=np.nan)
        return lambda rows: _of_numbers(numbers[rows].astype(np.float64))
    codes, unique = pandas.factorize(column)
    # The last is where the code of a missing value, -1, leads.
    integers: NDArray[np.uint64] = np.append(_of_texts(np.asarray(unique, object)), _MISSING)
    return lambda rows: integers[codes[rows]]


def _of_numbers(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        numbers = values.astype(np.float32).astype(np.float64)
        # The keys of a database are whole, and have more digits than float32.
        is_whole = np.rint(values) == values
    if is_whole.any():
        np.copyto(numbers, values, where=is_whole)
    # Adding 0 makes a zero of -0.
    numbers += 0.0
    integers: NDArray[np.uint64] = numbers.view(np.uint64)
    integers[np.isnan(numbers)] = _MISSING
    return integers


def _of_texts(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Of different values that are not missing: texts, and in columns of many kinds also numbers, bools or dates."""
    texts = [_BOOLEANS.get(text, text) for text in map(str, values)]
    integers = text_hashes([_without_midnight(text) for text in texts])
    # Of a text that is empty, too: it is missing in a table that is read from a .csv file.
    numbers = {i: float(text or "nan") for i, text in enumerate(texts) if not text or _NUMBER.fullmatch(text)}
    integers[list(numbers)] = _of_numbers(np.array(list(numbers.values()), np.float64))
    return integers


def _without_midnight(text: str) -> str:
    match = _MIDNIGHT.fullmatch(text)
    return match[1] if match else text


def text_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits for each text, also of one that could be read as a number."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    short = [
        text if len(text) <= _LONGEST else hashlib.blake2b(text, digest_size=_LONGEST).digest() for text in encoded
    ]
    parts = np.array(short, f"S{_LONGEST}").view("<u8").reshape(-1, _LONGEST // 8)
    hashes = np.zeros(len(texts), np.uint64)
    for part in parts.T:
        hashes = scrambled(hashes ^ part.astype(np.uint64)) + _ODD
    return hashes


def scrambled(integers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Other integers, of which every bit depends on every bit of these; two stay different."""
    scrambled: NDArray[np.uint64] = integers.copy()
    shifted = np.empty_like(integers)
    # In place: of a chunk that stays in the processor's cache, other memory would cost as much as the arithmetic.
    for shift, factor in _STEPS:
        np.right_shift(scrambled, shift, out=shifted)
        np.bitwise_xor(scrambled, shifted, out=scrambled)
        np.multiply(scrambled, factor, out=scrambled)
    np.right_shift(scrambled, _LAST_SHIFT, out=shifted)
    np.bitwise_xor(scrambled, shifted, out=scrambled)
    return scrambled
