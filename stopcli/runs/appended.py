"""Files that grow as a run goes on, and are cut back to what was committed when the run is resumed.

What was committed is known by its length and its hash, which is taken as the file grows. So a change of a single digit
is found before anything is trained on top of it.
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
    """The committed beginning of a file.

    Attributes:
        length: in bytes; 0 for nothing, so that the file is written anew.
        sha256: of these bytes.
    """

    length: int = 0
    sha256: str = ""


class AppendedFile:
    """A file that grows by whole records, and can be cut back to a length that was committed.

    Args:
        path: the file.
        header: what it begins with.
        keep: None for a file that does not exist yet; else what to keep of an existing file.

    Raises:
        FileExistsError: `keep` is None and the file exists.
        RecordError: the file does not begin as it was committed, or is not a regular file.
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
            # Closing fails for the same reason, which this error says.
            with contextlib.suppress(OSError):
                self.close()
            raise

    def write(self, records: bytes) -> None:
        self._file.write(records)
        self._file.flush()
        self._digest.update(records)

    def commit(self) -> Prefix:
        """Have everything on the disk, and return what that is."""
        os.fsync(self._file.fileno())
        return Prefix(self._file.tell(), self._digest.hexdigest())

    def close(self) -> None:
        self._file.close()


def close_all(files: Iterable[AppendedFile]) -> None:
    """Close all of some files, even where one still has something to write and the disk is full."""
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.callback(file.close)


def check_prefix(path: Path, prefix: Prefix, header: bytes = b"") -> hashlib._Hash:
    """Check that a file still begins as it was committed. Nothing is written.

    Args:
        header: what the file has to begin with; empty where that is not known.

    Returns:
        The hash of the prefix, to be continued.

    Raises:
        RecordError: it does not, is missing, or is not a regular file.
    """
    if not path.exists():
        raise RecordError(f"{path}: missing; it had {prefix.length:,} bytes when the run was saved")
    _check_regular(path)
    digest, missing, returns = hashlib.sha256(), prefix.length, 0
    with path.open("rb") as file:
        has_header = file.read(len(header)) == header
        file.seek(0)
        while missing and (chunk := file.read(min(missing, _CHUNK))):
            digest.update(chunk)
            missing, returns = missing - len(chunk), returns + chunk.count(b"\r")
    if missing:
        raise RecordError(
            f"{path}: shorter than when the run was saved (received {prefix.length - missing:,} bytes, expected"
            f" {prefix.length:,} or more)"
        )
    changed = f"{path}: changed within its first {prefix.length:,} bytes since the run was saved"
    if not has_header:
        raise RecordError(f"{changed} (expected it to begin with {header.decode().strip()})")
    if digest.hexdigest() != prefix.sha256:
        raise RecordError(changed + (" (its lines end otherwise: an editor has saved it)" if returns else ""))
    return digest


def _check_regular(path: Path) -> None:
    """Raise where a path is not a regular file: reading a pipe would never end."""
    if not path.is_file():
        raise RecordError(f"{path}: not a regular file")
