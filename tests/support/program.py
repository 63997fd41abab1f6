"""The program as tests run it in this process, and what it leaves in a run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stopcli.cli.main import main


def run(*argv: str) -> int:
    """The exit status of the program."""
    try:
        main(list(argv))
    except SystemExit as exited:
        return int(exited.code or 0)
    return 0


def summary_of(folder: Path | str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "summary.json").read_text())
    return read


def status_of(folder: Path | str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "status.json").read_text())
    return read
