"""examples/houses: the commands of its nights on real tables, and what its script does with each exit status."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import run
from quick_runs import quick_runs

HOUSES = Path(__file__).parent.parent.parent / "examples" / "houses"
# A program in the place of stopcli, which keeps its arguments and ends as it is told to.
STOPCLI = """#!/bin/sh
echo "$@" >> calls
case $1 in
    fit|resume)
        for word; do case $word in runs/2*) folder=$word ;; esac; done
        mkdir -p "$folder"
        echo "{\\"state\\": \\"${STATE:-finished}\\"}" > "$folder/status.json"
        exit "${TRAINED:-0}" ;;
    compare) exit "${GATE:-0}" ;;
esac
"""


def write_table(day: int) -> None:
    """The table of a day, by the program that the page names."""
    arguments = sys.argv
    sys.argv = ["houses.py", "--day", str(day)]
    try:
        runpy.run_path(str(HOUSES / "houses.py"), run_name="__main__")
    finally:
        sys.argv = arguments


def commands() -> dict[str, list[str]]:
    """The script's calls of stopcli, by what they are, without its variables."""
    text = (HOUSES / "nightly.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    calls = [
        shlex.split(call) for call in re.findall(r"(?:^ *|\|\| )stopcli ([^|\n]+?)(?: \|\||$)", text, re.MULTILINE)
    ]
    names = ["resume", "night", "first", "gate", "predict"]
    return dict(zip(names, calls, strict=True))


def test_a_table_of_a_later_day_begins_with_that_of_an_earlier_one() -> None:
    write_table(1)
    first, today = Path("houses.csv").read_text(), Path("today.csv").read_text()
    write_table(2)
    later = Path("houses.csv").read_text()
    assert later.startswith(first)
    assert len(later.splitlines()) == len(first.splitlines()) + 200
    assert Path("today.csv").read_text() != today
    assert "price" not in today


@pytest.mark.slow
def test_the_commands_of_two_nights_train_tell_and_predict(tensorflow: None) -> None:
    said = commands()
    values = {"$night": "second", "tables/$night.csv": "houses.csv", "runs/$night": "runs/second", "$budget": "1h"}
    values |= {
        "runs/$(cat published)": "runs/first",
        "runs/$night-gate": "runs/gate",
        "prices-$night.csv": "prices.csv",
    }

    def call(name: str, *options: str, **others: str) -> int:
        words = [(values | others).get(word, word) for word in said[name]]
        return run(*words, *options)

    with quick_runs():
        write_table(0)
        assert call("first", "--epochs", "2", "--quiet", **{"runs/$night": "runs/first"}) == 0
        write_table(1)
        assert call("night", "--epochs", "2", "--quiet") == 0
        assert call("gate", "--quiet") in (0, 3, 4)
        found = json.loads(Path("runs/gate/summary.json").read_text())["gate"]
        assert found["low"] < found["difference"] < found["high"]
        assert "for which first's model was measured (before.npz)" in found["words"]
        assert call("predict", "--quiet") == 0
    assert len(Path("prices.csv").read_text().splitlines()) == 11


def night(**values: str) -> int:
    """A night of the script with the other program."""
    environment = {**os.environ, "PATH": f"{Path.cwd()}:{os.environ['PATH']}", "FOLDER": str(Path.cwd()), **values}
    return subprocess.run(["sh", "nightly.sh"], env=environment, capture_output=True, check=False).returncode


@pytest.mark.skipif(shutil.which("flock") is None, reason="the script needs flock of util-linux")
def test_the_script_publishes_goes_on_and_keeps_the_old_model(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(HOUSES / "nightly.sh", "nightly.sh")
    Path("stopcli").write_text(STOPCLI)
    Path("stopcli").chmod(0o755)
    Path("date").write_text("#!/bin/sh\necho 2$(cat day)\n")
    Path("date").chmod(0o755)
    Path("houses.csv").write_text("id,price\n")

    def calls_of(day: int, **values: str) -> tuple[int, list[str]]:
        Path("day").write_text(str(day))
        Path("calls").write_text("")
        status = night(**values)
        return status, [line.split()[0] for line in Path("calls").read_text().splitlines()]

    # The first run goes on until it has finished. Later, time ends a night, which is asked about and published.
    assert calls_of(1, STATE="paused") == (0, ["fit"])
    assert not Path("published").exists()
    assert calls_of(2) == (0, ["resume", "predict"])
    assert Path("published").read_text().strip() == "21"
    assert calls_of(3, STATE="paused") == (0, ["fit", "compare", "predict"])
    assert Path("published").read_text().strip() == "23"
    assert calls_of(4, TRAINED="143", STATE="interrupted") == (143, ["fit"])
    assert calls_of(5, STATE="paused") == (0, ["resume", "compare", "predict"])
    assert Path("published").read_text().strip() == "24"
    assert calls_of(6, GATE="3") == (3, ["fit", "compare", "predict"])
    assert calls_of(7, GATE="4") == (0, ["fit", "compare", "predict"])
    assert calls_of(8, TRAINED="5") == (0, ["fit"])
    assert not Path("tonight").exists()
    assert calls_of(9, TRAINED="1", STATE="failed") == (1, ["fit"])
    # A fault of the gate is no answer: it is asked again.
    assert calls_of(10, GATE="2", STATE="paused") == (2, ["resume", "compare"])
    assert calls_of(11, GATE="4") == (0, ["compare", "predict"])
    assert Path("published").read_text().strip() == "24"
