"""A row is known again by its hash, whatever became of the table around it; and by nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pytest

from stopcli.data.row_hash import row_hashes
from stopcli.errors import RequestError

TEXT = """id,rooms,area,town,sold,garden,price
1001,3,54.5,Ghent,2024-05-01,True,210.5
1002,,61,"",2024-05-02,False,230
1003,4,0,Bruges,2024-05-03,True,
1004,2,47.25,7,2024-05-04,True,180
"""
COLUMNS: Any = SimpleNamespace(numbers=("rooms", "area"), words=("town", "garden"), target="price")
KEY = ("id", "sold")
PINNED = [18286392218642886252, 15006781675294768799, 16813131247450365890, 9706318362273248869]


def hashes(frame: pandas.DataFrame, columns: Any = COLUMNS, key: tuple[str, ...] = KEY) -> list[int]:
    table: Any = SimpleNamespace(frame=frame.reset_index(drop=True), path=Path("houses.csv"))
    return row_hashes(table, columns, key).tolist()


def read(text: str = TEXT, **options: Any) -> pandas.DataFrame:
    return pandas.read_csv(io.StringIO(text), **options)


def test_hashes_stay_what_they_are() -> None:
    """Those in the folders of runs are compared with these."""
    assert hashes(read()) == PINNED


# The same rows, as other dtypes.
SAME: dict[str, Callable[[pandas.DataFrame], pandas.DataFrame]] = {
    "columns in another order, and more of them": lambda frame: frame[frame.columns[::-1]].assign(note="x"),
    "whole numbers as floats": lambda frame: frame.astype({"id": float}),
    "whole numbers that may be missing": lambda frame: frame.astype({"rooms": "Int64", "id": "Int64"}),
    "float32": lambda frame: frame.astype({"area": "float32", "price": "float32"}),
    "a rounding error": lambda frame: frame.assign(price=(frame["price"] / 10) * 10.000000000000002),
    "minus zero": lambda frame: frame.assign(area=frame["area"].replace(0, -0.0)),
    "texts of numbers": lambda frame: frame.assign(id=frame["id"].map(str).astype(object)),
    "objects": lambda frame: frame.astype(object),
    "None for a missing value": lambda frame: frame.astype(object).where(frame.notna(), None),
    "categories": lambda frame: frame.astype({"town": "category", "garden": "category"}),
    "bools as numbers": lambda frame: frame.astype({"garden": float}),
    "bools as texts": lambda frame: frame.assign(garden=frame["garden"].map(str).str.upper()),
    "dates": lambda frame: frame.assign(sold=pandas.to_datetime(frame["sold"])),
    "dates with their time": lambda frame: frame.assign(sold=frame["sold"] + " 00:00:00"),
    "no missing texts, but empty ones": lambda frame: frame.assign(town=frame["town"].astype(object).fillna("")),
    "written and read": lambda frame: pandas.read_csv(io.StringIO(frame.to_csv(index=False))),
    "texts of another kind": lambda frame: frame.astype({"town": "string", "sold": "string"}),
}


@pytest.mark.parametrize("change", SAME)
def test_a_row_is_known_again_as_another_dtype(change: str) -> None:
    assert hashes(SAME[change](read())) == hashes(read())


def test_each_row_has_its_own_hash_in_any_order() -> None:
    frame, order = read(), [2, 0, 3, 1]
    assert len(set(hashes(frame))) == 4
    assert hashes(frame.iloc[order]) == [hashes(frame)[i] for i in order]
    # Without those that make whole columns floats and objects.
    assert hashes(frame.iloc[[0, 3]].convert_dtypes()) == [hashes(frame)[i] for i in (0, 3)]


@pytest.mark.parametrize("column", ["rooms", "area", "town", "garden", "price", "id", "sold"])
def test_every_column_counts(column: str) -> None:
    frame = read().astype(object)
    for row in range(len(frame)):
        changed = frame.copy()
        changed.loc[row, column] = "another" if column in ("town", "sold") else 98765.5
        assert [hashes(changed)[i] == hashes(frame)[i] for i in range(4)] == [i != row for i in range(4)]


def test_values_do_not_change_places() -> None:
    frame = read()
    changed = frame.rename(columns={"rooms": "area", "area": "rooms"})
    assert not set(hashes(frame)) & set(hashes(changed))
    # A value of none, and that of nothing.
    zeros = frame.fillna({"rooms": 0, "price": 0})
    assert [one == other for one, other in zip(hashes(zeros), hashes(frame), strict=True)] == [True, False, False, True]


def test_the_key_counts_only_where_it_is_given() -> None:
    frame = read().assign(id=5)
    assert hashes(frame, key=()) == hashes(read(), key=())
    assert hashes(frame) != hashes(read())


def test_whole_numbers_of_many_digits_are_not_rounded() -> None:
    first = 20_000_000_000_000
    frame = pandas.DataFrame({"id": np.arange(first, first + 1000), "x": 1.0, "y": 2.0})
    columns = SimpleNamespace(numbers=("x",), words=(), target="y")
    assert len(set(hashes(frame, columns, ("id",)))) == 1000
    assert hashes(frame.astype({"id": float}), columns, ("id",)) == hashes(frame, columns, ("id",))


def test_round_numbers_and_like_texts_do_not_collide() -> None:
    a, b, c = (grid.ravel() for grid in np.meshgrid(np.arange(64.0), np.arange(64) / 4, np.arange(64) * 1024.0))
    frame = pandas.DataFrame({"a": a, "b": b, "c": c})
    assert len(set(hashes(frame, SimpleNamespace(numbers=("a", "b"), words=(), target="c"), ()))) == 64**3
    texts = [letter * length for letter in "aé\N{GRINNING FACE}" for length in range(1, 80)]
    frame = pandas.DataFrame({"a": texts, "b": 1.0})
    assert len(set(hashes(frame, SimpleNamespace(numbers=(), words=("a",), target="b"), ()))) == len(texts)


def test_a_table_without_a_column_is_refused() -> None:
    frame = read().rename(columns={"town": "towns"})
    with pytest.raises(RequestError, match=r"houses.csv: has no column 'town', by which its rows are known") as refused:
        hashes(frame)
    assert refused.value.hint == "Did you mean towns?"


def test_no_rows_have_no_hashes() -> None:
    assert hashes(read().iloc[:0]) == []
