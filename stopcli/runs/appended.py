"""A file that grows as a run goes on, and is cut back to what was committed when the run is gone on with.

What was committed is known by its length and its hash, which is taken as the file grows. So a file that somebody has
changed since, if only by a digit, is found out before anything is trained on top of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

from stopcli.errors import RecordError

_CHUNK = 1 << 20


class Prefix(NamedTuple):
    """How a file begins, as far as it was committed.

    Attributes:
        length: in bytes; 0 for nothing, so that the file is begun anew.
        sha256: of these bytes; empty where it is not known, as in states of earlier versions.
    """

    length: int = 0
    sha256: str = ""


class AppendedFile:
    """A file that grows by whole records, and can be cut back to a length that was committed.

    Args:
        path: the file.
        header: what it begins with.
        keep: None for a file that does not exist yet; else what of an existing file to go on from.

    Raises:
        FileExistsError: `keep` is None and the file exists.
        RecordError: the file does not begin as it was committed, or is no regular file.
    """

    def __init__(self, path: Path, header: bytes, keep: Prefix | None = None) -> None:
        self.path = path
        if keep is not None and keep.length:
            self._digest = check_prefix(path, keep, header)
            self._file: IO[bytes] = path.open("r+b")
            self._file.seek(keep.length)
            self._file.truncate()
            return
        if keep is not None and path.exists():
            _check_regular(path)
        self._digest = hashlib.sha256()
        self._file = path.open("xb" if keep is None else "wb")
        try:
            self.write(header)
        except OSError:
            # What has no room has none when it is closed either; that is told by the error on its way.
            with contextlib.suppress(OSError):
                self.close()
            raise

    def write(self, records: bytes) -> None:
        self._file.write(records)
        self._file.flush()
        self._digest.update(records)

    def commit(self) -> Prefix:
        """Have everything on the disk; returns what that is."""
        os.fsync(self._file.fileno())
        return Prefix(self._file.tell(), self._digest.hexdigest())

    def close(self) -> None:
        self._file.close()


def close_all(files: Iterable[AppendedFile]) -> None:
    """Close files: all of them, even where one has something left to write and the disk is full."""
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.callback(file.close)


def check_prefix(path: Path, prefix: Prefix, header: bytes = b"") -> hashlib._Hash:
    """Find out whether a file still begins as it was committed. Nothing is written.

    Where no hash is known, it is asked whether the file is long enough, begins with its header, and whether the prefix
    of a CSV file ends where a row does.

    Args:
        header: what the file has to begin with; empty where that is not known.

    Returns:
        The hash of the prefix, to go on with.

    Raises:
        RecordError: it does not, is missing, or is no regular file. The message says so of the file alone.
    """
    if not path.exists():
        raise RecordError(f"{path}: missing; it had {prefix.length:,} bytes when the run was saved")
    _check_regular(path)
    digest, left, last, returns = hashlib.sha256(), prefix.length, b"", 0
    with path.open("rb") as file:
        begins_so = file.read(len(header)) == header
        file.seek(0)
        while left and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left, last, returns = left - len(chunk), chunk[-1:], returns + chunk.count(b"\r")
    if left:
        raise RecordError(
            f"{path}: shorter than when the run was saved (received {prefix.length - left:,} bytes, expected"
            f" {prefix.length:,} or more)"
        )
    changed = f"{path}: changed within its first {prefix.length:,} bytes since the run was saved"
    if not begins_so:
        raise RecordError(f"{changed} (expected it to begin with {header.decode().strip()})")
    if prefix.sha256 and digest.hexdigest() != prefix.sha256:
        raise RecordError(changed + (" (its lines end otherwise: an editor has saved it)" if returns else ""))
    if not prefix.sha256 and path.suffix == ".csv" and last != b"\n":
        raise RecordError(f"{changed} (they end within a row)")
    return digest


def _check_regular(path: Path) -> None:
    """Raise where a path is no file that can be read to its end: a pipe would be waited for without end."""
    if not path.is_file():
        raise RecordError(f"{path}: not a regular file")
