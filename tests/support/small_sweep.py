"""A small `stopcli cutout-sweep` in processes of its own, and what it leaves."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forked import Forked

# No smaller last batch, which would be compiled by itself.
SMALL = [
    *("cutout-sweep", "--m", "2", "--dataset", "digits", "--limit", "320", "--epochs", "3", "--batch-size", "32"),
    *("--threads", "1", "--save-every", "0.2s"),
]
JOBS = ("simple-seed0", "m2-seed0")
# Runs the program and tells which of the slow packages its process has imported.
PROGRAM = """
import json, sys
from stopcli.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("imported", [name for name in ("tensorflow", "keras", "ray") if name in sys.modules], file=sys.stderr)
"""
# The same without figures, which take as long as the training of so small a run.
WITHOUT_FIGURES = """
from unittest import mock
from stopcli.runner import sweep as sweeping
from stopcli.configs.registry import COMMANDS
from stopcli.recipes.base import recipe_of
whole = sweeping.RunJob.__init__
without_plots = lambda self, *args, **options: whole(self, *args, **{**options, "plots": False})
mock.patch.object(sweeping.RunJob, "__init__", without_plots).start()
for command in COMMANDS:
    mock.patch.object(type(recipe_of(command)), "sweep_figures", return_value={}).start()
"""


def start(*argv: str, figures: bool = False, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM if figures else WITHOUT_FIGURES + PROGRAM, *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(*argv: str, figures: bool = False, **options: Any) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the program."""
    process = start(*argv, figures=figures, **options)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def read(path: Path) -> dict[str, Any]:
    """A JSON file that is written while it is read; empty until it is there."""
    with contextlib.suppress(OSError, ValueError):
        content: dict[str, Any] = json.loads(path.read_text())
        return content
    return {}


def finish_forked(*argv: str) -> tuple[int | None, str, str]:
    """`finish` for what trains in the program's own process, which need not import TensorFlow."""
    process = Forked(WITHOUT_FIGURES + PROGRAM, *argv)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def states(sweep: Path) -> dict[str, str]:
    return {job["name"]: job["state"] for job in read(sweep / "summary.json")["jobs"]}


def process_of(sweep: Path, job: str) -> int:
    """The number of the process that runs a job; 0 where there is none yet."""
    pid: int = read(sweep / "jobs" / job / "status.json").get("process", {}).get("pid", 0)
    return pid


def has_state(sweep: Path, job: str) -> bool:
    return any((sweep / "jobs" / job / "checkpoints" / "resume").glob("step-*.state"))


def wait_until(true: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def same(sweep: Path, undisturbed: Path) -> bool:
    """Whether two sweeps have the same bytes of metrics and the same results for every job."""
    results = [
        [(job["name"], job["state"], job["final"], job["best"]) for job in read(folder / "summary.json")["jobs"]]
        for folder in (sweep, undisturbed)
    ]
    metrics = [
        [(folder / "jobs" / job / "metrics.csv").read_bytes() for job in JOBS] for folder in (sweep, undisturbed)
    ]
    return results[0] == results[1] and metrics[0] == metrics[1]
