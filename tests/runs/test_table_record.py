"""table.json and rows.npz are read as they were written, or refused; and which rows a run knows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import RequestError
from stopcli.runs.table_record import (
    PARTS,
    KnownRows,
    TableRecord,
    read_known_rows,
    read_table_record,
    write_known_rows,
    write_table_record,
)

RECORD = TableRecord(
    path="/data/houses.csv",
    target="price",
    task="regression",
    numbers=("rooms", "area"),
    words=("town",),
    unused={"id": "the split goes by it"},
    key=("id",),
    split="hash:id",
    counts={"train": 70, "validation": 10, "test": 20},
    statistics={"means": [3.5, 60.0], "vocabularies": {"town": ["Bruges", "Ghent"]}},
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_table_record(tmp_path) is None
    write_table_record(tmp_path, RECORD)
    read = read_table_record(tmp_path)
    assert read is not None
    # Of statistics, which are read as JSON has them.
    assert replace(read, statistics={}) == replace(RECORD, statistics={})
    assert read.statistics == RECORD.statistics
    assert read.features == ("rooms", "area", "town")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": None}, "target: received None, expected text"),
        ({"task": "ranking"}, "task: received 'ranking', expected one of regression, classes"),
        ({"numbers": "rooms"}, "numbers: received 'rooms', expected a list"),
        ({"numbers": [], "words": []}, "received no features, expected numbers or words"),
        ({"words": ["rooms"]}, "received the column 'rooms' twice, expected different ones"),
        ({"task": "classes", "classes": ["a"]}, "received 1 classes, expected two or more for the task classes"),
        ({"counts": {"train": -1}}, "counts.train: received -1, expected a whole number ≥ 0"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps({**json.loads(RECORD.text()), **change}))
    with pytest.raises(RequestError) as refused:
        read_table_record(tmp_path)
    assert str(refused.value) == f"{path}: damaged ({message})"


def known(rows: list[tuple[int, int]]) -> KnownRows:
    return KnownRows.of(np.array([row for row, _ in rows], np.uint64), np.array([part for _, part in rows], np.int8))


# Few values, so that many rows are the same; and those at the ends of what an index can find.
HASHES = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1])
ROWS = st.lists(st.tuples(HASHES, st.integers(0, 2)), max_size=12)


@given(ROWS, ROWS, st.lists(HASHES, max_size=12))
def test_rows_are_known_as_sets_say(own: list[tuple[int, int]], earlier: list[tuple[int, int]], new: list[int]) -> None:
    rows = known(own).after(known(earlier))
    hashes = np.array(new, np.uint64)
    assert rows.hashes.tolist() == sorted({row for row, _ in own + earlier})
    expected = [sum(1 << part for part in range(3) if (row, part) in own + earlier) for row in new]
    assert rows.parts_of(hashes).tolist() == expected
    for part, name in enumerate(PARTS):
        selected = rows.is_in(name, hashes)
        assert selected.shape == hashes.shape
        for row in set(new):
            of_row = selected[hashes == row]
            assert of_row.sum() == min(len(of_row), own.count((row, part)))
            # The first of those that are the same.
            assert not np.diff(of_row.astype(int)).max(initial=0) > 0


def test_the_whole_table_has_just_the_rows_of_each_part() -> None:
    generator = np.random.default_rng(0)
    hashes, part = generator.integers(0, 500, 1000).astype(np.uint64), generator.integers(0, 3, 1000)
    rows = KnownRows.of(hashes, part)
    order = generator.permutation(1000)
    for i, name in enumerate(PARTS):
        selected = rows.is_in(name, hashes[order])
        assert sorted(hashes[order][selected]) == sorted(hashes[part == i])


def test_known_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = known([(5, 0), (3, 2), (3, 0), (2**64 - 1, 1)])
    write_known_rows(tmp_path, rows)
    read = read_known_rows(tmp_path)
    for name in ("hashes", "parts", "counts"):
        expected = getattr(rows, name)
        assert getattr(read, name).dtype == expected.dtype
        assert getattr(read, name).tolist() == expected.tolist()
    assert rows.to_bytes() == rows.to_bytes() == (tmp_path / "rows.npz").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npz"]


def test_damaged_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    with pytest.raises(RequestError, match=r"rows\.npz: missing, so it is not known which rows the run has seen"):
        read_known_rows(tmp_path)
    rows = known([(number, number % 3) for number in range(100)])
    content = rows.to_bytes()
    for damaged in (b"", content[:200], content[:-40], content[:300] + b"\0" * 50 + content[350:], b"PK" * 100):
        path.write_bytes(damaged)
        with pytest.raises(RequestError, match=r"rows\.npz: damaged \("):
            read_known_rows(tmp_path)
    for change, message in (
        ({"hashes": rows.hashes[::-1]}, "hashes: expected them sorted, each once"),
        ({"hashes": rows.hashes.astype(object)}, "Object arrays cannot be loaded"),
        ({"parts": rows.parts[1:]}, r"parts: received uint8 \(99,\), expected uint8 \(100,\)"),
        ({"counts": rows.counts[0]}, r"counts: received uint32 \(3,\), expected uint32 \(100, 3\)"),
        ({"hashes": np.uint64(3)}, r"hashes: received uint64 \(\), expected uint64 \(1,\)"),
    ):
        np.savez(path, allow_pickle=True, **{**vars(rows), **change})
        with pytest.raises(RequestError, match=rf"rows\.npz: damaged \({message}"):
            read_known_rows(tmp_path)
    np.savez(path, hashes=rows.hashes)
    with pytest.raises(RequestError, match=r"damaged \("):
        read_known_rows(tmp_path)
