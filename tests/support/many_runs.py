"""Many small run folders, and processes that hold one or end in the middle of deleting."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from written_runs import write_run

STATE = "checkpoints/resume/step-000000000040.state"


def write_kept_run(path: Path, **options: object) -> Path:
    """A run's folder with a saved state, a model and an epoch's model."""
    write_run(path, **options)  # type: ignore[arg-type]
    for name, size in {STATE: 700, "checkpoints/best.keras": 300, "checkpoints/epoch_0010.keras": 200}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(bytes(size))
    return path


def copies(run: Path, root: Path, number: int) -> None:
    """Copies of a run, each started an hour after the one before."""
    status = json.loads((run / "status.json").read_text())
    for i in range(number):
        copy = shutil.copytree(run, root / f"run-{i:04}")
        started = f"2026-{1 + i // 672:02}-{1 + i // 24 % 28:02}T{i % 24:02}:00:00+00:00"
        (copy / "status.json").write_text(json.dumps({**status, "started": started}))


def files_in(root: Path) -> dict[str, int]:
    """The sizes of all files below a folder, without the locks, which are empty."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root)): path.lstat().st_size for path in files}


def bytes_in(root: Path) -> int:
    return sum(files_in(root).values())


_HOLD = """
import sys
from pathlib import Path
from stopcli.runs.folder import (hold_folder)
with hold_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_elsewhere(run: Path) -> Iterator[None]:
    """Within the block, another process holds a run's folder."""
    argv = [sys.executable, "-c", _HOLD, str(run)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate()


# As it is about to delete the second folder, of which it deletes one file.
_IN_THE_MIDDLE = """
import os, shutil, signal, sys
from pathlib import Path
from stopcli.runs import removal
from stopcli.cli.main import main
delete, number, by = removal._delete, [0], getattr(signal, sys.argv.pop(1))
def stop(folder):
    number[0] += 1
    if number[0] == 2:
        next(path for path in sorted(Path(folder).rglob("*")) if path.is_file()).unlink()
        os.kill(os.getpid(), by)
    delete(folder)
removal._delete = stop
main()
"""


def stopped_in_the_middle(by: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """The program under a signal (`SIGKILL`, `SIGINT`) that comes while it deletes its second folder."""
    command = [sys.executable, "-c", _IN_THE_MIDDLE, by, *argv]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
