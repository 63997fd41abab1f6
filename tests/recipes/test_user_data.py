"""From what a user's `data()` returned to rows that train, validate and test."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stopcli.data import row_view
from stopcli.data.dataset import Examples
from stopcli.errors import ConfigError, RequestError
from stopcli.recipes import user_data
from stopcli.recipes.user_data import UserRows, read_parts

X = np.arange(300, dtype=np.float32).reshape(100, 3)
Y = np.arange(100, dtype=np.float32)


def read(content: object, **settings: object) -> UserRows:
    defaults = {"validation": "auto", "validation_share": None, "test_share": None, "data_seed": 0}
    return read_parts(content, SimpleNamespace(**(defaults | settings)))


def rows_of(part: Examples) -> list[float]:
    """The rows by their numbers, and that inputs and targets belong together."""
    assert (part.x[:, 0] == 3 * part.y).all()
    numbers: list[float] = part.y.tolist()
    return numbers


def test_by_default_a_fifth_tests_and_a_fifth_of_the_rest_validates() -> None:
    rows = read((X, Y))
    parts = [rows_of(part) for part in (rows.parts.train, rows.parts.validation, rows.parts.test)]
    assert list(map(len, parts)) == [64, 16, 20]
    assert sorted(parts[0] + parts[1] + parts[2]) == Y.tolist()
    assert all(part == sorted(part) for part in parts)
    assert parts[2] != Y[-20:].tolist()
    assert rows.config_changes == {"validation": "split"}
    assert rows.description[0] == "100 rows: 64 train, 16 validate, 20 test (drawn at random by data seed 0)"
    assert rows.description[1] == "a row has x float32 [3], y float32; 1.6 kB in memory"
    assert rows.notes == ()


def test_which_rows_depends_on_the_data_seed_and_those_that_test_on_no_other_setting() -> None:
    first, second = read((X, Y)), read((X, Y))
    assert rows_of(first.parts.train) == rows_of(second.parts.train)
    assert rows_of(first.parts.test) != rows_of(read((X, Y), data_seed=1).parts.test)
    for settings in ({"validation": "none"}, {"validation_share": 0.5}, {"validation": "test"}):
        assert rows_of(read((X, Y), **settings).parts.test) == rows_of(first.parts.test)


def test_every_part_knows_which_rows_it_has() -> None:
    """So that a row of a report is found again in what `data()` returned."""
    for validation in ("split", "last", "none"):
        parts = read((X, Y), validation=validation).parts
        for name in ("validation", "test"):
            assert parts.numbers[name].tolist() == rows_of(getattr(parts, name)), (validation, name)
    parts = read({"train": (X, Y), "test": (X[:40] + 900, Y[:40])}).parts
    assert parts.numbers["train"].tolist() == rows_of(parts.train)
    assert "test" not in parts.numbers


def test_the_last_rows_as_keras_takes_them() -> None:
    parts = read((X, Y), validation="last", validation_share=0.3, test_share=0.0).parts
    assert rows_of(parts.train) == Y[:70].tolist()
    assert rows_of(parts.validation) == Y[70:].tolist()
    assert parts.test.count == 0
    parts = read((X, Y), validation="last").parts
    assert (rows_of(parts.validation), rows_of(parts.test)) == (Y[64:80].tolist(), Y[80:].tolist())


def test_test_rows_may_validate_and_no_row_need_to() -> None:
    rows = read((X, Y), validation="test")
    assert rows.parts.validation is rows.parts.test
    assert rows.description[0].startswith("100 rows: 80 train, 20 validate and test")
    parts = read((X, Y), validation="none", test_share=0).parts
    assert (parts.train.count, parts.validation.count, parts.test.count) == (100, 0, 0)
    assert parts.evaluated() == {}


def test_parts_of_the_file_are_taken_as_they_are() -> None:
    rows = read({"train": (X, Y), "validation": (X[:30] + 900, Y[:30]), "test": (X[:40] + 1800, Y[:40])})
    assert (rows.parts.train.x == X).all()
    assert (rows.parts.validation.x == X[:30] + 900).all()
    assert (rows.parts.test.x == X[:40] + 1800).all()
    assert rows.config_changes == {}
    assert rows.description[0] == "170 rows: 100 train, 30 validate, 40 test, as data() parts them"


def test_without_rows_that_validate_some_of_those_that_train_are_set_aside() -> None:
    content = {"train": (X, Y), "test": (X[:40] + 900, Y[:40])}
    rows = read(content)
    assert (rows.parts.train.count, rows.parts.validation.count, rows.parts.test.count) == (80, 20, 40)
    assert rows_of(read(content, validation="last").parts.validation) == Y[80:].tolist()
    assert read(content, validation="test").parts.validation.count == 40
    assert read({"train": (X, Y)}).parts.test.count == 0


def test_nests_weights_and_what_becomes_an_array() -> None:
    table = pd.DataFrame({"rooms": [1.0, 2.0, 3.0, 4.0], "area": [5, 6, 7, 8]})
    ids, flags = np.arange(4), [True, False, True, True]
    x = {"table": table, "ids": ids, "image": np.zeros((4, 2, 2, 3), np.uint8)}
    rows = read((x, (table["area"], flags), [1, 2, 3, 4]), validation="none", test_share=0)
    train = rows.parts.train
    assert {name: array.dtype.name for name, array in train.x.items()} == {
        "table": "float32",
        "ids": "int64",
        "image": "uint8",
    }
    assert [array.dtype.name for array in train.y] == ["int64", "bool"]
    assert train.weight is not None
    assert (train.weight.dtype.name, train.weight.tolist()) == ("float32", [1, 2, 3, 4])
    assert rows.columns == {"x[table]": ("rooms", "area")}
    assert "x[table]: float64 became float32, in which Keras computes" in rows.description


def test_rows_that_are_in_two_parts_and_classes_that_none_trains_are_noted() -> None:
    y = np.arange(100) % 3
    rows = read({"train": (X[:60], y[:60]), "test": (X[60:], [7] * 5 + [0] * 35)})
    assert rows.notes == ("no training row has a target that test rows have: 7",)
    twice = read({"train": (X, Y), "test": (X[:25], np.where(Y[:25] < 5, Y[:25], -1))}, validation="none")
    assert twice.notes == ("5 of 25 test rows are the same as a training row, in inputs and targets",)


def test_few_rows_that_test_are_noted() -> None:
    assert read((X[:40], Y[:40])).notes == ("8 rows test, so the result says little; use more rows",)


def broken(value: float, row: int = 17, column: int = 2) -> Any:
    x = X.astype(np.float64)
    x[row, column] = value
    return x


def generator() -> Any:
    yield from ()


class _Sparse:
    """What scipy.sparse matrices have."""

    nnz = 0

    def toarray(self) -> None: ...


REFUSALS: list[tuple[Any, str]] = [
    (None, r"received None, expected \(x, y\), \(x, y, weight\), or a dict"),
    (X, r"received a ndarray of the shape \(100, 3\), expected"),
    ((X, X, Y, Y), r"received a tuple of 4, expected"),
    ({"train": (X, Y), "val": (X, Y)}, r"a dict with the key 'val'"),
    ({"user": X}, r"a dict with the key 'user'"),
    ({"test": (X, Y)}, r"a dict without train"),
    ((X, Y[:5]), r"x has 100 rows and y has 5, expected as many of all"),
    (({"a": X, "b": X[:7]}, Y), r"x\[a\] has 100 rows and x\[b\] has 7"),
    (((X, Y), (X[:50], Y[:50])), r"x\[0\] has 100 rows and y\[0\] has 50"),
    ((X[:0], Y[:0]), r"x: received no rows"),
    ((np.zeros((4, 0)), Y[:4]), r"x: received the shape \(4, 0\), in which a row has no values"),
    ((broken(np.nan), Y), r"x: 1 value is NaN or infinite; the first, nan, in row 17, column 2$"),
    ((broken(-np.inf), Y), r"the first, -inf, in row 17, column 2$"),
    ((broken(1e300), Y), r"the first, 1e\+300 \(more than float32 holds\), in row 17, column 2$"),
    ((pd.DataFrame(broken(np.nan), columns=["a", "b", "c"]), Y), r"in row 17, column 2 \(c\)$"),
    ((X, broken(np.nan)[:, 2]), r"y: 1 value is NaN or infinite; the first, nan, in row 17$"),
    ((broken(np.nan).reshape(100, 3, 1), Y), r"in row 17, at \[2, 0\] in it$"),
    (
        {"train": (X, Y), "test": (broken(np.nan), Y)},
        r"test: x: 1 value is NaN or infinite",
    ),
    ((X, None), r"y: received None"),
    ((3, Y), r"x: received a single value, 3"),
    ((X, (1.0, 2.0)), r"y\[0\]: received a single value, 1.0"),
    ((generator(), Y), r"x: received a generator, which gives its values once"),
    (generator(), r"received a generator, expected"),
    (([[1, 2], [3]], [1, 2]), r"x: received a list of 2 whose items have different lengths"),
    (([X, X[:, :2]], Y), r"x: received a list of 2 whose items have different lengths or shapes"),
    ((_Sparse(), Y), r"x: received a sparse matrix \(_Sparse\), expected a dense array"),
    (({}, Y), r"x: received an empty dict"),
    (({1: X}, Y), r"x: received the key 1, expected names"),
    (({"a": {"b": X}}, Y), r"x\[a\]: received a dict inside another"),
    ((np.array(["p", "q"]), [1, 2]), r"x: received an array of texts \(dtype <U1\); the first is 'p'"),
    ((np.array([{}, 2]), [1, 2]), r"x: received an array of objects"),
    ((np.array([1j, 2]), [1, 2]), r"x: received an array of complex numbers"),
    ((np.array(["2024-01-01"], "M8[D]"), [1]), r"x: received an array of dates"),
    ((pd.DataFrame({"a": [1], "b": ["p"]}), [1]), r"x: received a table whose columns are not all plain numbers: b \("),
    ((np.ma.masked_less(X, 5), Y), r"x: received an array with masked values"),
    ((object(), Y), r"x: received <object object at .*>, a object, expected an array"),
    ((X, Y, -Y), r"weight: received -1 in row 1, expected ≥ 0"),
    ((X, Y, Y[:5]), r"x has 100 rows and weight has 5"),
    ((X, Y, X), r"weight: received the shape \(100, 3\), expected \[rows\]"),
    ((X, Y, 0 * Y), r"weight: received 0 for every row"),
    ((X, Y, broken(np.nan)[:, 2]), r"weight: 1 value is NaN"),
    ({"train": (X, Y), "test": (X[:, :2], Y)}, r"test: a row of x has the shape \(2,\), expected \(3,\)"),
    ({"train": (X, Y), "test": ({"a": X}, Y)}, r"test: x is a dict of a, expected an array"),
    ({"train": ((X, X), Y), "test": ((X,), Y)}, r"test: x is a tuple of 1, expected a tuple of 2"),
    ({"train": (X, Y.astype(int)), "test": (X, Y)}, r"test: y has the dtype float32, expected int64"),
    (
        {"train": (pd.DataFrame(X, columns=["a", "b", "c"]), Y), "test": (pd.DataFrame(X, columns=["a", "c", "b"]), Y)},
        r"test: column 2 of x is 'c', expected 'b', as in the training rows",
    ),
    (
        {"train": (X.astype(np.int8), Y), "test": (np.full((9, 3), 200), Y[:9])},
        r"test: x has the value 200, expected -128 to 127, the range of int8 in the training rows",
    ),
    ((X[:2], Y[:2]), r"received 2 rows, expected at least 3, one for each part"),
    ({"train": (X[:1], Y[:1])}, r"train: received 1 row, expected 2 or more"),
]


@pytest.mark.parametrize(("content", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_what_cannot_be_trained_on_is_refused_in_a_sentence(content: object, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(content)
    assert re.search(message, caught.value.message)
    assert caught.value.message.startswith("data(): ")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (((X, Y), (X[:50], Y[:50])), "return {'train': (x, y), 'test': (x, y)}"),
        ({"train": (X, Y), "valid": (X, Y)}, "Did you mean validation?"),
        ((X, X, Y, Y), "return {'train': (x_train, y_train), 'test': (x_test, y_test)}"),
        (([X, X], Y), "Several inputs or outputs are a tuple or a dict, not a list."),
        ((generator(), Y), "stopcli.Recorder"),
    ],
)
def test_a_refusal_says_what_helps(content: object, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(content)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ((X, Y), {"validation": "test", "test_share": 0}, "validation: received 'test', expected split, last or none"),
        ({"train": (X, Y), "test": (X, Y)}, {"test_share": 0.5}, "test_share: received 0.5, expected none"),
        ({"train": (X, Y), "validation": (X, Y)}, {"validation": "last"}, "validation: received 'last', expected auto"),
        ({"train": (X, Y), "validation": (X, Y)}, {"validation_share": 0.5}, "validation_share: received 0.5"),
        ({"train": (X, Y)}, {"validation": "test"}, "validation: received 'test', expected auto, split, last or none"),
    ],
)
def test_settings_that_contradict_the_parts_are_refused(content: object, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        read(content, **settings)


def test_a_file_that_is_mapped_into_memory_is_not_read_at_once(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    train = read((mapped, Y), validation="none", test_share=0).parts.train
    assert np.shares_memory(train.x, mapped)


@pytest.mark.parametrize("validation", ["split", "last"])
def test_large_data_are_parted_without_copies(monkeypatch: pytest.MonkeyPatch, validation: str) -> None:
    x, weight = X.astype(np.float64), 1 + Y
    small = read((x, Y, weight), validation=validation)
    monkeypatch.setattr(row_view, "LARGE_BYTES", 1000)
    large = read((x, Y, weight), validation=validation)
    for part in ("train", "validation", "test"):
        expected, rows = getattr(small.parts, part), getattr(large.parts, part)
        assert isinstance(rows.x, row_view.RowView)
        assert rows.x.base is x
        assert rows.x.dtype == np.float32
        assert np.array_equal(np.asarray(rows.x), expected.x)
        assert np.array_equal(np.asarray(rows.y), expected.y)
        assert np.array_equal(rows.weight, expected.weight)
    assert large.parts.train.is_large
    assert not small.parts.train.is_large
    assert (large.notes, large.description) == (small.notes, small.description)


def test_processes_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.zeros((1_000_000, 20), np.float32)
    parts = read((x, x[:, 0]), validation="last").parts
    monkeypatch.setattr(user_data, "available_bytes", lambda: 5e9)
    user_data.check_processes_fit(parts, 3)
    with pytest.raises(
        RequestError, match=r"4 runs at a time, .*\(84 MB\), need about 4\.6 GB .* 5\.0 GB are free"
    ) as caught:
        user_data.check_processes_fit(parts, 4)
    assert caught.value.hint == "--jobs 3 fits."
    monkeypatch.setattr(user_data, "available_bytes", lambda: 1e9)
    with pytest.raises(RequestError) as caught:
        user_data.check_processes_fit(parts, 2)
    assert caught.value.hint == "--executor in-process trains one after the other."
