"""A disk of a few kilobytes, where tests may mount one."""

from __future__ import annotations

import contextlib
import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

FILLER = ".filler"


@contextlib.contextmanager
def small_disk(kibibytes: int, files: int = 0) -> Iterator[Path]:
    """A folder `disk` in this working folder that holds so much; skips the test where none can be mounted.

    Args:
        files: that it can hold, itself among them; 0 for as many as there is room for.
    """
    disk = Path("disk").resolve()
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k,nr_inodes={files}", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        # Files that a failed run has left open, in frames of its traceback, keep a disk busy.
        gc.collect()
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def enlarge(disk: Path, kibibytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kibibytes}k", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Leave no room on a disk, until its filler is deleted."""
    with (disk / FILLER).open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
