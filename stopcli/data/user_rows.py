"""From what a user's function returned as rows, `(x, y)` or `(x, y, weight)`, to Examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest, leaves, map_nest, named_leaves, replace_leaves
from stopcli.data.row_view import large_view
from stopcli.data.user_arrays import UserArray, in_float32, named_arrays, read_array
from stopcli.errors import RequestError, shown
from stopcli.quantities import counted

CONTRACT = "(x, y), (x, y, weight), or a dict with train and perhaps validation and test, each of these"


@dataclass(frozen=True)
class PartRows:
    """The rows of one part, or all of them.

    Attributes:
        examples: with the dtypes that they came with; `as_trained` converts them.
        columns: the columns' names of the arrays that had some, by what the array is called (`x`, `y[0]`, `x[age]`).
        converted: which arrays are floats of another size and become float32, and the dtypes that they have.
    """

    examples: Examples
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    converted: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of all arrays, with floats as float32."""
        return sum(array.size * _dtype(array).itemsize for array in arrays_of(self.examples))


def as_trained(rows: Examples, total: int) -> Examples:
    """Rows as a model trains on them, floats as float32; large arrays as views, which convert rows when they are read.

    Args:
        total: bytes of all rows of all parts.
    """
    x, y = (map_nest(lambda array: large_view(array, total, _dtype(array)), nest) for nest in (rows.x, rows.y))
    return Examples(x, y, rows.weight)


def _dtype(array: Any) -> np.dtype[Any]:
    return np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype


def arrays_of(examples: Examples) -> list[Any]:
    """Every array: of the inputs, the targets, and the weight where there is one."""
    weight = [] if examples.weight is None else [examples.weight]
    return [*leaves(examples.x), *leaves(examples.y), *weight]


def read_rows(content: object, name: str = "") -> PartRows:
    """The rows of `(x, y)` or `(x, y, weight)`.

    Args:
        content: x and y are an array, or a dict or tuple of arrays; weight an array [rows].
        name: of the part, for messages; empty where there is one.

    Raises:
        RequestError: it is something else, arrays have different numbers of rows, or one of them cannot be trained on.
    """
    prefix = f"{name}: " if name else ""
    if not isinstance(content, (tuple, list)) or len(content) not in (2, 3):
        raise RequestError(f"{prefix}received {_described(content)}, expected {CONTRACT}", hint=_hint(content))
    x, y, weight = [*content, None][:3]
    # The dict or tuple itself, so that it is not looked at twice.
    arrays: dict[str, UserArray] = {}
    read = {}
    for role, nest in (("x", x), ("y", y)):
        _check_nest(nest, f"{prefix}{role}")
        items = {key: read_array(value, f"{prefix}{key}") for key, value in named_arrays(nest, role)}
        arrays |= items
        read[role] = _same_structure(nest, list(items.values()))
    if weight is not None:
        arrays["weight"] = read_array(weight, f"{prefix}weight")
    _check_lengths(arrays, prefix, content)
    examples = Examples(read["x"], read["y"], None if weight is None else _checked_weight(arrays["weight"]))
    columns = {key: array.columns for key, array in arrays.items() if array.columns}
    kinds = {key: array.values.dtype for key, array in arrays.items()}
    converted = {key: str(kind) for key, kind in kinds.items() if kind.kind == "f" and kind != np.float32}
    return PartRows(examples, columns, converted)


def _same_structure(nest: object, arrays: Sequence[UserArray]) -> Any:
    """The arrays as an array, a dict or a tuple like the nest."""
    values = [array.values for array in arrays]
    if isinstance(nest, Mapping):
        return dict(zip(nest, values, strict=True))
    return tuple(values) if isinstance(nest, tuple) else values[0]


def _check_nest(nest: object, name: str) -> None:
    if isinstance(nest, (Mapping, tuple)) and not nest:
        raise RequestError(f"{name}: received an empty {type(nest).__name__}, expected at least one array")
    if isinstance(nest, Mapping):
        for key in nest:
            if not isinstance(key, str):
                raise RequestError(f"{name}: received the key {shown(key)}, expected names of inputs or outputs (text)")


def _check_lengths(arrays: Mapping[str, UserArray], prefix: str, content: Sequence[Any]) -> None:
    lengths = {key: len(array.values) for key, array in arrays.items()}
    first = next(iter(lengths.values()))
    other = next((key for key, length in lengths.items() if length != first), None)
    if other is None:
        return
    hint = "Row i of each of them belongs to example i. Several inputs or outputs are a tuple or a dict, not a list."
    if _looks_like_two_parts(content):
        hint = "These look like a training and a test part: return {'train': (x, y), 'test': (x, y)}."
    start = next(iter(lengths))
    raise RequestError(
        f"{prefix}{start} has {counted(first, 'row')} and {other} has {lengths[other]:,}, expected as many of all "
        f"({', '.join(f'{key}: {length:,}' for key, length in lengths.items())})",
        hint=hint,
    )


def _looks_like_two_parts(content: Sequence[Any]) -> bool:
    """Whether it is ((x, y), (x, y)), as Keras's `load_data` returns data sets."""
    if len(content) != 2 or not all(isinstance(part, tuple) and len(part) == 2 for part in content):
        return False
    return all(len(x) == len(y) for x, y in content)


def _checked_weight(array: UserArray) -> Any:
    values = in_float32(array.values)
    if values.ndim != 1:
        raise RequestError(f"{array.name}: received the shape {values.shape}, expected [rows], a number for each row")
    values = values.astype(np.float32, copy=False)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise RequestError(f"{array.name}: received {values[row]:g} in row {row:,}, expected ≥ 0")
    if not values.any():
        raise RequestError(f"{array.name}: received 0 for every row, expected at least one that counts")
    return values


def _described(content: object) -> str:
    kind = type(content).__name__
    if isinstance(content, (tuple, list)):
        return f"a {kind} of {len(content)}"
    if content is None:
        return "None"
    shape = getattr(content, "shape", None)
    return f"a {kind}" if shape is None else f"a {kind} of the shape {tuple(shape)}"


def _hint(content: object) -> str:
    if content is None:
        return "data() has no return statement, or it is not reached."
    if isinstance(content, (tuple, list)) and len(content) == 4:
        return "Of x_train, x_test, y_train, y_test: return {'train': (x_train, y_train), 'test': (x_test, y_test)}."
    if hasattr(content, "shape"):
        return "return x, y: the inputs, and the targets that the model learns to give for them."
    return ""


def check_like(rows: PartRows, train: PartRows, name: str) -> PartRows:
    """A part whose arrays have the columns, structure, shapes and dtypes of the training rows.

    Whole numbers and booleans become floats where those of the training rows are.

    Raises:
        RequestError: they have others.
    """
    for label in rows.columns.keys() & train.columns.keys():
        ours, theirs = rows.columns[label], train.columns[label]
        if ours != theirs and len(ours) == len(theirs):
            i = next(i for i in range(len(ours)) if ours[i] != theirs[i])
            received = f"column {i + 1} of {label} is {shown(ours[i])}"
            raise RequestError(
                f"{name}: {received}, expected {shown(theirs[i])}, as in the training rows",
                hint="A frame's columns are put in the order of another one's by frame[other.columns].",
            )
    x, y = (_nest_like(getattr(rows.examples, role), getattr(train.examples, role), role, name) for role in ("x", "y"))
    return PartRows(Examples(x, y, rows.examples.weight), rows.columns, rows.converted)


def _nest_like(nest: Nest, expected: Nest, role: str, name: str) -> Nest:
    if _structure(nest) != _structure(expected):
        raise RequestError(
            f"{name}: {role} is {_structure(nest)}, expected {_structure(expected)}, as in the training rows"
        )
    arrays = []
    for (key, array), other in zip(named_leaves(nest), leaves(expected), strict=True):
        label = f"{role}[{key}]" if key else role
        if array.shape[1:] != other.shape[1:]:
            raise RequestError(
                f"{name}: a row of {label} has the shape {array.shape[1:]}, expected {other.shape[1:]}, as in the "
                "training rows"
            )
        if not np.can_cast(array.dtype, other.dtype, "same_kind"):
            raise RequestError(
                f"{name}: {label} has the dtype {array.dtype}, expected {other.dtype}, as in the training rows"
            )
        _check_range(array, other.dtype, label, name)
        arrays.append(array.astype(other.dtype, copy=False))
    return replace_leaves(nest, arrays)


def _check_range(array: NDArray[Any], dtype: np.dtype[Any], label: str, name: str) -> None:
    """Raise RequestError where whole numbers do not fit into the narrower dtype of the training rows."""
    if dtype.kind not in "iu" or array.dtype.kind not in "iu" or np.can_cast(array.dtype, dtype) or not array.size:
        return
    limits = np.iinfo(dtype)
    for value in (int(array.min()), int(array.max())):
        if not limits.min <= value <= limits.max:
            raise RequestError(
                f"{name}: {label} has the value {value}, expected {limits.min} to {limits.max}, the range of {dtype} "
                "in the training rows",
                hint="Give the training rows the wider dtype.",
            )


def _structure(nest: Any) -> str:
    if isinstance(nest, dict):
        return f"a dict of {', '.join(sorted(nest))}"
    return f"a tuple of {len(nest)}" if isinstance(nest, tuple) else "an array"
