"""Rows that come in batches, from a `tf.data.Dataset` or a `keras.utils.PyDataset`: read once, into memory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.control_groups import SHARE, available_bytes
from stopcli.data.dataset import OnProgress, ignore_progress
from stopcli.data.user_arrays import in_float32
from stopcli.errors import RequestError
from stopcli.quantities import counted, format_bytes

_RECORDER = (
    "What is endless, or larger than memory, trains in a script of your own with stopcli.Recorder; of a longer one, "
    "dataset.take(n) gives the first n elements."
)


def is_stream(content: object) -> bool:
    """Whether it is a `tf.data.Dataset` or a `keras.utils.PyDataset`. Imports neither library: whoever has one of them
    has imported it."""
    return _is_dataset(content) or _is_pydataset(content)


def _is_dataset(content: object) -> bool:
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(content, tensorflow.data.Dataset)


def _is_pydataset(content: object) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(content, keras.utils.PyDataset)


@dataclass(frozen=True)
class _Source:
    """What gives the elements.

    Attributes:
        kind: its name.
        elements: how many there are.
        batched: whether an element is several rows.
        items: the elements, of which each is read once.
    """

    kind: str
    elements: int
    batched: bool
    items: Iterable[Any]


# What stands around code of the user's, such as that which makes an element.
Executing = Callable[[], contextlib.AbstractContextManager[None]]


def read_stream(
    content: Any,
    name: str,
    stage: Callable[[str], None],
    on_progress: OnProgress = ignore_progress,
    executing: Executing = contextlib.nullcontext,
) -> tuple[Any, ...]:
    """Everything that a data set in batches, or in single rows, has.

    Args:
        content: a `tf.data.Dataset` of known size, batched or not, or a `keras.utils.PyDataset`; its elements are
            `(x, y)` or `(x, y, weight)`.
        name: what it is called in messages; empty for none.
        stage: receives what is read and how large it is, before it is.
        executing: makes what stands around the code that makes an element.

    Returns:
        `(x, y)` or `(x, y, weight)` with all rows, as NumPy arrays.

    Raises:
        RequestError: it is endless or of unknown size, does not fit into memory, or its elements differ.
    """
    prefix = f"{name}: " if name else ""
    source = _dataset_source(content, prefix) if _is_dataset(content) else _pydataset_source(content, prefix)
    buffers: list[NDArray[Any]] = []
    first: Any = None
    rows = 0
    for number, element in enumerate(_items(source.items, executing)):
        arrays = [_rows_of(array, source.batched) for array in _flat(element)]
        if first is None:
            first = element
            _check_element(element, source.kind, prefix)
            buffers = _make_buffers(arrays, source, f"{prefix}{source.kind}", stage)
        rows = _append(arrays, buffers, rows, number, f"{prefix}{source.kind}")
        on_progress("elements", number + 1, source.elements)
    if first is None:
        raise RequestError(f"{prefix}received an empty {source.kind}, expected at least one row")
    filled: tuple[Any, ...] = _like(first, iter([buffer[:rows] for buffer in buffers]))
    return filled


def _items(items: Iterable[Any], executing: Executing) -> Iterator[Any]:
    iterator = iter(items)
    while True:
        with executing():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def _dataset_source(content: Any, prefix: str) -> _Source:
    size = int(content.cardinality())
    if size < 0:
        what = "an endless tf.data.Dataset" if size == -1 else "a tf.data.Dataset that does not know its size"
        more = "" if size == -1 else " Where you know it, dataset.apply(tf.data.experimental.assert_cardinality(n))."
        raise RequestError(f"{prefix}received {what}, expected one that ends", hint=_RECORDER + more)
    _check_element(content.element_spec, "tf.data.Dataset", prefix)
    shapes = [tuple(spec.shape) for spec in _flat(content.element_spec) if spec.shape.rank is not None]
    return _Source("tf.data.Dataset", size, _is_batched(shapes, prefix), content.as_numpy_iterator())


def _is_batched(shapes: list[tuple[int | None, ...]], prefix: str) -> bool:
    """Whether elements are batches, as Keras's `fit` takes them, by the shapes of their arrays."""
    sizes = {shape[0] if shape else "scalar" for shape in shapes}
    if None in sizes:
        return True
    # A scalar has no rows; and a batch has as many rows of everything.
    if "scalar" in sizes or len(sizes) > 1:
        return False
    if all(len(shape) == 1 for shape in shapes):
        raise RequestError(
            f"{prefix}cannot tell whether an element of this tf.data.Dataset is a row or a batch: its arrays have the "
            f"shapes {', '.join(map(str, shapes))}",
            hint="dataset.batch(32) makes batches of rows.",
        )
    return True


def _pydataset_source(content: Any, prefix: str) -> _Source:
    kind = type(content).__name__
    number = content.num_batches
    if number is None:
        raise RequestError(f"{prefix}received {kind}, an endless keras.utils.PyDataset", hint=_RECORDER)
    return _Source(kind, int(number), True, (content[i] for i in range(int(number))))


def _check_element(element: Any, kind: str, prefix: str) -> None:
    if not isinstance(element, (tuple, list)) or len(element) not in (2, 3):
        what = f"a tuple of {len(element)}" if isinstance(element, (tuple, list)) else f"a {type(element).__name__}"
        raise RequestError(f"{prefix}received a {kind} whose elements are {what}, expected (x, y) or (x, y, weight)")


def _flat(nest: Any) -> Iterator[Any]:
    """The arrays of an element, in its own order."""
    if isinstance(nest, Mapping):
        for item in nest.values():
            yield from _flat(item)
    elif isinstance(nest, (tuple, list)):
        for item in nest:
            yield from _flat(item)
    elif nest is not None:
        yield nest


def _like(nest: Any, arrays: Iterator[NDArray[Any]]) -> Any:
    """A nest of the same structure with other arrays."""
    if isinstance(nest, Mapping):
        return {key: _like(item, arrays) for key, item in nest.items()}
    if isinstance(nest, (tuple, list)):
        return tuple(_like(item, arrays) for item in nest)
    return None if nest is None else next(arrays)


def _rows_of(array: Any, batched: bool) -> NDArray[Any]:
    """Rows from an element's array, floats as float32, so that what is read does not take twice its memory."""
    values = in_float32(np.asarray(array))
    return values if batched else values[np.newaxis]


def _make_buffers(
    arrays: list[NDArray[Any]], source: _Source, what: str, stage: Callable[[str], None]
) -> list[NDArray[Any]]:
    """Room for all rows, as the first element has them. Raises RequestError where there is not so much memory."""
    for array in arrays:
        if array.ndim == 0:
            raise RequestError(f"{what}: received a batch that is a single value, expected rows")
    needed, free = sum(array.nbytes for array in arrays) * source.elements, available_bytes()
    batches = counted(source.elements, "batch", "batches") if source.batched else counted(source.elements, "row")
    stage(f"reading {batches} of {what} into memory: {format_bytes(needed)}")
    if free is not None and needed > SHARE * free:
        raise RequestError(
            f"{what}: {batches} need {format_bytes(needed)} of memory, and {format_bytes(free)} are free",
            hint=_RECORDER,
        )
    return [np.empty((len(array) * source.elements, *array.shape[1:]), array.dtype) for array in arrays]


def _append(arrays: list[NDArray[Any]], buffers: list[NDArray[Any]], rows: int, number: int, what: str) -> int:
    """Put an element's rows after those that were read. Returns how many there are then."""
    if len(arrays) != len(buffers):
        raise RequestError(f"{what}: element {number} has {len(arrays)} arrays, and the first has {len(buffers)}")
    sizes = [len(array) for array in arrays]
    if len(set(sizes)) > 1:
        raise RequestError(f"{what}: the arrays of element {number} have {', '.join(map(str, sizes))} rows")
    end = rows + sizes[0]
    for array, buffer in zip(arrays, buffers, strict=True):
        if array.shape[1:] != buffer.shape[1:] or array.dtype != buffer.dtype:
            raise RequestError(
                f"{what}: rows of element {number} have the shape {array.shape[1:]} ({array.dtype}), and those of the "
                f"first {buffer.shape[1:]} ({buffer.dtype})",
                hint="Sequences of different lengths have to be padded to one (keras.utils.pad_sequences).",
            )
        if end > len(buffer):
            raise RequestError(f"{what}: element {number} has more rows than the first, expected batches of one size")
        buffer[rows:end] = array
    return end
