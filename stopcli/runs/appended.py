"""A file that grows as a run goes on, and is cut back to what was committed when the run is gone on with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from stopcli.errors import RunError


class AppendedFile:
    """A file that grows by whole records, and can be cut back to a length that was committed.

    Args:
        path: the file.
        header: what it begins with.
        keep: None for a file that does not exist yet; else how many bytes of an existing file to go on from, 0 to
            begin it anew.

    Raises:
        FileExistsError: `keep` is None and the file exists.
        RunError: the file is shorter than `keep`.
    """

    def __init__(self, path: Path, header: bytes, keep: int | None = None) -> None:
        if keep:
            self._file: IO[bytes] = path.open("r+b")
            if self._file.seek(0, os.SEEK_END) < keep:
                self._file.close()
                raise RunError(f"{path}: shorter than when the run was saved; its epochs are lost")
            self._file.seek(keep)
            self._file.truncate()
            return
        self._file = path.open("xb" if keep is None else "wb")
        self.write(header)

    def write(self, records: bytes) -> None:
        self._file.write(records)
        self._file.flush()

    def commit(self) -> int:
        """Have everything on the disk; returns the length in bytes."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
