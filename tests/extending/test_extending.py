"""What docs/extending.md says to do is done here on a copy of the package: its files, its lines, its commands."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import stopcli

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)


def carry_out(section: str, package: Path) -> tuple[int, int]:
    """Write a section's files and add its lines. Returns how many files are new, and how many are edited."""
    files, edits = blocks(section, "python"), blocks(section, "diff")
    for block in files:
        path = package / block.partition("\n")[0].removeprefix("# ")
        assert not path.exists()
        path.write_text(block.partition("\n")[2], encoding="utf-8")
    edited = set()
    for block in edits:
        header, *lines = block.splitlines()
        path = package / header.removeprefix("+++ ")
        before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
        after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, before
        path.write_text(text.replace(before, after), encoding="utf-8")
        edited.add(path)
    return len(files), len(edited)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a copy of the package."""
    source = Path(stopcli.__file__).parent
    shutil.copytree(source, tmp_path / "copy" / "stopcli", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


@pytest.fixture
def run(package: Path, tmp_path: Path) -> Run:
    """Runs a command line of the page in an empty folder, with the copy."""
    work = tmp_path / "work"
    work.mkdir()

    def run(command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        assert command.startswith("stopcli ")
        words = [sys.executable, "-m", "stopcli", *shlex.split(command, comments=True)[1:]]
        environment = {**os.environ, "PYTHONPATH": str(package), "COLUMNS": "200", "TF_CPP_MIN_LOG_LEVEL": "3"}
        ended = subprocess.run(words, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == status, ended.stderr
        return ended

    return run


def test_a_rule_takes_a_file_and_a_line(package: Path, run: Run, tmp_path: Path) -> None:
    assert carry_out("A stopping rule", package) == (1, 1)
    shutil.copytree(PROJECT / "tests" / "fixtures" / "runs" / "moons", tmp_path / "work" / "RUN")
    (command,) = blocks("A stopping rule", "shell")
    run(f"{command.strip()} --run-dir replay")
    with (tmp_path / "work" / "replay" / "replay.csv").open(encoding="utf-8") as file:
        rows = {row["rule"]: row for row in csv.DictReader(file)}
    assert rows["flat:0.05:4"]["ended"] == "flat"
    assert rows["all(flat:0.05:4@val_accuracy,patience:5)"]["ended"] == "all_of"
    assert rows["flat:0.05:4 β=0.5"]["describes"] == "smoothed val_loss within 0.05 for 4 epochs smooth=0.5"
    assert "flat:0.01:20" in run("stopcli replay RUN --stop flat", 2).stderr
    assert "flat:0.01:20 (within 0.01 for 20 epochs)" in " ".join(run("stopcli moons --help").stdout.split())
    assert "expected a number ≥ 0 as width" in run("stopcli replay RUN --stop flat:-1", 2).stderr


def test_a_schedule_takes_a_file_and_a_line(package: Path, run: Run) -> None:
    assert carry_out("A learning-rate schedule", package) == (1, 1)
    (command,) = blocks("A learning-rate schedule", "shell")
    assert "--lr-min: received 1.0, expected less than learning_rate (0.1)" in run(command, 2).stderr
    assert "linear" in run("stopcli cifar-resnet --help-all").stdout


def test_a_setting_takes_a_line(package: Path, run: Run) -> None:
    carry_out("A learning-rate schedule", package)
    # The second file is the schedule above, which reads the setting.
    assert carry_out("A setting", package) == (0, 2)
    (command,) = blocks("A setting", "shell")
    assert "--lr-power: received 0.0, expected more than 0" in run(command, 2).stderr
    assert "linear: the exponent of the fall, > 0." in run("stopcli cifar-resnet --help-all").stdout
    print_warnings = (
        "from stopcli.configs.base import parse; from stopcli.configs.classifier import CifarResnetConfig as C; "
        "print(*parse(C, {'lr_power': 2.0}).warnings(), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(package)}
    ended = subprocess.run([sys.executable, "-c", print_warnings], env=environment, capture_output=True, check=True)
    assert b"lr_power has no effect with lr_policy step" in ended.stdout


@pytest.mark.slow
def test_a_command_takes_two_files_and_a_line_and_trains_with_all_that_was_added(
    package: Path, run: Run, tmp_path: Path
) -> None:
    carry_out("A stopping rule", package)
    carry_out("A learning-rate schedule", package)
    assert carry_out("A model", package) == (1, 1)
    assert carry_out("An image data set", package) == (1, 1)
    carry_out("A setting", package)
    assert carry_out("A command", package) == (2, 1)
    (command,) = blocks("A command", "shell")
    output = run(command).stderr
    assert "Data: stripes, 2 classes, 16 × 16: 200 images to train on" in output
    assert "ConvNet" in output
    assert "learning rate 0.05 to 0 along a line" in output
    folder = tmp_path / "work" / "stripes"
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (summary["command"], summary["dataset"], summary["stop"]["reason"]) == ("stripes", "stripes", "flat")
    assert "the metric had become flat (val_loss within 0.2 for 3 epochs)" in (folder / "report.md").read_text("utf-8")
    with (folder / "steps.csv").open(encoding="utf-8") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    updates = 30 * 4
    assert rates == pytest.approx([0.05 * (1 - step / updates) ** 2 for step in range(len(rates))], rel=1e-4)
    assert "Train a small network on stripes." in run("stopcli --help").stdout
