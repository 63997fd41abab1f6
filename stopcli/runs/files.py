"""Writing files so that a reader, or a crash, never meets half of one; reading them whoever has changed them since."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from stopcli.runs.shapes import misfit
from stopcli.text_files import UnusableFileError, read_json_file

# How the name of a file begins that is not whole yet.
_NEW = ".new-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new name beside `path` to write to; renamed to `path` when the block ends well, deleted when it does not.

    The name ends as `path` does, for writers that go by the ending. The bytes are on the disk before the name is.

    Raises:
        OSError: that of the block or of the system, with `path` as the file that it is about.
    """
    new = path.with_name(f"{_NEW}{os.getpid()}-{path.name}")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename in (None, str(new)):
            error.filename = str(path)
        raise
    finally:
        new.unlink(missing_ok=True)


# Where the disk gives out: full, over a quota or a limit, not to be written any more, or broken.
_DISK_FAULTS = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def is_disk_fault(error: BaseException | None) -> TypeGuard[OSError]:
    """Whether an error says that the disk gave out, so that whatever is written next fails too."""
    return isinstance(error, OSError) and error.errno in _DISK_FAULTS


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
        # A command line or a name may hold bytes that are no text; they are shown as what they are.
        new.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON. NaN and infinities become null: JSON has no word for them."""
    write_text(path, dump_json(value) + "\n")


def write_json_anyhow(path: Path, value: Any) -> None:
    """`write_json`; where the disk has no room for a new file, over the one that is there, in the room that it has.

    Only for a file of a few lines that must not go on saying what is true no more: a crash in this very moment would
    leave half of it.

    Raises:
        OSError: it does not fit there either; what was there is untouched.
    """
    try:
        write_json(path, value)
    except OSError as error:
        content = (dump_json(value) + "\n").encode()
        if not (is_disk_fault(error) and path.is_file() and len(content) <= _room_of(path)):
            raise
        with path.open("r+b") as file:
            # Blanks at the end are no part of the JSON.
            file.write(content.ljust(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())


def _room_of(path: Path) -> int:
    """Bytes that a file can have without more room on the disk."""
    status = path.stat()
    # Windows does not tell the blocks.
    return max(status.st_size, 512 * getattr(status, "st_blocks", 0))


def dump_json(value: Any) -> str:
    return json.dumps(_without_non_finite(value), indent=1, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder; empty where the file is missing (a run that was killed early) or damaged."""
    return read_checked(path)[0]


def read_checked(path: Path) -> tuple[dict[str, Any], str]:
    """A JSON object of a run folder, which anybody may have changed.

    What it holds has the types with which stopcli writes a file of that name, as far as it is there.

    Returns:
        The object, and an empty text; or where the file is damaged nothing, and in words why, beginning with its name.
    """
    try:
        value = read_json_file(path)
    except FileNotFoundError:
        return {}, ""
    except UnusableFileError as error:
        return {}, f"{path.name}: damaged ({error})"
    wrong = misfit(path.name, value)
    return ({}, f"{path.name}: damaged ({wrong})") if wrong else (value, "")


def _without_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_non_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
