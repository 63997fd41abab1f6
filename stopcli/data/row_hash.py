"""A hash of each row of a table, by which the row is known again in another table: the one of the next day, in another
order, as another kind of file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stopcli.data.value_hash import hashes_by_rows, scrambled, text_hashes
from stopcli.errors import RequestError, did_you_mean, shown

if TYPE_CHECKING:
    from stopcli.data.table_columns import TableColumns
    from stopcli.data.table_file import TableFile

# So many rows at a time stay in the processor's cache.
_CHUNK = 1 << 14


def row_hashes(table: TableFile, columns: TableColumns, key: Sequence[str] = ()) -> NDArray[np.uint64]:
    """A hash of each row's features, target and key: the same for the same row in another table.

    Names and values count, and nothing else of the table: neither the order of rows and columns, nor the columns that
    are not used, nor the dtypes that pandas has chosen. A number is the same as its text, a bool as 0 or 1; numbers
    that are not whole are compared with the precision of float32, in which they are trained.

    Args:
        key: further columns, such as the one that a split goes by.

    Returns:
        uint64 [rows]. Two different rows have the same one in about one of 10¹⁹ pairs.

    Raises:
        RequestError: the table lacks one of the columns.
    """
    names = sorted({*columns.numbers, *columns.words, columns.target, *key})
    for name in names:
        if name not in table.frame:
            known = [str(column) for column in table.frame]
            message = f"{table.path}: has no column {shown(name)}, by which its rows are known"
            raise RequestError(message, hint=did_you_mean(name, known))
    hashers = [(hashes_by_rows(table.frame[name]), *text_hashes([name])) for name in names]
    hashes = np.zeros(len(table.frame), np.uint64)
    for start in range(0, len(hashes), _CHUNK):
        rows = slice(start, start + _CHUNK)
        joined = hashes[rows]
        for values_of, seed in hashers:
            # Scrambled before they are joined too: round numbers differ in few bits.
            joined = scrambled(joined ^ scrambled(values_of(rows) ^ seed))
        hashes[rows] = joined
    return hashes
