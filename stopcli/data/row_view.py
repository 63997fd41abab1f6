"""Some rows of an array, without a copy of them: how data that fill a good part of the memory are parted and read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

# Data of more than this in all are parted without copies, and trained on without a second copy in TensorFlow.
LARGE_BYTES = 1 << 28
# An array of at most this share of large data is copied nevertheless: it is then as quick and as handy as any.
SMALL_SHARE = 1 / 16
# What is looked at, converted, copied or passed to TensorFlow at a time.
CHUNK_BYTES = 1 << 24


class RowView(NDArrayOperatorsMixin):
    """Rows of an array, which are gathered only when they are asked for.

    A few rows of it (`view[:1000]`) are an ordinary array; `np.asarray(view)` and arithmetic copy all of them.

    Args:
        base: shape [base rows, …].
        rows: which of its rows, and in which order: a slice with a step of 1, or whole numbers [rows].
        dtype: what rows are converted to as they are gathered; that of `base` where it is None.

    Attributes:
        base, rows: as above.
        dtype, shape, ndim, size, nbytes: those of the array that it stands for.
    """

    # A table of pandas, or an array of another library, leaves arithmetic with it to this class.
    __array_priority__ = 1

    def __init__(self, base: NDArray[Any], rows: slice | NDArray[Any], dtype: Any = None) -> None:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(base))
            assert step == 1, "rows that are taken backwards, or not all of them, are numbers"
            rows, count = slice(start, max(start, stop)), max(0, stop - start)
        else:
            count = len(rows)
        self.base, self.rows = base, rows
        self.dtype = np.dtype(base.dtype if dtype is None else dtype)
        self.shape: tuple[int, ...] = (count, *base.shape[1:])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"RowView(shape={self.shape}, dtype={self.dtype})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("received copy=False, and a RowView has no array of its own")
        gathered = self._gather(self.rows)
        return gathered if dtype is None else gathered.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*(np.asarray(i) if isinstance(i, RowView) else i for i in inputs), **options)

    def __getattr__(self, name: str) -> Any:
        # What an array has beside the above (mean, reshape, tolist, …), from a copy of all rows.
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(np.asarray(self), name)

    def __getitem__(self, key: Any) -> Any:
        """Rows: an ordinary array where they are no more than CHUNK_BYTES, else a view again."""
        if isinstance(key, tuple):
            first, rest = key[0], key[1:]
            if _is_integer(first):
                return self[first][rest]
            every_row: tuple[Any, ...] = (slice(None), *rest)
            if all(one is None or isinstance(one, slice) or _is_integer(one) for one in rest):
                # Columns of the base copy nothing, either.
                return RowView(self.base[every_row], self.rows, self.dtype)[first]
            return np.asarray(self[first])[every_row]
        if _is_integer(key):
            row = range(len(self))[key]
            return np.asarray(self.take_rows(slice(row, row + 1)))[0]
        chosen = self.take_rows(key)
        return np.asarray(chosen) if chosen.nbytes <= CHUNK_BYTES else chosen

    def take_rows(self, key: Any) -> RowView:
        """Some of the rows, without a copy.

        Args:
            key: a slice, whole numbers or a list of them, or booleans [rows].
        """
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                return self.take_rows(np.arange(start, stop, step))
            if isinstance(self.rows, slice):
                return RowView(
                    self.base, slice(self.rows.start + start, self.rows.start + max(start, stop)), self.dtype
                )
            return RowView(self.base, self.rows[key], self.dtype)
        numbers, count = np.asarray(key), len(self)
        if numbers.dtype == bool:
            if len(numbers) != count:
                raise IndexError(f"a mask of {len(numbers)} rows does not fit {count}")
            numbers = np.flatnonzero(numbers)
        elif numbers.size and not -count <= numbers.min() <= numbers.max() < count:
            # Beyond them are rows of another part.
            raise IndexError(f"rows {numbers.min()} to {numbers.max()} are not all among {count}")
        return RowView(self.base, self._in_base(numbers), self.dtype)

    def gather(self, numbers: NDArray[Any], into: NDArray[Any]) -> None:
        """Copy rows.

        Args:
            numbers: which ones, whole numbers [n], each in [0, rows).
            into: shape [n, …] and dtype of this.
        """
        gather(self.base, self._in_base(numbers), into)

    def astype(self, dtype: Any, copy: bool = True) -> RowView:
        """The same rows, converted to another dtype as they are gathered."""
        return RowView(self.base, self.rows, dtype)

    def _in_base(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """The numbers of rows, as those of `base`."""
        if isinstance(self.rows, slice):
            start: int = self.rows.start
            return np.where(numbers < 0, numbers + len(self), numbers) + start
        rows: NDArray[Any] = self.rows[numbers]
        return rows

    def _gather(self, rows: slice | NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            gathered: NDArray[Any] = self.base[rows].astype(self.dtype, copy=False)
        return gathered


def _is_integer(key: Any) -> bool:
    return isinstance(key, (int, np.integer))


def large_view(array: NDArray[Any], total: int, dtype: Any = None) -> NDArray[Any] | RowView:
    """An array of data that have `total` bytes in all, as they are parted and trained on: a view of all its rows where
    the data are large, unless it is a small share of them.

    Args:
        dtype: what it is converted to; None for its own.
    """
    if total > LARGE_BYTES and array.nbytes > SMALL_SHARE * total:
        return RowView(array, slice(None), dtype)
    with np.errstate(over="ignore"):
        return array if dtype is None else array.astype(dtype, copy=False)


def rows_of(array: Any, key: Any) -> Any:
    """Some rows of an array, or of a view without a copy, however few they are.

    Args:
        key: a slice or whole numbers.
    """
    return array.take_rows(key) if isinstance(array, RowView) else array[key]


def joined_rows(array: Any, other: Any) -> Any:
    """The rows of an array, and those of another of its shape and dtype behind them. Views of one array become a view
    of it; of two large arrays there is a copy."""
    if isinstance(array, RowView) and isinstance(other, RowView) and array.base is other.base:
        return RowView(array.base, np.concatenate([_numbers_of(array.rows), _numbers_of(other.rows)]), array.dtype)
    joined = np.concatenate([np.asarray(array), np.asarray(other)])
    return RowView(joined, slice(None)) if isinstance(array, RowView) else joined


def _numbers_of(rows: slice | NDArray[Any]) -> NDArray[Any]:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def gather(array: NDArray[Any], numbers: NDArray[Any], into: NDArray[Any]) -> None:
    """Copy rows of an array, with little memory beside them.

    Args:
        numbers: which ones, whole numbers [n], each in [0, rows).
        into: contiguous, shape [n, …] and the dtype that they are to have.
    """
    flags = array.flags
    if array.dtype == into.dtype and flags.c_contiguous and flags.aligned:
        # Three times as fast. It would copy an array that lies otherwise in memory, all of it; and with another mode,
        # which checks every number, the rows.
        np.take(array, numbers, axis=0, out=into, mode="clip")
    else:
        with np.errstate(over="ignore"):
            into[...] = array[numbers]


def row_chunks(array: Any) -> Iterator[slice]:
    """Slices of consecutive rows, of about CHUNK_BYTES each, that are all of them."""
    row_bytes = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:])))
    size = max(1, CHUNK_BYTES // row_bytes)
    for start in range(0, len(array), size):
        yield slice(start, min(start + size, len(array)))
