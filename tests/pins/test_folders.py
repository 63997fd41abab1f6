"""Run folders that earlier code wrote are read: by list, show, report, compare and replay, without TensorFlow."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pinned import FIXTURES, PINNED, check_document, facts
from program import run

RUNS = sorted(PINNED["shown"])
STUDIES = ("compare", "compare-arms", "replay")


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    """The one document that a command prints with --json."""
    capsys.readouterr()
    assert run(*argv, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_runs_are_listed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = printed(capsys, "list", "--runs-dir", "runs")
    # How much a file takes depends on the file system.
    assert all(line.pop("bytes") > 0 for line in listed)
    # Newer than what is pinned.
    assert all(line.pop("command") and line.pop("name") == "" for line in listed)
    pinned = PINNED["listed"]
    assert [sorted(line) for line in listed] == [sorted(line) for line in pinned]
    check_document(facts(listed), facts(pinned))
    assert run("list", "--runs-dir", "runs") == 0
    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    cells = {row[0]: row for row in rows}
    for line in pinned:
        row = cells[Path(line["path"]).name]
        assert row[1].startswith(line["state"])
        assert row[2] == line["epochs"]
        assert not line["best_value"] or f"{line['best_value']:.4f} at {line['best_epoch']}" in row[3]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_shown(name: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = printed(capsys, "show", f"runs/{name}")
    assert document.pop("bytes") > 0
    assert (document.pop("command"), document.pop("name")) == (document["summary"]["command"], "")
    check_document(facts(document), facts(PINNED["shown"][name]))
    capsys.readouterr()
    assert run("show", f"runs/{name}") == 0
    # Cells are broken where the terminal is narrow, and numbers are not.
    shown = re.findall(r"\d+\.\d+", capsys.readouterr().out)
    table = (PINNED["shown"][name]["summary"] or {}).get("table", {"rows": []})
    assert {number for row in table["rows"] for cell in row for number in re.findall(r"\d+\.\d+", cell)} <= set(shown)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_s_report_is_made_again(name: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name in STUDIES:
        assert run("report", f"runs/{name}", "--quiet") == 2
        return
    pinned = (runs / name / "report.md").read_text(encoding="utf-8")
    (runs / name / "report.md").unlink()
    files = [f"runs/{name}/report.md", f"runs/{name}/report.html"]
    assert printed(capsys, "report", f"runs/{name}", "--quiet") == [{"run": f"runs/{name}", "files": files}]
    again = (runs / name / "report.md").read_text(encoding="utf-8")
    assert _table_numbers(again) == _table_numbers(pinned)
    assert (runs / name / "report.html").stat().st_size > 5_000


def _table_numbers(report: str) -> list[list[str]]:
    """The numbers of every row of the tables of a report.md."""
    rows = (re.findall(r"\d+(?:\.\d+)?", line) for line in report.splitlines() if line.startswith("|"))
    return [row for row in rows if row]


@pytest.mark.parametrize("name", STUDIES)
def test_runs_are_compared_and_replayed_as_they_were(name: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(runs / name)
    argv = PINNED["commands"][name].split()
    summary = printed(capsys, *argv, "--quiet", "--run-dir", f"runs/{name}")
    assert summary == json.loads((runs / name / "summary.json").read_text(encoding="utf-8"))
    # Newer than what is pinned: what was decided after which seed.
    newer = ("Looked at after every seed", "At this spread")
    summary["conclusions"] = [text for text in summary["conclusions"] if not text.startswith(newer)]
    for difference in summary.get("differences", ()):
        sequential = difference.pop("sequential")
        assert sequential is None or (sequential["seeds"] and "decided" in sequential)
    pinned = FIXTURES / "runs" / name
    check_document(facts(summary), facts(json.loads((pinned / "summary.json").read_text(encoding="utf-8"))))
    written = {path.name for path in (runs / name).iterdir() if path.is_file()} - {".lock", "log.txt", "report.html"}
    assert written - {"decisions.csv"} == {path.name for path in pinned.iterdir()}
    for path in pinned.glob("*.csv"):
        assert _csv_numbers(runs / name / path.name) == _csv_numbers(path)


# Of table.csv, newer than what is pinned.
_NEWER = re.compile(r"_difference_(decided|decided_verdict|anytime_low|anytime_high)$")


def _csv_numbers(path: Path) -> list[list[str]]:
    """A CSV file's header and, of its rows, the cells that are no English; without columns that are newer."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    kept = [i for i, name in enumerate(rows[0]) if not _NEWER.search(name)]
    lines = [",".join(row[i] for i in kept) for row in rows]
    return [lines[0].split(","), *(re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])", line) for line in lines[1:])]


def test_published_results_are_judged_as_they_were(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the runs that there are: nothing is trained again."""
    pinned = json.loads((runs / "reproduction/reproduction/summary.json").read_text(encoding="utf-8"))
    shutil.rmtree(runs / "reproduction")
    written = {path: path.stat().st_mtime_ns for path in (runs / "reproduced").rglob("*") if path.is_file()}
    argv = ("reproduce", "small.toml", "--runs-dir", "runs/reproduced", "--to", "runs/reproduction", "--quiet")
    check_document(facts(printed(capsys, *argv)), facts(pinned))
    assert {path: path.stat().st_mtime_ns for path in written} == written
    names = ["REPRODUCTION.html", "REPRODUCTION.md", "reproduction"]
    assert sorted(path.name for path in (runs / "reproduction").iterdir()) == names
