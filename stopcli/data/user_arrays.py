"""From what users' functions return as data to arrays that a model can train on, or a sentence that says what is wrong.

Arrays of NumPy, TensorFlow, pandas and others, and lists of numbers. Floats of any size become float32, as in Keras's
`fit`; everything else stays as it is, and what would have to be guessed (texts, dates, objects, missing values) is
refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.row_view import row_chunks
from stopcli.errors import RequestError, shown
from stopcli.quantities import agreeing, counted

_REFUSED_KINDS = {
    "O": ("objects, which can be anything", "Give numbers: one dtype for all, rows of one length."),
    "U": ("texts", "Turn them into numbers in data(), with keras.layers.StringLookup or TextVectorization."),
    "S": ("bytes", "Turn them into numbers in data()."),
    "T": ("texts", "Turn them into numbers in data(), with keras.layers.StringLookup or TextVectorization."),
    "M": ("dates", "Turn them into numbers in data(), such as days since the first."),
    "m": ("lengths of time", "Turn them into numbers in data(), such as seconds."),
    "c": ("complex numbers", "Give the real and the imaginary part as two columns."),
    "V": ("structures or a number format that NumPy does not have", "Give numbers, such as float32."),
}


@dataclass(frozen=True, eq=False)
class UserArray:
    """An array as the user's code gave it.

    Attributes:
        values: shape [rows, …], rows ≥ 1; booleans, whole numbers or floats of any size, all finite in float32.
        name: what it is called in messages: `x`, `y[0]`, `x[age]`.
        columns: names of the columns of a table; empty where it has none.
    """

    values: NDArray[Any]
    name: str
    columns: tuple[str, ...] = ()


def named_arrays(value: object, name: str) -> Iterator[tuple[str, object]]:
    """The arrays of what is one, or a dict or tuple of some, each with its name in messages."""
    if isinstance(value, Mapping):
        yield from ((f"{name}[{key}]", item) for key, item in value.items())
    elif isinstance(value, tuple):
        yield from ((f"{name}[{i}]", item) for i, item in enumerate(value))
    else:
        yield name, value


def read_array(value: object, name: str) -> UserArray:
    """An array from anything that is one.

    Args:
        value: an array of NumPy, or what becomes one: of TensorFlow or PyTorch, a table or column of pandas or polars,
            a list of numbers or of rows.
        name: what it is called in messages.

    Raises:
        RequestError: it is none, has no rows, or holds what is no number or not finite.
    """
    _check_is_array(value, name)
    array = _as_numpy(value, name)
    columns = _columns(value, array)
    _check_kind(value, array, name)
    if array.ndim == 0:
        raise RequestError(
            f"{name}: received a single value, {shown(array.item())}, expected an array with a row for each example",
            hint="A tuple is several inputs or outputs; a list is rows.",
        )
    if array.size == 0:
        what = "no rows" if len(array) == 0 else f"the shape {array.shape}, in which a row has no values"
        raise RequestError(f"{name}: received {what}, expected at least one row with a value")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    checked = UserArray(array, name, columns)
    check_finite(checked)
    return checked


def in_float32(array: NDArray[Any]) -> NDArray[Any]:
    """Floats as float32, and whole numbers and booleans as they are."""
    if array.dtype.kind != "f" or array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def check_finite(array: UserArray) -> None:
    """Raise RequestError where a value is NaN or infinite, or would be in float32: how many, and where the first is."""
    values = array.values
    if values.dtype.kind != "f":
        return
    number, where = 0, None
    for rows in row_chunks(values):
        finite = np.isfinite(in_float32(values[rows]))
        if finite.all():
            continue
        positions = np.argwhere(~finite)
        number += len(positions)
        if where is None:
            where = (rows.start + int(positions[0, 0]), *positions[0, 1:].tolist())
    if where is None:
        return
    value = values[where]
    too_large = " (more than float32 holds)" if np.isfinite(value) else ""
    raise RequestError(
        f"{array.name}: {counted(number, 'value')} {agreeing(number, 'is', 'are')} NaN or infinite; the first, "
        f"{value!s}{too_large}, in {_position(where, array.columns)}",
        hint="Rows are counted from 0. Drop such rows in data(), or fill in what is missing.",
    )


def _position(where: tuple[int, ...], columns: tuple[str, ...]) -> str:
    if len(where) == 1:
        return f"row {where[0]:,}"
    if len(where) == 2:
        column = f"column {where[1]}"
        return f"row {where[0]:,}, {column} ({columns[where[1]]})" if columns else f"row {where[0]:,}, {column}"
    return f"row {where[0]:,}, at {list(where[1:])} in it"


def _check_is_array(value: object, name: str) -> None:
    kind = type(value).__name__
    if value is None:
        raise RequestError(f"{name}: received None, expected an array with a row for each example")
    if isinstance(value, Iterator):
        raise RequestError(
            f"{name}: received a {kind}, which gives its values once, expected an array",
            hint="np.array(list(…)) makes one. What is endless, or larger than memory, trains in a script of your own "
            "with stopcli.Recorder.",
        )
    if isinstance(value, (Mapping, tuple)):
        raise RequestError(
            f"{name}: received a {kind} inside another, expected an array",
            hint="Inputs and targets are an array, or a dict or tuple of arrays; a list is rows.",
        )
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise RequestError(
            f"{name}: received a sparse matrix ({kind}), expected a dense array",
            hint=f"{name}.toarray() makes one, where it fits into memory.",
        )
    if "SparseTensor" in kind or "RaggedTensor" in kind:
        dense = "tf.sparse.to_dense" if "Sparse" in kind else ".to_tensor()"
        raise RequestError(
            f"{name}: received a {kind}, expected an array whose rows have one shape", hint=f"{dense} makes one."
        )
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise RequestError(
            f"{name}: received an array with masked values, expected one with a value everywhere",
            hint="Drop such rows in data(), or fill in what is missing (.filled).",
        )


def _as_numpy(value: Any, name: str) -> NDArray[Any]:
    try:
        # Of pandas and polars, whose tables np.asarray does not all take.
        return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise RequestError(
            f"{name}: received a list of {len(value):,} whose items have different lengths or shapes, expected rows of "
            "one shape",
            hint="Pad sequences to one length (keras.utils.pad_sequences). Several inputs or outputs are a tuple or a "
            "dict of arrays, not a list.",
        ) from None


def _columns(value: Any, array: NDArray[Any]) -> tuple[str, ...]:
    """The names of a table's columns."""
    names = tuple(map(str, getattr(value, "columns", ())))
    return names if array.ndim == 2 and len(names) == array.shape[1] else ()


def _check_kind(value: Any, array: NDArray[Any], name: str) -> None:
    if array.dtype.kind not in _REFUSED_KINDS:
        return
    what, hint = _REFUSED_KINDS[array.dtype.kind]
    if array.ndim == 0:
        raise RequestError(
            f"{name}: received {shown(value)}, a {type(value).__name__}, expected an array with a row for each example"
        )
    dtypes: Any = getattr(value, "dtypes", None)
    if array.dtype.kind == "O" and hasattr(dtypes, "items"):
        # A table: which of its columns are no plain numbers.
        odd = [f"{column} ({dtype})" for column, dtype in dtypes.items() if getattr(dtype, "kind", "O") not in "biuf"]
        listed = ", ".join(odd[:5] or [str(column) for column, _ in list(dtypes.items())[:5]])
        raise RequestError(
            f"{name}: received a table whose columns are not all plain numbers: {listed}",
            hint="Turn them into numbers in data(), such as .astype('float32'), or drop them.",
        )
    first = "" if array.dtype.kind == "V" else f"; the first is {shown(array.flat[0:1].tolist()[0])}"
    raise RequestError(f"{name}: received an array of {what} (dtype {array.dtype}){first}", hint=hint)
