"""`stopcli replay` as a program, and that a replay says what the runs themselves did."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from program import run, summary_of
from refusals import check_refused
from written_runs import write_run

LIVE = {
    "patience:0": ["--patience", "0"],
    "patience:200": ["--patience", "200"],
    "patience:50 δ=0.001": ["--patience", "50", "--min-delta", "0.001"],
    "gl:5": ["--stop", "gl:5"],
    "pq:0.5": ["--stop", "pq:0.5"],
    "up:3": ["--stop", "up:3"],
    "up:2:50": ["--stop", "up:2:50"],
    "threshold:0.25": ["--threshold", "0.25"],
}


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow", "quick")
def test_a_replay_of_4000_epochs_stops_exactly_where_runs_with_these_rules_did() -> None:
    assert run("moons", "--no-checkpoint", "--quiet", "--run-dir", "whole") == 0
    asked = ["--patience", "0", "50", "200", "--min-delta", "0", "0.001"]
    rules = [label for label in LIVE if not label.startswith("patience")]
    assert run("replay", "whole", *asked, "--stop", *rules, "--quiet", "--run-dir", "replayed") == 0
    with Path("replayed/replay.csv").open(encoding="utf-8", newline="") as file:
        replayed = {row["rule"]: row for row in csv.DictReader(file)}
    for number, (label, flags) in enumerate(LIVE.items()):
        assert run("moons", "--no-checkpoint", "--quiet", *flags, "--run-dir", f"live-{number}") == 0
        summary, row = summary_of(f"live-{number}"), replayed[label]
        stop = summary["stop"]
        assert (row["ended"], int(row["epochs"])) == (stop["reason"], summary["epochs"]), label
        # A threshold keeps no best epoch in its verdict.
        if stop["reason"] != "threshold":
            assert (int(row["kept_epoch"]), float(row["kept_value"])) == (stop["best_epoch"], stop["best_value"]), label
        assert row["describes"] == stop["rule"]
    assert f'"{rules[0]}"' in Path("live-3/report.md").read_text()


def test_results_are_on_stdout_and_talk_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("a", epochs=400)
    write_run("b", epochs=60, seed=1, state="interrupted")
    assert run("replay", "a", "b", "--patience", "5", "200", "--run-dir", "there") == 0
    said = capsys.readouterr()
    assert "moons a, 2 runs\n" in said.out
    assert "patience:200" in said.out
    assert "Warning: not finished (interrupted), and replayed as far as recorded: b." in said.err
    assert "Did not stop: patience:5, patience:200 in 2 of 2 runs." in said.err
    assert run("replay", "a", "--rule", "up:3,", "gl:2", "--json", "--quiet", "--name", "again") == 0
    said = capsys.readouterr()
    assert said.err == ""
    summary = json.loads(said.out)
    assert [rule["rule"] for rule in summary["experiments"][0]["rules"]] == ["up:3", "gl:2"]
    assert Path(summary["run_dir"]).name.endswith("-replay-again")
    assert summary_of(summary["run_dir"]) == summary


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "received no run, expected the folder of one run or more"),
        (["nowhere"], "nowhere: no such folder"),
        (["no-run"], "no-run: not a run folder (config.toml and status.json missing)"),
        (["a", "--patience", "2", "a"], "Folders come before lists of values"),
        (["a", "--rule", "gl:2", "a"], "Folders come before lists of values"),
        (["a", "--stop", "hunch"], "--stop: received 'hunch', expected KIND:VALUE"),
        (["a", "--patience", "a" * 300], "--patience: received 'aaa"),
        (["a", "--min-delta", "little"], "--min-delta: received 'little', expected a finite number ≥ 0, or a share"),
        (["a", "--patience"], "--patience: received '', expected one whole number or more"),
        (
            ["a", "--monitor", "val_los"],
            "--monitor: received 'val_los', expected a metric that a has recorded: loss, accuracy",
        ),
        (["a", "--run-dir", "a"], "a already exists"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_and_leaves_nothing(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run("a")
    Path("no-run").mkdir()
    check_refused(["replay", *words], answer, capsys, monkeypatch)


def test_nothing_is_imported_that_is_not_needed() -> None:
    write_run("a")
    code = """
import sys
from stopcli.cli.main import main
def imported(*words):
    try:
        main(list(words))
    except SystemExit as exited:
        pass
    return [name for name in ("tensorflow", "keras", "sklearn", "matplotlib", "scipy") if name in sys.modules]
print(imported("replay", "--help"), imported("replay", "b"), imported("replay", "a"), file=sys.stderr)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr.splitlines()[-1] == "[] [] ['matplotlib']"
