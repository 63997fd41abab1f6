"""What the run of a table leaves of it: table.json, how its columns were used, and rows.npz, which rows it has seen."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RequestError, system_words
from stopcli.runs.files import dump_json, read_checked, write_bytes, write_text
from stopcli.runs.typed_json import MisfitError, from_json

TABLE_NAME = "table.json"
ROWS_NAME = "rows.npz"
# The parts of a table's rows, as assigned; their bits, as in KnownRows.
PARTS = ("train", "validation", "test")
TRAINED, VALIDATED, TESTED = 1, 2, 4


@dataclass(frozen=True)
class TableRecord:
    """table.json: how a run has used its table.

    Attributes:
        path: of the table, absolute.
        target, task, classes, numbers, words: its columns, as those of `stopcli.data.table_columns`.
        unused: the other columns, and why.
        key: the columns beside them by which a row is known, such as that of the split.
        split: as it was asked for, such as `hash:id`.
        counts: rows by part.
        statistics: what the encoder has measured on the training rows: numbers and texts.
    """

    path: str
    target: str
    task: Literal["regression", "classes"]
    classes: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    unused: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    split: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that the model takes."""
        return (*self.numbers, *self.words)

    def text(self) -> str:
        """As the content of table.json."""
        return dump_json(self) + "\n"


def write_table_record(run: Path, record: TableRecord) -> None:
    """Write a run's table.json, whole or not at all."""
    write_text(run / TABLE_NAME, record.text())


def read_table_record(run: Path) -> TableRecord | None:
    """A run's table.json; None where there is none: the run is not of a table. Raises RequestError where it is
    damaged."""
    record, damage = read_checked(run / TABLE_NAME, _record)
    if damage:
        raise RequestError(f"{run}/{damage}")
    return record


def _record(value: Any) -> TableRecord:
    record = from_json(TableRecord, value)
    names = (record.target, *record.features)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise MisfitError(f"received the column {twice!r} twice, expected different ones")
    if not record.features:
        raise MisfitError("received no features, expected numbers or words")
    if (record.task == "classes") != (len(record.classes) > 1):
        expected = "two or more" if record.task == "classes" else "none"
        raise MisfitError(f"received {len(record.classes)} classes, expected {expected} for the task {record.task}")
    return record


@dataclass(frozen=True, eq=False)
class KnownRows:
    """rows.npz: the rows that a run and the runs that it started from have seen, by their hashes.

    Attributes:
        hashes: uint64 [known], sorted, each once.
        parts: uint8 [known]: what they were for, in this run or an earlier one: TRAINED, VALIDATED and TESTED, or-ed.
        counts: uint32 [known, 3]: how many rows with this hash trained, validated and tested in this run: none of those
            that only an earlier one has seen, and more than one of rows that are all the same.
    """

    hashes: NDArray[np.uint64]
    parts: NDArray[np.uint8]
    counts: NDArray[np.uint32]

    @classmethod
    def of(cls, hashes: NDArray[np.uint64], part: NDArray[np.integer[Any]]) -> KnownRows:
        """The rows of a run without an earlier one.

        Args:
            hashes: uint64 [rows], in any order.
            part: [rows]: 0 trains, 1 validates, 2 tests.
        """
        order = np.argsort(hashes)
        in_order = hashes[order]
        is_first = _is_first(in_order)
        known = in_order[is_first]
        # Of the rows of a hash one after the other, so that memory is gone through once.
        index = np.cumsum(is_first) - 1
        flat = np.bincount(index * len(PARTS) + part[order], minlength=len(known) * len(PARTS))
        counts = flat.reshape(len(known), len(PARTS)).astype(np.uint32)
        bits = np.array([TRAINED, VALIDATED, TESTED], np.uint8)
        return cls(known, ((counts > 0) * bits).sum(axis=1, dtype=np.uint8), counts)

    def after(self, earlier: KnownRows) -> KnownRows:
        """These and those that an earlier run has seen, whose counts are not this run's."""
        # Stable: the sort that makes use of what is in order already.
        hashes = np.sort(np.concatenate([self.hashes, earlier.hashes]), kind="stable")
        hashes = hashes[_is_first(hashes)]
        parts, counts = np.zeros(len(hashes), np.uint8), np.zeros((len(hashes), len(PARTS)), np.uint32)
        for rows in (self, earlier):
            parts[np.searchsorted(hashes, rows.hashes)] |= rows.parts
        counts[np.searchsorted(hashes, self.hashes)] = self.counts
        return KnownRows(hashes, parts, counts)

    def parts_of(self, hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """What rows were for: their `parts`, 0 for those that no run has seen; uint8 [rows]."""
        position, is_known = self._find(hashes)
        return np.where(is_known, np.append(self.parts, np.uint8(0))[position], np.uint8(0))

    def is_in(self, part: str, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which rows are those of a part of this run: `train`, `validation` or `test`; bool [rows].

        Of rows that are all the same, the first ones, as many as there were in the part.
        """
        position, is_known = self._find(hashes)
        counts = np.append(self.counts[:, PARTS.index(part)], np.uint32(0))[position]
        return is_known & (_repetitions(hashes) < counts)

    def _find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where each of some hashes is or would be among these, and whether it is there."""
        position = np.searchsorted(self.hashes, hashes)
        # One more than there are, for those that are larger than all. It has no parts and no counts either.
        return position, np.append(self.hashes, np.uint64(0))[position] == hashes

    def to_bytes(self) -> bytes:
        """As the content of rows.npz; the same bytes for the same rows."""
        file = io.BytesIO()
        arrays: dict[str, NDArray[Any]] = {"hashes": self.hashes, "parts": self.parts, "counts": self.counts}
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                # Hashes cannot be compressed; of the others, small numbers, the first level makes the most.
                method = zipfile.ZIP_STORED if name == "hashes" else zipfile.ZIP_DEFLATED
                entry = io.BytesIO()
                np.save(entry, array)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getbuffer(), method, 1)
        return file.getvalue()


def _repetitions(hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """How many rows before each have its hash."""
    order = np.argsort(hashes, kind="stable")
    in_order = hashes[order]
    position = np.arange(len(hashes))
    repetitions = np.empty(len(hashes), np.intp)
    repetitions[order] = position - np.maximum.accumulate(np.where(_is_first(in_order), position, 0))
    return repetitions


def _is_first(in_order: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return np.append(True, in_order[1:] != in_order[:-1])[: len(in_order)]


def write_known_rows(run: Path, rows: KnownRows) -> None:
    """Write a run's rows.npz, whole or not at all."""
    write_bytes(run / ROWS_NAME, rows.to_bytes())


def read_known_rows(run: Path) -> KnownRows:
    """The rows that a run has seen. Raises RequestError where its rows.npz is missing or damaged."""
    path = run / ROWS_NAME
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            rows = KnownRows(*(content[name] for name in ("hashes", "parts", "counts")))
        _check(rows)
    except FileNotFoundError:
        raise RequestError(f"{path}: missing, so it is not known which rows the run has seen") from None
    # A damaged archive leads its reader to nearly any error.
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        MemoryError,
    ) as error:
        reason = system_words(error) if isinstance(error, OSError) else str(error)
        raise RequestError(f"{path}: damaged ({reason})") from None
    return rows


def _check(rows: KnownRows) -> None:
    """Raise ValueError where arrays of a file are not those of known rows."""
    known = rows.hashes.size
    expected: Sequence[tuple[str, NDArray[Any], Any, tuple[int, ...]]] = (
        ("hashes", rows.hashes, np.uint64, (known,)),
        ("parts", rows.parts, np.uint8, (known,)),
        ("counts", rows.counts, np.uint32, (known, len(PARTS))),
    )
    for name, array, dtype, shape in expected:
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f"{name}: received {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}")
    if (rows.hashes[1:] <= rows.hashes[:-1]).any():
        raise ValueError("hashes: expected them sorted, each once")
