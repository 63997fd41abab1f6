"""Views of rows behave as the arrays that they stand for, and copy none of them until they are read."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from stopcli.data import row_view
from stopcli.data.dataset import Examples
from stopcli.data.row_view import CHUNK_BYTES, RowView, large_view

BASE = np.arange(60, dtype=np.float64).reshape(20, 3)
NUMBERS = np.array([4, 17, 0, 4, 9], np.int32)
VIEWS = [
    (RowView(BASE, slice(None)), BASE),
    (RowView(BASE, slice(5, 15)), BASE[5:15]),
    (RowView(BASE, NUMBERS, np.float32), BASE[NUMBERS].astype(np.float32)),
]


@pytest.mark.parametrize(("view", "array"), VIEWS)
def test_a_view_is_read_as_its_array_is(view: RowView, array: np.ndarray[Any, Any]) -> None:
    assert (view.shape, view.ndim, view.dtype, len(view)) == (array.shape, array.ndim, array.dtype, len(array))
    assert (view.size, view.nbytes) == (array.size, array.nbytes)
    keys: list[Any] = [slice(1, 4), slice(None, None, 2), slice(-2, None), [3, 0, -1], array[:, 0] > 20, 2, -1]
    keys += [(slice(1, 4), 0), (slice(None), slice(1, 3)), (2, 1), (slice(None), [2, 0])]
    keys += [(slice(None), None), ([3, 0, -1], 1), (array[:, 0] > 20, slice(0, 2))]
    for key in keys:
        assert np.array_equal(np.asarray(view[key]), array[key]), key
        assert np.asarray(view[key]).dtype == array.dtype
    # Beyond the last are rows of another part.
    for key in (len(array), [0, len(array)], np.array([-len(array) - 1]), np.ones(len(array) + 1, bool)):
        with pytest.raises(IndexError):
            array[key]
        with pytest.raises(IndexError):
            view[key]
    assert np.array_equal(np.asarray(view), array)
    assert np.array_equal(list(view), list(array))


def test_arithmetic_and_methods_are_those_of_the_array() -> None:
    view, array = VIEWS[2]
    assert np.array_equal(view - array, np.zeros_like(array))
    assert np.array_equal(1 + view, 1 + array)
    assert np.array_equal(np.sqrt(view), np.sqrt(array))
    assert view.mean() == array.mean()
    assert np.array_equal(view.reshape(-1), array.reshape(-1))
    with pytest.raises(AttributeError, match="no attribute colour"):
        view.colour  # noqa: B018


@pytest.mark.parametrize(("view", "array"), VIEWS)
def test_rows_are_gathered_into_a_buffer(view: RowView, array: np.ndarray[Any, Any]) -> None:
    buffer = np.empty((3, 3), view.dtype)
    view.gather(np.array([2, 0, 2]), buffer)
    assert np.array_equal(buffer, array[[2, 0, 2]])


@pytest.mark.parametrize("order", ["C", "F"])
def test_gathering_takes_no_memory_of_the_size_of_the_array(order: Any) -> None:
    base = np.ones((100_000, 4), np.float32, order=order)
    view, buffer = RowView(base, np.arange(100_000, dtype=np.int32)), np.empty((10, 4), np.float32)
    tracemalloc.start()
    view.gather(np.arange(10), buffer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (buffer == 1).all()
    assert peak < base.nbytes / 20


def test_views_of_views_copy_no_row() -> None:
    rows = Examples(RowView(BASE, slice(None)), np.arange(20))
    part = rows.at(np.array([7, 3, 11])).take(1, 3)
    assert isinstance(part.x, RowView)
    assert part.x.base is BASE
    assert np.array_equal(np.asarray(part.x), BASE[[3, 11]])
    assert part.y.tolist() == [3, 11]
    # So little that whoever indexes it has an ordinary array.
    assert isinstance(part.x[:1], np.ndarray)
    large = RowView(np.broadcast_to(np.float32(1), (CHUNK_BYTES, 2)), slice(None))
    for more in (large[1:], large[:, 1]):
        assert isinstance(more, RowView)
        assert np.shares_memory(more.base, large.base)


def test_only_what_is_a_good_part_of_large_data_becomes_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    assert large_view(BASE, BASE.nbytes) is BASE
    monkeypatch.setattr(row_view, "LARGE_BYTES", 100)
    assert isinstance(large_view(BASE, BASE.nbytes), RowView)
    assert large_view(BASE, 17 * BASE.nbytes) is BASE
    assert large_view(BASE, 17 * BASE.nbytes, np.dtype(np.float32)).dtype == np.float32
