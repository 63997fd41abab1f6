"""A small run of every command on points is what it was with earlier code: files, settings, numbers, weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pinned import FIXTURES, PINNED, POINTS, check_csv, check_run, has_the_packages_of_the_fixtures
from program import run

pytestmark = pytest.mark.slow

# A run is not resumed with other versions unless that is forced.
FORCED = () if has_the_packages_of_the_fixtures() else ("--force",)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["moons", "moons-seeds", "case-study", "clr", "lr-range"])
def test_a_command_on_points(name: str) -> None:
    argv = PINNED["commands"][name].split()
    assert run(*argv, "--quiet", "--run-dir", f"runs/{name}") == 0
    check_run(Path("runs") / name, FIXTURES / "runs" / name, POINTS)


@pytest.mark.usefixtures("quick")
def test_a_config_of_a_policy_s_run() -> None:
    shutil.copy(FIXTURES / "runs/clr/jobs/triangular-seed0/config.toml", "config.toml")
    assert run("run", "config.toml", "--quiet", "--run-dir", "runs/train") == 0
    check_run(Path("runs/train"), FIXTURES / "runs/train", POINTS)


@pytest.mark.usefixtures("quick")
def test_a_run_that_diverges_fails() -> None:
    argv = PINNED["commands"]["failed"].split()
    assert run(*argv, "--quiet", "--run-dir", "runs/failed") == 1
    check_run(Path("runs/failed"), FIXTURES / "runs/failed", POINTS)


@pytest.mark.usefixtures("quick")
def test_a_paused_run_is_resumed(runs: Path) -> None:
    """Its first epochs are those on record, and it comes out as one that was never paused."""
    before = (runs / "paused/metrics.csv").read_bytes()
    assert run("resume", "runs/paused", "--quiet", *FORCED) == 0
    assert (runs / "paused/metrics.csv").read_bytes().startswith(before)
    argv = [word for word in PINNED["commands"]["paused"].split() if word not in ("--time-budget", "0.01s")]
    assert run(*argv, "--quiet", "--run-dir", "whole") == 0
    check_csv(Path("whole/metrics.csv"), runs / "paused/metrics.csv", POINTS)
    summary = json.loads((runs / "paused/summary.json").read_text(encoding="utf-8"))
    assert (summary["state"], summary["epochs"], summary["stop"]["reason"]) == ("finished", 6, "completed")
    environment = json.loads((runs / "paused/environment.json").read_text(encoding="utf-8"))
    assert [session["from_epoch"] for session in environment["resumed"]] == [1, 2]


@pytest.mark.usefixtures("quick")
def test_a_paused_sweep_is_resumed(runs: Path) -> None:
    """The job that was missing is the one that a whole sweep has."""
    finished = {
        path: path.read_bytes()
        for path in runs.glob("paused-sweep/jobs/*/metrics.csv")
        if "triangular-seed1" not in str(path)
    }
    assert len(finished) == 3
    assert run("resume", "runs/paused-sweep", "--quiet", *FORCED) == 0
    assert {path: path.read_bytes() for path in finished} == finished
    whole = FIXTURES / "runs/clr/jobs/triangular-seed1"
    for name in ("metrics.csv", "steps.csv"):
        check_csv(runs / "paused-sweep/jobs/triangular-seed1" / name, whole / name, POINTS)
    summary = json.loads((runs / "paused-sweep/summary.json").read_text(encoding="utf-8"))
    assert (summary["state"], summary["finished"]) == ("finished", 4)
