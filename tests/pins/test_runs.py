"""A small run of every command that trains is what it was with earlier code: files, settings, numbers, weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pinned import (
    FIXTURES,
    PINNED,
    Near,
    check_csv,
    check_document,
    check_files,
    check_settings,
    check_weights,
    facts,
    has_the_packages_of_the_fixtures,
    is_processor_of_the_fixtures,
    keys_of,
)
from program import run

pytestmark = pytest.mark.slow

POINTS = Near(epochs=(1e-4,) * 5, steps=(1e-5,) * 5, accuracy=1e-6, weights=1e-3)
IMAGES = Near(epochs=(1e-2,), steps=(1e-5, 2e-3, 1e-2, 1e-2), accuracy=0.05, weights=3e-2)

# A run is not resumed with other versions unless that is forced.
FORCED = () if has_the_packages_of_the_fixtures() else ("--force",)


def check_run(folder: Path, pinned: Path, near: Near) -> None:
    """Hold that a run's or a sweep's folder is the pinned one."""
    check_files(folder, pinned)
    for then in sorted(pinned.rglob("config.toml")):
        check_settings(folder / then.parent.relative_to(pinned), then.parent)
    for then in sorted(pinned.rglob("*.csv")):
        # Written with the figures, which are left out in this process.
        if then.name != "classes.csv" or (folder / "classes.csv").exists():
            check_csv(folder / then.relative_to(pinned), then, near)
    summaries = ((path / "summary.json").read_text(encoding="utf-8") for path in (folder, pinned))
    now, then = map(facts, map(json.loads, summaries))
    # What the report has beside the results, such as F1 by class: made with the figures.
    assert sorted(now.pop("report")) == sorted(then.pop("report"))
    if is_processor_of_the_fixtures():
        check_document(now, then)
    else:
        assert keys_of(now) == keys_of(then)
    for name, weights in PINNED["weights"].items():
        model = Path("runs") / name / "checkpoints" / "final.keras"
        if folder in model.parents:
            check_weights(model, weights, near)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["moons", "moons-seeds", "case-study", "clr", "lr-range"])
def test_a_command_on_points(name: str) -> None:
    words = PINNED["commands"][name].split()
    assert run(*words, "--quiet", "--run-dir", f"runs/{name}") == 0
    check_run(Path("runs") / name, FIXTURES / "runs" / name, POINTS)


@pytest.mark.usefixtures("quick")
def test_a_config_of_a_policy_s_run() -> None:
    shutil.copy(FIXTURES / "runs/clr/jobs/triangular-seed0/config.toml", "config.toml")
    assert run("run", "config.toml", "--quiet", "--run-dir", "runs/train") == 0
    check_run(Path("runs/train"), FIXTURES / "runs/train", POINTS)


@pytest.mark.usefixtures("quick")
def test_a_command_on_images() -> None:
    words = PINNED["commands"]["cifar-resnet"].split()
    assert run(*words, "--quiet", "--run-dir", "runs/cifar-resnet") == 0
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


@pytest.mark.usefixtures("quick")
def test_a_run_that_diverges_fails() -> None:
    words = PINNED["commands"]["failed"].split()
    assert run(*words, "--quiet", "--run-dir", "runs/failed") == 1
    check_run(Path("runs/failed"), FIXTURES / "runs/failed", POINTS)


@pytest.mark.usefixtures("quick")
def test_a_paused_run_is_resumed(runs: Path) -> None:
    """Its first epochs are those on record, and it comes out as one that was never paused."""
    before = (runs / "paused/metrics.csv").read_bytes()
    assert run("resume", "runs/paused", "--quiet", *FORCED) == 0
    assert (runs / "paused/metrics.csv").read_bytes().startswith(before)
    words = [word for word in PINNED["commands"]["paused"].split() if word not in ("--time-budget", "0.01s")]
    assert run(*words, "--quiet", "--run-dir", "whole") == 0
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
