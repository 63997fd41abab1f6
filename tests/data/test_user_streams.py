"""Data sets in batches, which are read once into memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stopcli.data import user_streams
from stopcli.data.user_streams import is_stream, read_stream
from stopcli.errors import RequestError
from stopcli.recipes.user_code import load_code
from stopcli.recipes.user_data import read_parts
from stopcli.source import read_source

pytestmark = pytest.mark.usefixtures("tensorflow")

X = np.arange(300, dtype=np.float64).reshape(100, 3)
Y = np.arange(100)


def rows() -> Any:
    """A row an element."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y))


def slices(arrays: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays)


def batches(count: int = 100, growing: bool = False) -> Any:
    """A PyDataset of batches of ten rows; the last of them may be smaller, or each wider than the one before."""
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return -(-count // 10)

        def __getitem__(self, index: int) -> Any:
            chosen = slice(10 * index, min(10 * index + 10, count))
            return np.zeros((10, 3 + index)) if growing else X[chosen], Y[chosen]

    return Batches()


def ignore(text: str) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (rows, "reading 100 rows of tf.data.Dataset into memory: 2.0 kB"),
        (lambda: rows().batch(32), "reading 4 batches of tf.data.Dataset into memory: 2.6 kB"),
        (lambda: rows().batch(10, drop_remainder=True), "reading 10 batches of tf.data.Dataset into memory: 2.0 kB"),
        (batches, "reading 10 batches of Batches into memory: 2.0 kB"),
    ],
)
def test_batches_and_single_rows_are_read_in_their_order(make: Any, said: str) -> None:
    messages: list[str] = []
    content = make()
    assert is_stream(content)
    x, y = read_stream(content, "", messages.append)
    assert messages == [said]
    assert (x.dtype.name, y.dtype.name) == ("float32", "int64")
    assert (x == X).all()
    assert (y == Y).all()


def test_a_smaller_last_batch_counts_by_its_rows() -> None:
    x, y = read_stream(batches(95), "", ignore)
    assert (len(x), len(y)) == (95, 95)
    assert (x == X[:95]).all()


def test_inputs_and_outputs_that_are_nests_and_weights() -> None:
    nests = slices(({"a": X, "b": Y}, (Y, X), np.ones(100)))
    for content in (nests, nests.batch(7)):
        x, y, weight = read_stream(content, "", ignore)
        assert (x["a"] == X).all()
        assert (x["b"] == Y).all()
        assert isinstance(y, tuple)
        assert (y[1] == X).all()
        assert weight.tolist() == [1.0] * 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rows().repeat(), "received an endless tf.data.Dataset, expected one that ends"),
        (lambda: rows().batch(9).unbatch(), "received a tf.data.Dataset that does not know its size"),
        (lambda: slices((X, X)), "cannot tell whether an element of this tf.data.Dataset is a row or a batch"),
        (lambda: rows().take(0), "received an empty tf.data.Dataset"),
        (lambda: slices(X), "whose elements are a .*Tensor.*, expected"),
    ],
)
def test_what_is_endless_or_unclear_is_refused(make: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        read_stream(make(), "", ignore)
    if "endless" in message or "size" in message:
        assert "stopcli.Recorder" in caught.value.hint


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_streams, "available_bytes", lambda: 1000)
    with pytest.raises(RequestError, match=r"10 batches need 2\.0 kB of memory, and 1\.0 kB are free"):
        read_stream(batches(), "", ignore)


def test_rows_of_different_shapes_are_refused() -> None:
    with pytest.raises(RequestError, match=r"rows of element 1 have the shape \(4,\) .* first \(3,\)") as caught:
        read_stream(batches(growing=True), "", ignore)
    assert "padded" in caught.value.hint


BROKEN = """
import keras, numpy

class Rows(keras.utils.PyDataset):
    def __len__(self): return 9
    def __getitem__(self, i):
        print("batch", i)
        return numpy.ones((2, 1)) * (1 // (1 - i)), numpy.ones(2)

def data(): return Rows()
def build(x, y): ...
"""


def test_an_error_of_a_batch_shows_the_lines_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.py"
    file.write_text(BROKEN)
    code = load_code(read_source(file))
    settings = SimpleNamespace(validation="none", validation_share=None, test_share=0, data_seed=0)
    with pytest.raises(RequestError) as caught:
        read_parts(code.data({}), settings, source="rows.py, data()", executing=code.executing_data)
    assert caught.value.message.startswith(f"{file}, line 8, in __getitem__(): ZeroDivisionError: ")
    assert "numpy.ones((2, 1))" in caught.value.message
    # It must not become a part of what `--json` prints.
    assert capsys.readouterr() == ("", "batch 0\nbatch 1\n")
