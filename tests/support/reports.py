"""Reports that are made again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from program import run

NAMES = ("report.md", "report.html")


def check_same_again(folder: Path) -> None:
    """Hold that a folder's report is made again to the byte, wherever it lies, from what else is in it.

    Only the lines that predict a photo name the models where they lie now.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        moved = Path(elsewhere) / "moved"
        shutil.copytree(folder, moved)
        for name in NAMES:
            (moved / name).unlink()
        assert run("report", str(moved), "--quiet") == 0
        for name in NAMES:
            again = (moved / name).read_bytes().replace(bytes(moved.resolve()), bytes(folder.resolve()))
            assert again == (folder / name).read_bytes(), name
