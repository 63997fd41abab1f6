"""`--json`: one document alone on stdout, whatever the command and however it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from program import run, summary_of
from small_runs import died

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    """What a command prints on stdout, as JSON that knows no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    capsys.readouterr()
    assert run(*words, "--json") == status
    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_runs_that_are_made_again_gone_on_with_shown_and_listed(
    finished_moons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished_moons, "runs/one")
    died(finished_moons, 1500, to="runs/two")
    shown = told(capsys, "show", "runs/two")
    assert (shown["state"], shown["summary"]) == ("died", None)
    assert told(capsys, "resume", "runs/two") == summary_of("runs/two")
    assert told(capsys, "show", "runs/one")["summary"] == summary_of("runs/one")
    assert [line["state"] for line in told(capsys, "list")] == ["finished", "finished"]
    assert told(capsys, "run", "runs/one/config.toml", "--run-dir", "runs/three") == summary_of("runs/three")
    assert told(capsys, "list", "--runs-dir", "nowhere") == []


def test_numbers_that_are_none_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    summary = told(capsys, "moons", "--learning-rate", "1e30", "--run-dir", "a", status=1)
    assert summary == summary_of("a")
    assert summary["final"]["train"]["loss"] is None
    assert told(capsys, "show", "a")["summary"] == summary
    assert [line["best_value"] for line in told(capsys, "list", "--runs-dir", ".")] == [None]


def test_range_tests(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("lr-range", "--dataset", "moons", "--model", "mlp", "--run-dir", "a")
    assert told(capsys, *words) == summary_of("a")
