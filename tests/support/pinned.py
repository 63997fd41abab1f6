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

    Rounding errors grow with every step, and fast where weights are normalized by small batches.

    Attributes:
        epochs: the relative difference of losses in the first rows of metrics.csv, a number for each row.
        steps: the same in steps.csv.
        accuracy: the absolute difference of accuracies in these rows.
        weights: the median, over the variables of the final model, of the relative difference of their sum of squares.
    """

    epochs: tuple[float, ...]
    steps: tuple[float, ...]
    accuracy: float
    weights: float


POINTS = Near(epochs=(1e-4,) * 5, steps=(1e-5,) * 5, accuracy=1e-6, weights=1e-3)
IMAGES = Near(epochs=(1e-2,), steps=(1e-5, 2e-3, 1e-2, 1e-2), accuracy=0.05, weights=3e-2)


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
        listed = [facts(inner, key, english) for inner in value]
        # A conclusion without a number is English and nothing else.
        return [numbers for numbers in listed if numbers] if key == "conclusions" else listed
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
def has_the_packages_of_the_fixtures() -> bool:
    """Whether the packages that numbers depend on have the versions that the fixtures were made with."""
    recorded = json.loads((FIXTURES / "runs/moons/environment.json").read_text(encoding="utf-8"))["versions"]
    return all(importlib.metadata.version(name) == recorded[name] for name in ("tensorflow", "keras", "numpy"))


@functools.cache
def is_processor_of_the_fixtures() -> bool:
    """Whether trained numbers have to be the same to the byte here."""
    pinned = PINNED["processor"]
    if os.cpu_count() != pinned["cores"] or not has_the_packages_of_the_fixtures():
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
    # predictions.npz is newer than the fixtures.
    left_out = (
        "plots",
        "checkpoints",
        "report.html",
        ".lock",
        "log.txt",
        "tensorboard",
        "classes.csv",
        "predictions.npz",
    )

    def names(root: Path) -> set[str]:
        paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        return {str(path) for path in paths if not set(path.parts) & set(left_out)}

    assert names(folder) == names(pinned)


def check_csv(path: Path, pinned: Path, near: Near) -> None:
    """Hold that a CSV file has the same header and numbers; of another processor's, the first of each epoch or step."""
    losses = {"m": near.epochs, "s": near.steps}.get(path.name[0]) if re.match("metrics|steps", path.name) else None
    (header, *rows), (pinned_header, *pinned_rows) = map(_rows_of, (path, pinned))
    assert header == pinned_header, path
    if is_processor_of_the_fixtures():
        assert losses is None or path.read_bytes() == pinned.read_bytes(), path
        if path.name != "timing.csv":
            assert _numbers(header, rows) == _numbers(header, pinned_rows), path
        return
    for loss, row, expected in zip(losses or (), rows, pinned_rows, strict=False):
        for column, value, then in zip(header, row, expected, strict=True):
            is_accuracy, relative = "accuracy" in column, loss if "loss" in column else 1e-6
            tolerance = {"abs": near.accuracy} if is_accuracy else {"rel": relative}
            assert float(value) == pytest.approx(float(then), **tolerance, nan_ok=True), (path, row[0], column)


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
    differences = [
        abs(float(np.square(arrays[name], dtype=float).sum()) / squares - 1)
        for name, (_, _, squares) in pinned["variables"].items()
        if name.startswith("layers") and squares
    ]
    assert np.median(differences) < near.weights, model
    if is_processor_of_the_fixtures():
        digest = hashlib.sha256()
        for name in sorted(arrays):
            digest.update(name.encode() + arrays[name].tobytes())
        assert digest.hexdigest() == pinned["sha256"]


def check_run(folder: Path, pinned: Path, near: Near) -> None:
    """Hold that a run's or a sweep's folder is the pinned one."""
    check_files(folder, pinned)
    for then in sorted(pinned.rglob("config.toml")):
        check_settings(folder / then.parent.relative_to(pinned), then.parent)
    for then in sorted(pinned.rglob("*.csv")):
        # Written with the figures, which are left out in this process.
        if then.name != "classes.csv" or (folder / "classes.csv").exists():
            check_csv(folder / then.relative_to(pinned), then, near)
    summaries = ((path / "summary.json").read_text(encoding="utf-8") for path in (folder, pinned))
    now, then = map(facts, map(json.loads, summaries))
    # What the report has beside the results, such as F1 by class: made with the figures.
    assert sorted(now.pop("report")) == sorted(then.pop("report"))
    if is_processor_of_the_fixtures():
        check_document(now, then)
    else:
        assert keys_of(now) == keys_of(then)
    for name, weights in PINNED["weights"].items():
        model = Path("runs") / name / "checkpoints" / "final.keras"
        if folder in model.parents:
            check_weights(model, weights, near)
