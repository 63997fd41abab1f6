"""What every command that reads runs makes of two recorded runs, whoever trained them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from program import run, summary_of

from stopcli import Patience, Recorder


def check_commands(recorder: Recorder, other: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """List, show, replay, compare and report a run that patience has stopped, and one that differs by a setting."""
    rule, verdict, path = recorder.rule, recorder.verdict, recorder.path
    assert isinstance(rule, Patience)
    assert verdict is not None
    assert run("list", "--runs-dir", str(path.parent)) == 0
    assert path.name in capsys.readouterr().out
    assert run("show", str(path)) == 0
    assert f"Stopped at epoch {verdict.epoch}" in capsys.readouterr().out
    rules = ("--monitor", rule.monitor, "--patience", "1", str(rule.patience), "--min-delta", str(rule.min_delta))
    assert run("replay", str(path), *rules, "--quiet", "--run-dir", f"{path.name}-replayed") == 0
    with Path(f"{path.name}-replayed/replay.csv").open(encoding="utf-8", newline="") as file:
        replayed = {row["describes"]: (int(row["epochs"]), int(row["kept_epoch"])) for row in csv.DictReader(file)}
    assert replayed[rule.describe()] == (verdict.epoch, recorder.best_epoch)
    assert run("compare", str(path), str(other.path), "--quiet", "--run-dir", f"{path.name}-compared") == 0
    assert len(summary_of(f"{path.name}-compared")["things"]) == 2
    assert run("report", str(path)) == 0
    assert f"epoch {verdict.epoch}" in (path / "report.md").read_text(encoding="utf-8")
    capsys.readouterr()
