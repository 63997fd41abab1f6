"""What is warned of stands on stderr before anything is trained, once, and in the summary and the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import run, summary_of

pytestmark = pytest.mark.usefixtures("quick")

SETTINGS = {"epochs": "5", "patience": "9", "batch_size": "64", "hidden": "20"}
WARNED = [
    "patience 9 cannot stop a training of 5 epochs early: it can stop one after epoch 10 at the earliest",
    "batch_size 64 is more than the 30 rows to train on, so an epoch is a single update",
]
MOONS = ["moons", *(word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", value))]


def check_warned(folder: str, said: str, *afterwards: str) -> None:
    lines = said.splitlines()
    warned = [line for line in lines if line.startswith("Warning: ")]
    assert warned == [f"Warning: {told}." for told in (*WARNED, *afterwards)]
    # Before the run has a folder, and so before anything is started.
    begun = next(i for i, line in enumerate(lines) if line.startswith("stopcli moons →"))
    assert max(lines.index(line) for line in warned[: len(WARNED)]) < begun
    assert sorted(summary_of(folder)["warnings"]) == sorted([*WARNED, *afterwards])
    report = Path(folder, "report.md").read_text()
    assert all(report.count(told) == 1 for told in WARNED)


def test_a_run_warns_before_it_trains_and_so_does_its_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*MOONS, "--run-dir", "a") == 0
    check_warned("a", capsys.readouterr().err)
    Path("moons.toml").write_text("\n".join(['command = "moons"', *(f"{name} = {v}" for name, v in SETTINGS.items())]))
    assert run("run", "moons.toml", "--run-dir", "b") == 0
    check_warned("b", capsys.readouterr().err)


def test_a_sweep_warns_once_and_of_a_budget_that_was_spent_before_it_had_a_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Nothing is trained, which is what the budget's warning is about; the others come before.
    assert run(*MOONS, "--seeds", "3", "--time-budget", "0.001s", "--run-dir", "a") == 0
    check_warned("a", capsys.readouterr().err, "time_budget=0.0s ran out before any run had finished")
