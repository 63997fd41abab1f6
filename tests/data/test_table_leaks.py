"""Notes on rows in two parts and on columns that give the target away, and none where there is no reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas
import pytest
from sklearn import datasets

from stopcli.data.row_hash import row_hashes
from stopcli.data.table_columns import RawRows, TableColumns
from stopcli.data.table_file import TableFile
from stopcli.data.table_leaks import leaks

Task = Literal["regression", "classes"]


def raw(numbers: Any, target: Any, texts: Any = None) -> RawRows:
    numbers = np.asarray(numbers, np.float32).reshape(len(target), -1)
    rows = np.empty((len(target), 0), object) if texts is None else np.asarray(texts, object).reshape(len(target), -1)
    target = np.asarray(target)
    return RawRows(numbers, rows, target.astype(np.float32 if target.dtype.kind == "f" else np.int32))


def columns_of(rows: RawRows) -> TableColumns:
    assert rows.target is not None
    task: Task = "regression" if rows.target.dtype == np.float32 else "classes"
    classes = () if task == "regression" else tuple(map(str, range(int(rows.target.max()) + 1)))
    numbers = tuple(f"number {i}" for i in range(rows.numbers.shape[1]))
    return TableColumns("price", task, classes, numbers, tuple(f"word{i}" for i in range(rows.words.shape[1])), {})


def notes(rows: RawRows, part: Any = None, **options: Any) -> list[str]:
    part = np.zeros(rows.count, np.int8) if part is None else np.asarray(part, np.int8)
    columns = columns_of(rows)
    features = [*rows.numbers.T, *rows.words.T]
    frame = pandas.DataFrame({**dict(zip(columns.features, features, strict=True)), columns.target: rows.target})
    return list(leaks(rows, columns, part, row_hashes(TableFile(Path(), frame), columns), **options))


def test_rows_in_two_parts_are_counted() -> None:
    numbers = [[1, 2], [np.nan, 0.0], [1, 2], [np.nan, -0.0], [1, 2], [1, 2], [3, 4], [3, 4]]
    texts = ["a", "b", "a", "b", "c", "a", "d", "d"]
    target = [0.5, 1, 0.5, 1, 0.5, 2, 7, 7]
    part = [0, 0, 2, 2, 2, 2, 1, -1]
    # The last three that test have another word or another target; a row that is not used counts for nothing.
    expected = ["2 of 4 test rows are the same as a training row, in features and target"]
    assert notes(raw(numbers, target, texts), part) == expected
    part[0], part[1] = 1, -1
    part[2] = 0
    expected = ["1 of 2 validation rows is the same as a training row, in features and target"]
    assert notes(raw(numbers, target, texts), part) == expected
    assert notes(raw(numbers, target, texts), [0] * 8) == []
    assert notes(raw(np.empty((8, 0)), target, texts), [0, 0, 2, 1, 2, 2, 1, -1]) != []


def test_rows_in_two_parts_are_those_of_a_set() -> None:
    rng = np.random.default_rng(0)
    numbers, texts = rng.integers(0, 4, (600, 3)), rng.integers(0, 4, 600).astype(str)
    target, part = rng.integers(0, 2, 600), rng.integers(0, 3, 600)
    keys = [(*row, text, label) for row, text, label in zip(numbers.tolist(), texts, target, strict=True)]
    train = {key for key, of in zip(keys, part, strict=True) if of == 0}
    same = [sum(of == number and key in train for key, of in zip(keys, part, strict=True)) for number in (2, 1)]
    sizes = [int((part == number).sum()) for number in (2, 1)]
    expected = [
        f"{same[0]} of {sizes[0]} test rows are the same as a training row, in features and target",
        f"{same[1]} of {sizes[1]} validation rows are the same as a training row, in features and target",
    ]
    assert notes(raw(numbers, target, texts), part) == expected


@pytest.mark.parametrize(
    ("kind", "measure"), [("regression", "R²"), ("two classes", "AUC"), ("classes", "balanced accuracy")]
)
def test_columns_that_give_the_target_away_are_named(kind: str, measure: str) -> None:
    rng = np.random.default_rng(0)
    price = rng.uniform(0.1, 3, 400)
    target = price if kind == "regression" else np.digitize(price, [1.0] if kind == "two classes" else [0.5, 1, 2])
    numbers = rng.normal(size=(400, 5))
    # Another currency, in order, hidden in part, among chance.
    numbers[:, 1], numbers[:, 2] = -1.1 * target + 3, np.exp(target / 2)
    numbers[:, 3] = np.where(rng.random(400) < 0.8, np.nan, target)
    texts = np.array([f"about {round(float(value) * 10)}" for value in target], object)
    texts = np.stack([texts, rng.choice(["a", "b"], 400), [f"id {row}" for row in range(400)]], axis=1)
    part = rng.choice([0, 2], 400, p=[0.9, 0.1])
    found = notes(raw(numbers, target, texts), part)
    names = {note.split(" alone gives the target away: ")[0] for note in found}
    assert names == {"'number 1'", "'number 2'", "'number 3'", "'word0'"}
    rows = int((part == 0).sum())
    first = next(note for note in found if note.startswith("'number 1'"))
    question = "is it known when one predicts? --ignore 'number 1' leaves it out"
    assert first == f"'number 1' alone gives the target away: {measure} 1.0000 on {rows} training rows; {question}"
    assert any(note.endswith("--ignore word0 leaves it out") for note in found)
    # What tests tells nothing, and another seed draws no rows where there are few.
    only_test = np.where(np.arange(400) < 10, 0, 2)
    assert notes(raw(numbers, target, texts), only_test) == []
    assert notes(raw(numbers, target, texts), part, seed=5) == found


def test_that_a_value_is_missing_can_give_the_class_away() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 200)
    found = notes(raw(np.where(target == 1, np.nan, rng.normal(size=200)), target))
    assert [note.split(":")[0] for note in found] == ["'number 0' alone gives the target away"]
    assert notes(raw(np.where(rng.random(200) < 0.5, np.nan, rng.normal(size=200)), target)) == []


def test_a_rare_class_and_few_rows_are_no_reason() -> None:
    numbers = np.arange(300.0)
    assert notes(raw(numbers, (numbers >= 297).astype(int))) == []
    assert len(notes(raw(numbers, (numbers >= 290).astype(int)))) == 1
    assert notes(raw(numbers[:12], (numbers[:12] >= 6).astype(int))) == []
    assert notes(raw(numbers[:12], numbers[:12])) == []


def test_of_many_columns_the_first_are_named_and_the_rest_counted() -> None:
    target = np.random.default_rng(0).normal(size=50)
    found = notes(raw(np.repeat(target[:, None], 13, axis=1), target))
    assert len(found) == 11
    assert found[-1] == "3 more columns give the target away, each of them alone"


def test_of_many_rows_some_are_drawn_by_the_seed() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=130_000)
    # A few rows are far off, of which each draw has others.
    rows = raw(target + 2 * (rng.random(130_000) < 0.0015), target)
    (first,), (again,), (other,) = (notes(rows, seed=seed) for seed in (0, 0, 1))
    assert "on 20,000 training rows" in first
    assert first == again != other


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer", "wine", "iris", "digits"])
def test_data_sets_without_leaks_have_no_notes(name: str) -> None:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    assert notes(raw(x, y)) == []
