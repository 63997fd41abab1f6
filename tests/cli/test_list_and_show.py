"""`stopcli list` and `stopcli show`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import run
from small_runs import died

from stopcli.runs.folder import RunFolder


@pytest.mark.slow
def test_runs_are_listed_and_shown_without_tensorflow(finished_moons: Path) -> None:
    shutil.copytree(finished_moons, "runs/one")
    died(finished_moons, 1500, to="runs/two")
    Path("runs/no-run").mkdir()
    code = """
import sys
from stopcli.cli.main import main
for words in (["list"], ["list", "--json"], ["show", "runs/one"], ["show", "runs/two"], ["show", "runs/one", "--json"]):
    try:
        main(words)
    except SystemExit as exited:
        assert not exited.code, exited.code
print([name for name in ("tensorflow", "keras", "matplotlib", "sklearn") if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
    assert "runs/two: died, 1500 epochs" in told.stdout
    assert "Resume it:\n  stopcli resume two" in told.stdout
    assert "Stopped at epoch" in told.stdout
    listed = json.loads(subprocess.run(
        [sys.executable, "-m", "stopcli", "list", "--json"], capture_output=True, text=True, check=True
    ).stdout)  # fmt: skip
    assert {Path(line["path"]).name: line["state"] for line in listed} == {"one": "finished", "two": "died"}
    with RunFolder.reopen(Path("runs/two")):
        again = subprocess.run(
            [sys.executable, "-m", "stopcli", "show", "runs/two"], capture_output=True, text=True, check=True
        )
    assert "runs/two: running" in again.stdout


@pytest.mark.slow
def test_one_of_anything_is_told_in_the_singular_and_show_names_the_arm_as_the_run(
    quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("moons", "--epochs", "1", "--run-dir", "one") == 0
    said = capsys.readouterr()
    assert run("show", "one") == 0
    shown = capsys.readouterr()
    first, *results = shown.out.splitlines()
    assert "one: finished, 1/1 epoch, started" in first
    assert said.out.splitlines() == results[:4]
    assert results[0] == "Arm          no stopping"
    told = said.out + said.err + shown.out + Path("one/report.md").read_text()
    assert re.findall(r"(?<![\d.,])1 [a-z]+s\b", told) == []
