"""Writing files so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# How the name of a file begins that is not whole yet.
_NEW = ".new-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new name beside `path` to write to; renamed to `path` when the block ends well, deleted when it does not.

    The name ends as `path` does, for writers that go by the ending. The bytes are on the disk before the name is.
    """
    new = path.with_name(f"{_NEW}{os.getpid()}-{path.name}")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
        _sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left. Only for a folder that nobody else is writing."""
    for path in folder.rglob(f"{_NEW}*"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Have a folder's new names on the disk, where the system can open a folder (Windows cannot)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave what was there."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON. NaN and infinities become null: JSON has no word for them."""
    write_text(path, dump_json(value) + "\n")


def dump_json(value: Any) -> str:
    return json.dumps(_without_non_finite(value), indent=1, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder; empty where the file is missing or damaged (a run that was killed early)."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _without_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_non_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
