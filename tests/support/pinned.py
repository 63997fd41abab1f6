"""What the run folders in tests/fixtures hold, and how what is made today is held against it.

Data are compared, English is not: of a sentence or of a table's cell only the decimal numbers count. Times are not
compared. Trained numbers are the same to the byte on the processor that made the fixtures; elsewhere sums are added in
another order, and the first of them are near: see `Near`.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIXTURES = Path(__file__).parent.parent / "fixtures"
PINNED: dict[str, Any] = json.loads((FIXTURES / "pinned.json").read_text(encoding="utf-8"))

# Keys of JSON documents and columns of CSV files that hold times.
TIMES = re.compile(r"seconds|samples_per_second|cost|hours|_per_m$|^age")
# Keys whose text is English.
ENGLISH = {"words", "title", "conclusions", "warnings", "notes", "rows", "columns", "table", "tables"}
# Which figures were drawn, and where the folder lies.
NOT_A_VALUE = {"figures", "run_dir"}


@dataclass(frozen=True)
class Near:
    """How far trained numbers may be from the pinned ones on another processor.

    Attributes:
        epochs: the first rows of metrics.csv and steps.csv that are compared; later ones are too far from each other.
        loss: the relative difference of losses.
        accuracy: the absolute difference of accuracies: a row or two of those that are counted.
        weights: the relative difference of a variable's sum of squares at the end.
    """

    epochs: int
    loss: float
    accuracy: float
    weights: float


def facts(value: Any, key: str = "", english: bool = False) -> Any:
    """A JSON document without times, and of its English only the decimal numbers."""
    english = english or key in ENGLISH
    if isinstance(value, dict):
        return {
            name: facts(inner, name, english)
            for name, inner in value.items()
            if not TIMES.search(name) and name not in NOT_A_VALUE
        }
    if isinstance(value, list):
        return [facts(inner, key, english) for inner in value]
    if isinstance(value, str) and english:
        return re.findall(r"\d+\.\d+(?![\ds.])", value)
    return value


def check_document(now: Any, pinned: Any, where: str = "") -> None:
    """Hold that two documents have the same keys, types and values."""
    if isinstance(pinned, dict):
        assert isinstance(now, dict), where
        assert sorted(now) == sorted(pinned), where
        for key, value in pinned.items():
            check_document(now[key], value, f"{where}.{key}")
    elif isinstance(pinned, list):
        assert isinstance(now, list), where
        assert len(now) == len(pinned), (where, now, pinned)
        for index, value in enumerate(pinned):
            check_document(now[index], value, f"{where}[{index}]")
    elif isinstance(pinned, float):
        assert now == pytest.approx(pinned, rel=1e-9, abs=1e-12, nan_ok=True), where
    else:
        assert now == pinned, where


def keys_of(value: Any) -> Any:
    """The keys of a JSON document, and of all objects in it."""
    if isinstance(value, dict):
        return {key: keys_of(inner) for key, inner in value.items()}
    return [keys_of(inner) for inner in value if isinstance(inner, dict)] if isinstance(value, list) else None


@functools.cache
def is_processor_of_the_fixtures() -> bool:
    """Whether trained numbers have to be the same to the byte here."""
    pinned = PINNED["processor"]
    recorded = json.loads((FIXTURES / "runs/moons/environment.json").read_text(encoding="utf-8"))["versions"]
    packages = ("tensorflow", "keras", "numpy")
    if os.cpu_count() != pinned["cores"] or any(
        importlib.metadata.version(name) != recorded[name] for name in packages
    ):
        return False
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return False
    lines = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())}
    return all(lines.get(name) == value for name, value in pinned.items() if name != "cores")


def check_settings(folder: Path, pinned: Path) -> None:
    """Hold that config.toml has the same settings with the same values, in the same order."""
    now, then = (tomllib.loads((path / "config.toml").read_text(encoding="utf-8")) for path in (folder, pinned))
    assert list(now.items()) == list(then.items())


def check_files(folder: Path, pinned: Path) -> None:
    """Hold that a run's or a sweep's folder has the files that it had, besides those that the fixtures leave out."""
    # classes.csv is written with the figures.
    left_out = ("plots", "checkpoints", "report.html", ".lock", "log.txt", "tensorboard", "classes.csv")

    def names(root: Path) -> set[str]:
        paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        return {str(path) for path in paths if not set(path.parts) & set(left_out)}

    assert names(folder) == names(pinned)


def check_csv(path: Path, pinned: Path, near: Near) -> None:
    """Hold that a CSV file has the same header and numbers; of another processor's, the first of each epoch or step."""
    is_history = re.match(r"metrics|steps", path.name) is not None
    (header, *rows), (pinned_header, *pinned_rows) = map(_rows_of, (path, pinned))
    assert header == pinned_header, path
    if is_processor_of_the_fixtures():
        assert not is_history or path.read_bytes() == pinned.read_bytes(), path
        if path.name != "timing.csv":
            assert _numbers(header, rows) == _numbers(header, pinned_rows), path
        return
    if not is_history:
        return
    for row, expected in zip(rows[: near.epochs], pinned_rows[: near.epochs], strict=True):
        for column, value, then in zip(header, row, expected, strict=True):
            where = (path, row[0], column, value, then)
            if "loss" in column:
                assert float(value) == pytest.approx(float(then), rel=near.loss, nan_ok=True), where
            elif "accuracy" in column:
                assert float(value) == pytest.approx(float(then), abs=near.accuracy, nan_ok=True), where
            else:
                assert float(value) == pytest.approx(float(then), rel=1e-6), where


def _numbers(header: list[str], rows: list[list[str]]) -> list[list[float]]:
    """Of every row the cells that are numbers, without times."""

    def is_number(text: str) -> bool:
        return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is not None

    columns = [index for index, name in enumerate(header) if not TIMES.search(name)]
    return [[float(row[index]) for index in columns if is_number(row[index])] for row in rows]


def _rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def check_weights(model: Path, pinned: Mapping[str, Any], near: Near) -> None:
    """Hold that a saved model has the pinned variables, with the pinned values."""
    with zipfile.ZipFile(model) as archive, archive.open("model.weights.h5") as file, h5py.File(file) as content:
        arrays: dict[str, Any] = {}
        content.visititems(
            lambda name, item: arrays.update({name: np.asarray(item)}) if isinstance(item, h5py.Dataset) else None
        )
    assert {name: list(array.shape) for name, array in arrays.items()} == {
        name: shape for name, (shape, _, _) in pinned["variables"].items()
    }
    for name, (_, _, squares) in pinned["variables"].items():
        assert float(np.square(arrays[name], dtype=float).sum()) == pytest.approx(squares, rel=near.weights, abs=1e-6)
    if is_processor_of_the_fixtures():
        digest = hashlib.sha256()
        for name in sorted(arrays):
            digest.update(name.encode() + arrays[name].tobytes())
        assert digest.hexdigest() == pinned["sha256"]
