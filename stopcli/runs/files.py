"""Writing files so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new name beside `path` to write to; renamed to `path` when the block ends well, deleted when it does not.

    The name ends as `path` does, for writers that go by the ending. The bytes are on the disk before the name is.
    """
    new = path.with_name(f".new-{os.getpid()}-{path.name}")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave what was there."""
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON. NaN and infinities become null: JSON has no word for them."""
    write_text(path, dump_json(value) + "\n")


def dump_json(value: Any) -> str:
    return json.dumps(_without_non_finite(value), indent=1, allow_nan=False)


def _without_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_non_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
