"""`stopcli recommend` as a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from program import run, summary_of
from recorded_curves import steps, valleys, walks, write_curves
from refusals import check_refused
from written_runs import write_run

FIRM = ["--patience", "0", "5", "10", "50", "--within", "2%"]


def folders(count: int) -> list[str]:
    return [str(path) for path in write_curves("curves", valleys(count))]


@pytest.mark.rendered
def test_a_firm_rule_is_printed_with_what_to_expect_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recommend", *folders(30), *FIRM, "--run-dir", "there") == 0
    printed = capsys.readouterr()
    assert "chosen by the others, on runs left out" in printed.out
    assert "Recommended: `--patience " in printed.err
    assert "Train by this rule:\n  stopcli moons --patience " in printed.err
    summary = summary_of("there")
    assert (summary["command"], summary["verdict"], summary["within"]) == ("recommend", "firm", 0.02)
    assert summary["recommended"]["flags"].startswith("--patience ")
    assert summary["recommended"]["settings"]["patience"] == int(summary["recommended"]["rule"].split(":")[1])
    assert 0 < summary["expected"]["regret"] <= summary["expected"]["regret_limit"] <= 0.02
    names = {path.name for path in Path("there").iterdir()}
    assert {"report.html", "report.md", "table.csv", "table.md", "folds.csv", "plots", "summary.json"} <= names
    assert sorted(path.name for path in Path("there/plots").iterdir()) == ["recommendation.png", "recommendation.svg"]
    capsys.readouterr()
    assert run("show", "there") == 0
    assert "Recommended: `--patience " in "".join(capsys.readouterr())


def test_json_alone_is_printed_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recommend", *folders(30), *FIRM, "--json", "--quiet", "--name", "rule") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    summary = json.loads(printed.out)
    assert Path(summary["run_dir"]).name.endswith("-recommend-rule")
    assert summary_of(summary["run_dir"]) == summary


def test_the_exit_status_says_whether_there_is_a_rule() -> None:
    four = [str(path) for path in write_curves("four", valleys(4))]
    assert run("recommend", *four, "--quiet") == 4
    none = [str(path) for path in write_curves("none", [steps(90, 0.5)] * 6)]
    assert run("recommend", *none, "--patience", "0", "5", "--quiet") == 3
    walking = [str(path) for path in write_curves("walks", walks(10))]
    assert run("recommend", *walking, "--quiet") in (3, 4)


def test_csv_files_of_other_programs_recommend_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    for seed, loss in enumerate(valleys(12)):
        rows = "\n".join(f"{epoch},{value}" for epoch, value in enumerate(loss, 1))
        Path(f"seed{seed}.csv").write_text(f"epoch,val_rmse\n{rows}\n")
    files = sorted(map(str, Path().glob("*.csv")))
    assert run("recommend", *files, "--within", "0.05", "--run-dir", "there") in (0, 4)
    summary = summary_of("there")
    assert summary["select"] == "val_rmse"
    assert summary["recommended"]["flags"].endswith("--monitor val_rmse")
    assert "left out, because" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "received no run, expected the folder of one run or more"),
        (["nowhere"], "nowhere: no such folder"),
        (["nowhere.csv"], "nowhere.csv: no such file"),
        (["a", "--within", "0"], "--within: received '0', expected a share of the best value above 0 and below 100 %"),
        (["a", "--within", "-1%"], "--within: received '-1%', expected a share"),
        (["a", "--within", "3"], "--within: received '3', expected a share"),
        (["a", "--within", "tight"], "--within: received 'tight', expected a share"),
        (["a", "--patience", "2", "a"], "Folders come before lists of values: stopcli recommend RUN"),
        (["a", "--stop", "gk:2"], "--stop: received 'gk:2', expected KIND:VALUE"),
        (["a", "--monitor", "val_los"], "--monitor: received 'val_los', expected a metric that a has recorded"),
        (["train-only"], "--monitor: received 'val_loss', expected a metric that train-only has recorded: loss"),
        (["a", "other.csv"], "not the same metric counts"),
        (["a", "--run-dir", "a"], "a already exists"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_and_leaves_nothing(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run("a")
    t = np.arange(1.0, 41)
    write_run("train-only", columns={"epoch": t, "step": t, "loss": 1 / t})
    Path("other.csv").write_text("epoch,val_loss,val_rmse\n1,2,3\n2,1,2\n")
    check_refused(["recommend", *words], answer, capsys, monkeypatch)


def test_tensorflow_is_never_imported_and_nothing_heavy_for_help_or_a_wrong_request() -> None:
    runs = folders(6)
    code = f"""
import sys
from stopcli.cli.main import main
def imported(*words):
    try:
        main(list(words))
    except SystemExit as exited:
        pass
    return [name for name in ("tensorflow", "keras", "sklearn", "matplotlib", "scipy") if name in sys.modules]
print(imported("recommend", "--help"), imported("recommend", "b"), imported("recommend", *{runs}), file=sys.stderr)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr.splitlines()[-1] == "[] [] ['matplotlib', 'scipy']"
