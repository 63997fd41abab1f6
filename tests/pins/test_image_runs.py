"""A small run on images, and one of a sweep over copies, are what they were with earlier code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pinned import FIXTURES, IMAGES, PINNED, check_run
from program import run

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("quick")
def test_a_command_on_images() -> None:
    argv = PINNED["commands"]["cifar-resnet"].split()
    assert run(*argv, "--quiet", "--run-dir", "runs/cifar-resnet") == 0
    check_run(Path("runs/cifar-resnet"), FIXTURES / "runs/cifar-resnet", IMAGES)


def test_a_job_of_a_sweep_over_copies() -> None:
    """In a process of its own: a job of such a sweep has one thread, and this process has more."""
    name = "cutout-sweep/jobs/m2-seed0"
    pinned = FIXTURES / "runs" / name
    command = [
        sys.executable,
        "-m",
        "stopcli",
        "run",
        str(pinned / "config.toml"),
        "--run-dir",
        f"runs/{name}",
        "--json",
    ]
    Path(f"runs/{name}").parent.mkdir(parents=True)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(Path(f"runs/{name}/summary.json").read_text(encoding="utf-8"))
    check_run(Path("runs") / name, pinned, IMAGES)
