"""`stopcli list`, as it is typed: which runs, in which order, and what is printed of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import run
from refusals import check_refused
from written_runs import falling_curves, write_run

ROOT = Path("runs")
NAMES = [f"2026010{day}T000000Z-moons{name}" for day, name in enumerate(["-rooms", "-night", ""], start=1)]


@pytest.fixture(autouse=True)
def runs(own_folder: None) -> None:
    """Three runs, each started a day after the one before, the second of which is the best and has failed."""
    for day, (name, accuracy) in enumerate(zip(NAMES, [0.7, 0.9, 0.8], strict=True), start=1):
        state = "failed" if day == 2 else "finished"
        write_run(ROOT / name, state=state, columns=falling_curves(40, accuracy))
        status = {"state": state, "epoch": 40, "started": f"2026-01-0{day}T00:00:00+00:00"}
        (ROOT / name / "status.json").write_text(json.dumps(status))


def listed(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert run("list", *argv, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "indices"),
    [
        ("", [0, 1, 2]),
        ("--reverse", [2, 1, 0]),
        ("--sort val_accuracy", [1, 2, 0]),
        ("--sort val_accuracy --reverse", [0, 2, 1]),
        ("--sort val_accuracy --mode min", [0, 2, 1]),
        ("--command moons --state finished --sort val_accuracy", [2, 0]),
        ("--state failed died paused", [1]),
        ("--state failed,died --command moons clr", [1]),
        ("--name rooms", [0]),
        ("--name *s --sort name --reverse", [2, 0]),
        ("--older-than 1d --name -n", [1]),
        ("--newer-than 1d", []),
    ],
)
def test_options_select_and_sort(line: str, indices: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    names = [Path(document["path"]).name for document in listed(capsys, *line.split())]
    assert names == [NAMES[index] for index in indices]


def test_the_metric_that_sorts_is_in_the_table_and_in_the_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    best = {"metric": "val_accuracy", "epoch": 40, "value": pytest.approx(0.9)}
    assert listed(capsys, "--sort", "val_accuracy")[0]["sorted_by"] == best
    assert "sorted_by" not in listed(capsys)[0]
    monkeypatch.setenv("COLUMNS", "80")
    assert run("list", "--sort", "val_accuracy") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    # Its name is above the column, in two lines.
    assert [line.split() for line in lines[:2]] == [
        ["best"],
        ["run", "state", "epochs", "val_accuracy", "size", "age"],
    ]
    assert lines[-5].split()[:2] == [NAMES[1], "failed"]
    assert "0.9000 at 40" in lines[-5]
    assert lines[-1].startswith("total of 3 runs")


def test_a_kind_that_no_run_has_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--command", "clr") == 0
    assert "None of the 3 runs in runs is of that kind." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("--command mons", "--command: received 'mons', expected one of cifar-resnet, clr, "),
        ("--command none", "--command: received 'none'"),
        ("--state finishd", "Did you mean finished?"),
        ("--state none", "--state: received 'none', expected one of running, finished, "),
        ("--sort val_los", "Did you mean val_loss?"),
        ("--sort step --mode max", "--sort: received 'step', expected one of started, name, "),
        ("--mode up", "--mode: received 'up', expected one of auto, min, max"),
        ("--newer-than soon", "--newer-than: received 'soon', expected a length of time such as 90s"),
    ],
)
def test_what_no_run_can_have_is_refused(
    line: str, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_refused(["list", *line.split()], answer, capsys, monkeypatch)
