"""A place for temporary files where the system has none, as in a container whose only writable place is a volume."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stopcli.runs.environment import variables_set

_PREFIX = ".temporary-"


@contextlib.contextmanager
def temporary_files(near: Path) -> Iterator[None]:
    """Within the block, this process and those that it starts have a folder for temporary files: the system's, else one
    that is made for them and removed at the end.

    TensorFlow is not imported without, although it only asks for the name.

    Args:
        near: where it is made; a folder that is still to be made stands for the one above it.
    """
    if _there_is_one():
        yield
        return
    above = next((path for path in (near.absolute(), *near.absolute().parents) if path.is_dir()), near)
    try:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=above)
    except OSError:
        # The name of a folder that is not there: whoever only asks for it is served.
        folder = os.path.join(os.devnull, "temporary")  # noqa: PTH118
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        with variables_set(TMPDIR=folder):
            yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove what a process that was killed has left. Only for a folder that nobody else is writing."""
    for path in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def _there_is_one() -> bool:
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True
