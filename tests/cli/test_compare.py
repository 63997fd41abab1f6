"""`stopcli compare` as a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from program import run
from refusals import check_refused
from written_runs import write_run, write_sweep


def test_results_are_on_stdout_and_talk_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep("sweep", {"simple": [0.9, 0.91, 0.92], "erased": [0.93, 0.94, 0.96]})
    assert run("compare", "sweep", "--run-dir", "there") == 0
    said = capsys.readouterr()
    for title in ("Results", "Test accuracy against simple", "Settings that differ", "Cost"):
        assert f"{title}\n" in said.out
    assert "erased against simple: test accuracy of the final model +0.0333" in said.err
    assert "there" in said.err
    assert run("compare", "sweep", "--json", "--quiet", "--baseline", "erased", "--name", "again") == 0
    said = capsys.readouterr()
    assert said.err == ""
    summary = json.loads(said.out)
    assert summary["baseline"] == "erased"
    assert Path(summary["run_dir"]).name.endswith("-compare-again")
    assert json.loads((Path(summary["run_dir"]) / "summary.json").read_text()) == summary


def test_what_counts_as_equal_is_asked_for_and_changes_no_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    write_sweep("old", {"old": [0.900, 0.902, 0.904, 0.901, 0.903, 0.902, 0.900, 0.904]}, old={"patience": 5})
    write_sweep("new", {"new": [0.901, 0.901, 0.905, 0.900, 0.904, 0.901, 0.901, 0.903]}, new={"patience": 6})
    assert run("compare", "old", "new", "--require", "not-worse", "--by", "0.01") == 0
    capsys.readouterr()
    for resolve, decided in (("0.05", "after 5 seeds: equal"), ("0.0001", "undecided")):
        words = ["compare", "old", "new", "--require", "not-worse", "--by", "0.01", "--resolve", resolve]
        assert run(*words) == 0
        out, err = capsys.readouterr()
        assert decided in out
        assert ("more seeds would tell a difference of 0.0001" in err) == (decided == "undecided")


def test_what_was_found_can_be_shown_again_and_is_no_run_to_go_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    write_run("a", patience=5)
    write_run("b", patience=6)
    assert run("compare", "a", "b", "--quiet", "--run-dir", "there") == 0
    found = json.loads(Path("there/summary.json").read_text())
    capsys.readouterr()
    assert run("show", "there") == 0
    said = capsys.readouterr().out
    assert said.startswith("there: finished, started ")
    # Names of columns may stand in two lines.
    for word in (*" ".join(found["table"]["columns"]).split(), *found["conclusions"]):
        assert word in said
    assert run("show", "there", "--json") == 0
    assert json.loads(capsys.readouterr().out)["summary"] == found
    for command in ("resume", "report"):
        assert run(command, "there") == 2
        assert "there: not a run folder, but the results of stopcli compare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["a"], "there is nothing to compare moons a (1 run) with"),
        (["a", "nowhere"], "nowhere: no such folder"),
        (["a", "b", "--baseline", "c"], "--baseline: received 'c', expected one of the arms: 'a', 'b'"),
        (["a", "b", "--metric", "c"], "--metric: received 'c', expected a value that the runs have"),
        (["a", "b", "--resolve", "0"], "--resolve: received '0', expected a number > 0, a share of the baseline"),
        (["a", "b", "--resolve", "2%x"], "--resolve: received '2%x', expected a number > 0, a share of the baseline"),
        (["a", "b", "--run-dir", "a"], "a already exists"),
        ([], "received no RUN..., expected"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_and_leaves_nothing(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run("a", patience=5)
    write_run("b", patience=6)
    check_refused(["compare", *words], answer, capsys, monkeypatch)


def test_nothing_is_imported_that_is_not_needed() -> None:
    write_run("a", patience=5)
    write_run("b", patience=6)
    code = """
import sys
from stopcli.cli.main import main
def imported(*words):
    try:
        main(list(words))
    except SystemExit as exited:
        pass
    return [name for name in ("tensorflow", "keras", "sklearn", "matplotlib", "scipy") if name in sys.modules]
print(imported("compare", "--help"), imported("compare", "a"), imported("compare", "a", "b"), file=sys.stderr)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr.splitlines()[-1] == "[] [] ['matplotlib']"


@pytest.mark.slow
def test_runs_of_the_program_itself_are_compared(finished_moons: Path, quick: None) -> None:
    words = ["moons", "--hidden", "50", "--batch-size", "8", "--epochs", "30", "--quiet"]
    assert run(*words, "--run-dir", "short") == 0
    assert run("compare", str(finished_moons), "short", "--quiet", "--run-dir", "there") == 0
    summary = json.loads(Path("there/summary.json").read_text())
    assert {"patience", "epochs", "restore_best"} <= set(summary["settings"]["differ"])
    (final, _) = summary["differences"]
    accuracies = [
        json.loads((folder / "summary.json").read_text())["final"]["test"]["accuracy"]
        for folder in (finished_moons, Path("short"))
    ]
    assert final["mean"] == pytest.approx(accuracies[1] - accuracies[0])
    assert "McNemar's exact p" in final["words"]
    assert "on the same 70 test rows" in final["words"]
