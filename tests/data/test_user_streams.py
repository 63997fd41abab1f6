"""Data sets in batches, which are read once into memory."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from stopcli.data import user_streams
from stopcli.data.user_streams import is_stream, read_stream
from stopcli.errors import RequestError

X = np.arange(300, dtype=np.float64).reshape(100, 3)
Y = np.arange(100)
ROWS = tf.data.Dataset.from_tensor_slices((X, Y))
# A row of it is (3,) and (3,): what three rows of a number each would be, too.
ALIKE = tf.data.Dataset.from_tensor_slices((X, X))
NESTS = tf.data.Dataset.from_tensor_slices(({"a": X, "b": Y}, (Y, X), np.ones(100)))


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of ten rows; the last of them may be smaller."""

    def __init__(self, rows: int = 100) -> None:
        super().__init__()
        self._rows = rows

    def __len__(self) -> int:
        return -(-self._rows // 10)

    def __getitem__(self, index: int) -> Any:
        rows = slice(10 * index, min(10 * index + 10, self._rows))
        return X[rows], Y[rows]


def ignore(text: str) -> None:
    pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ROWS, "reading 100 rows of tf.data.Dataset into memory: 2.0 kB"),
        (ROWS.batch(32), "reading 4 batches of tf.data.Dataset into memory: 2.6 kB"),
        (ROWS.batch(10, drop_remainder=True), "reading 10 batches of tf.data.Dataset into memory: 2.0 kB"),
        (Batches(), "reading 10 batches of Batches into memory: 2.0 kB"),
    ],
)
def test_batches_and_single_rows_are_read_in_their_order(content: Any, said: str) -> None:
    messages: list[str] = []
    assert is_stream(content)
    x, y = read_stream(content, "", messages.append)
    assert messages == [said]
    assert (x.dtype.name, y.dtype.name) == ("float32", "int64")
    assert (x == X).all()
    assert (y == Y).all()


def test_a_smaller_last_batch_counts_by_its_rows() -> None:
    x, y = read_stream(Batches(95), "", ignore)
    assert (len(x), len(y)) == (95, 95)
    assert (x == X[:95]).all()


def test_inputs_and_outputs_that_are_nests_and_weights() -> None:
    for content in (NESTS, NESTS.batch(7)):
        x, y, weight = read_stream(content, "", ignore)
        assert (x["a"] == X).all()
        assert (x["b"] == Y).all()
        assert isinstance(y, tuple)
        assert (y[1] == X).all()
        assert weight.tolist() == [1.0] * 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROWS.repeat(), "received an endless tf.data.Dataset, expected one that ends"),
        (ROWS.flat_map(lambda *_: ROWS), "received a tf.data.Dataset that does not know its size"),
        (ALIKE, "cannot tell whether an element of this tf.data.Dataset is a row or a batch"),
        (ROWS.take(0), "received an empty tf.data.Dataset"),
        (tf.data.Dataset.from_tensor_slices(X), "whose elements are a .*Tensor.*, expected"),
    ],
)
def test_what_is_endless_or_unclear_is_refused(content: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        read_stream(content, "", ignore)
    if "endless" in message or "size" in message:
        assert "stopcli.Recorder" in caught.value.hint


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_streams, "available_bytes", lambda: 1000)
    with pytest.raises(RequestError, match=r"10 batches need 2\.0 kB of memory, and 1\.0 kB are free"):
        read_stream(Batches(), "", ignore)


def test_rows_of_different_shapes_are_refused() -> None:
    class Growing(Batches):
        def __getitem__(self, index: int) -> Any:
            return np.zeros((10, 3 + index)), Y[:10]

    with pytest.raises(RequestError, match=r"rows of element 1 have the shape \(4,\) .* first \(3,\)") as caught:
        read_stream(Growing(), "", ignore)
    assert "padded" in caught.value.hint
