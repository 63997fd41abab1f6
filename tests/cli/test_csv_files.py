"""CSV files of other programs in `stopcli replay` and `stopcli compare`, as runs beside those of stopcli."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from program import run, summary_of
from refusals import check_refused
from written_runs import write_run

CURVE = [0.9, 0.7, 0.6, 0.5, 0.55, 0.6, 0.52, 0.48, 0.5, 0.6, 0.7, 0.8]


def write_csv(path: str, values: Sequence[float] = CURVE, name: str = "val_rmse", **more: Sequence[float]) -> None:
    """A file with a row an epoch, counted from 1."""
    columns = {name: values, **more}
    rows = zip(range(1, len(values) + 1), *columns.values(), strict=True)
    lines = [",".join(["epoch", *columns]), *(",".join(map(str, row)) for row in rows)]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\n".join(lines) + "\n")


def experiments(*argv: str) -> list[dict[str, Any]]:
    """What `stopcli replay` finds."""
    assert run("replay", *argv, "--quiet", "--run-dir", "replayed") == 0
    results: list[dict[str, Any]] = summary_of("replayed")["experiments"]
    return results


def test_a_file_is_replayed_with_several_patiences() -> None:
    write_csv("history.csv")
    (experiment,) = experiments("history.csv", "--monitor", "val_rmse", "--patience", "2", "4", "50")
    assert [rule["stops"] for rule in experiment["rules"]] == [[6], [12], [None]]
    assert experiment["label"] == "history"
    # How many epochs were planned is not known: what does not fire may have fired later.
    (row,) = [line for line in Path("replayed/replay.csv").read_text().splitlines() if "patience:50" in line]
    assert "beyond_recording" in row
    assert "How many epochs were planned is not on record" in Path("replayed/report.md").read_text()


@pytest.mark.parametrize("name", ["val_loss", "val/loss", "val/rmse", "valid_loss", "eval_loss"])
def test_the_validation_loss_or_what_counts_is_monitored_as_the_file_spells_it(name: str) -> None:
    write_csv("history.csv", name=name)
    (experiment,) = experiments("history.csv", "--patience", "2")
    assert [rule["stops"] for rule in experiment["rules"]] == [[6]]
    assert run("report", "history.csv") == 0
    assert re.search("^The lowest validation (loss|RMSE) is 0.4800, at epoch 8.$", Path("history.md").read_text(), re.M)


def test_without_rules_those_are_replayed_whose_metrics_are_on_record(capsys: pytest.CaptureFixture[str]) -> None:
    write_csv("history.csv", loss=CURVE)
    assert run("replay", "history.csv", "--monitor", "val_rmse", "--json") == 0
    printed = capsys.readouterr()
    assert "left out, because val_loss is not on record: gl:1, " in " ".join(printed.err.split())
    rules = json.loads(printed.out)["experiments"][0]["rules"]
    assert [rule["rule"] for rule in rules] == [f"patience:{n}" for n in (0, 5, 10, 20, 50, 100, 200)]


def test_a_metric_that_is_missing_in_some_epochs_is_waited_for_in_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [f"{epoch},1,{0.5 if epoch else 0.4}" if epoch % 5 == 0 else f"{epoch},1,NA" for epoch in range(40)]
    Path("history.csv").write_text("epoch,loss,val_loss\n" + "\n".join(lines) + "\n")
    (experiment,) = experiments("history.csv", "--patience", "3", "--stop", "threshold:0.45")
    # Validated after epochs 1, 6, 11, 16, of which the first is the best.
    assert [rule["stops"] for rule in experiment["rules"]] == [[16], [1]]
    assert "val_loss was not measured after every epoch" in Path("replayed/report.md").read_text()


@pytest.mark.parametrize(
    ("paths", "seeds", "label"),
    [
        (["lstm-seed3.csv", "lstm-seed1.csv"], [3, 1], "lstm"),
        (["x/seed0.csv", "x/seed1.csv"], [0, 1], "x"),
        (["lightning_logs/version_4/metrics.csv", "lightning_logs/version_7/metrics.csv"], [4, 7], "lightning_logs"),
        (["x/first.csv", "y/second.csv"], [0, 1], "x, y"),
        (["x/seed1.csv", "y/seed1.csv"], [0, 1], "x, y"),
    ],
)
def test_files_with_the_same_columns_are_seeds_of_one_experiment(
    paths: list[str], seeds: list[int], label: str
) -> None:
    for path in paths:
        write_csv(path)
    (experiment,) = experiments(*paths, "--monitor", "val_rmse", "--patience", "3")
    assert experiment["n"] == 2
    assert experiment["label"] == label
    with Path("replayed/replay.csv").open(newline="") as file:
        assert [int(row["seed"]) for row in csv.DictReader(file)] == seeds


def test_files_with_other_columns_and_runs_are_other_experiments() -> None:
    write_csv("a.csv", name="val_loss")
    write_csv("b.csv", name="val_loss", loss=CURVE)
    write_run("ours", epochs=60)
    results = experiments("a.csv", "b.csv", "ours", "a.csv", "--patience", "3")
    assert [(experiment["label"], experiment["n"]) for experiment in results] == [("a", 1), ("b", 1), ("moons ours", 1)]


def arms(*argv: str) -> Mapping[str, list[int]]:
    """The arms that `stopcli compare` makes, with their seeds."""
    assert run("compare", *argv, "--metric", "val_rmse", "--quiet", "--run-dir", "compared") == 0
    return {arm["label"]: arm["seeds"] for arm in summary_of("compared")["things"]}


def shifted(by: float) -> list[float]:
    return [value + by for value in CURVE]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/seed0.csv", "a/seed1.csv", "b/seed0.csv", "b/seed1.csv"], {"a": [0, 1], "b": [0, 1]}),
        (["a/x.csv", "a/y.csv", "b/z.csv"], {"a": [0, 1], "b": [0]}),
        (["relu-seed0.csv", "relu-seed1.csv", "prelu-seed0.csv"], {"relu": [0, 1], "prelu": [0]}),
        (["units32.csv", "units64.csv"], {"units32": [32], "units64": [64]}),
        (["logs/version_0/metrics.csv", "logs/version_1/metrics.csv"], {"version_0": [0], "version_1": [1]}),
        (
            ["x/version_0/metrics.csv", "x/version_1/metrics.csv", "y/version_0/metrics.csv"],
            {"x": [0, 1], "y": [0]},
        ),
        (["p/a/seed0.csv", "q/a/seed0.csv"], {"a (p/a/seed0.csv)": [0], "a (q/a/seed0.csv)": [0]}),
    ],
)
def test_the_arms_of_files_are_their_folders_or_in_one_folder_the_files(
    paths: list[str], expected: dict[str, list[int]]
) -> None:
    for path in paths:
        write_csv(path)
    assert arms(*paths) == expected


def test_arms_are_paired_where_the_names_of_their_files_say_the_seeds() -> None:
    for i, seed in enumerate((3, 5, 8)):
        write_csv(f"a/seed{seed}.csv", shifted(0.01 * i))
        write_csv(f"b/seed{seed}.csv", shifted(0.01 * i + 0.002 * i + 0.1))
        write_csv(f"c/{'xyz'[i]}.csv", shifted(0.01 * i + 0.1))
    arms(*(f"{folder}/{path.name}" for folder in "abc" for path in sorted(Path(folder).iterdir())))
    paired = {(line["label"], line["view"]): line["paired"] for line in summary_of("compared")["differences"]}
    assert {label: paired[label, "final"] for label in "bc"} == {"b": True, "c": False}
    assert "unpaired, because the names of the files do not say their seeds" in Path("compared/report.md").read_text()


def test_the_baseline_is_named_by_its_label_or_its_folder() -> None:
    for folder in ("x/a", "x/b"):
        for seed in range(3):
            write_csv(f"{folder}/seed{seed}.csv", shifted(0.01 * seed))
    paths = sorted(map(str, Path("x").rglob("*.csv")))
    for i, baseline in enumerate(("b", "x/b")):
        assert run("compare", *paths, "--metric", "val_rmse", "--baseline", baseline, "--run-dir", f"by-{i}") == 0
        assert summary_of(f"by-{i}")["baseline"] == "b"


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (
            ["replay", "history.csv", "--monitor", "val_loss"],
            "--monitor: received 'val_loss', expected a metric that history.csv has recorded: val_rmse",
        ),
        (["replay", "history.csv", "--monitor", "val_rmsee"], "Did you mean val_rmse?"),
        (["replay", "histroy.csv"], "Did you mean history.csv?"),
        (
            ["replay", "bad.csv", "--monitor", "val_rmse"],
            "bad.csv, line 3, column val_rmse: received 'x', expected a number",
        ),
        (["replay", "history.csv", "bad.csv", "--monitor", "val_rmse"], "bad.csv, line 3"),
        (["replay", "odd.csv", "--monitor", "val_foo"], "--mode: received 'auto', expected 'min' or 'max', because"),
        (["replay", "held.csv", "--monitor", "test_rmse"], "Held-out test rows must not choose an epoch"),
        (["replay", "held.csv", "--monitor", "test/mae"], "A column of rows that may choose is called val_…"),
        (["replay", "."], "CSV files in it are named by themselves, such as bad.csv."),
        (["compare", "history.csv", "odd.csv", "--metric", "val_foe"], "Did you mean val_foo?"),
        (["compare", "history.csv"], "there is nothing to compare history (1 run) with"),
        (["resume", "history.csv"], "stopcli replay, compare and report read CSV files"),
        (["show", "history.csv"], "stopcli replay, compare and report read CSV files"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_made(
    argv: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv("history.csv")
    write_csv("odd.csv", name="val_foo")
    write_csv("held.csv", test_rmse=CURVE, **{"test/mae": CURVE})
    Path("bad.csv").write_text("epoch,val_rmse\n1,0.5\n2,x\n")
    check_refused(argv, answer, capsys, monkeypatch)


# Of 100 rules over 25 files of 4,000 epochs, in an interpreter of its own.
WORK = """
import sys, time
from pathlib import Path
from stopcli.analysis.arms import experiments_of
from stopcli.analysis.replay import ReplayOptions, replay_experiment
from stopcli.runs.recording import read_runs_and_recordings

rules = [*(f"gl:{i}" for i in range(1, 26)), *(f"pq:{i}" for i in range(1, 26)), *(f"up:{i}" for i in range(1, 21))]
options = ReplayOptions(tuple(range(0, 150, 5)), rules=tuple(rules), monitor="val_loss")
started = time.process_time()
(experiment,) = experiments_of(read_runs_and_recordings(sorted(Path("files").iterdir()), by="columns"))
results = replay_experiment(experiment, options.labelled_rules(), options.selecting_rule())
seconds = time.process_time() - started
print(experiment.label, results.n, len(results.rules), seconds, "tensorflow" in sys.modules)
"""


def test_a_hundred_rules_over_files_of_thousands_of_epochs_are_little_work() -> None:
    epochs, draw = range(4000), random.Random(0)
    losses = [0.3 + math.exp(-epoch / 250) + max(epoch - 800, 0) / 20000 + draw.gauss(0, 0.002) for epoch in epochs]
    Path("files").mkdir()
    lines = (f"{epoch},{1 / (epoch + 1)},{loss}" for epoch, loss in zip(epochs, losses, strict=True))
    text = "epoch,loss,val_loss\n" + "\n".join(lines) + "\n"
    for seed in range(25):
        Path(f"files/seed{seed}.csv").write_text(text)
    ended = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    label, n, rules, seconds, tensorflow = ended.stdout.split()
    assert (label, n, rules, tensorflow) == ("files", "25", "100", "False")
    # A quarter of a second on a machine where nothing else runs: 2 s for 100 files leave it twice as much.
    assert float(seconds) < 1


@pytest.mark.rendered
def test_a_report_lies_beside_the_file_with_its_curves_and_what_rules_would_have_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_csv("logs/a.csv", train_rmse=CURVE[::-1], loss=CURVE)
    assert run("report", "logs/a.csv") == 0
    assert sorted(path.name for path in Path("logs").iterdir()) == ["a.csv", "a.html", "a.md"]
    text, page = Path("logs/a.md").read_text(), Path("logs/a.html").read_text()
    assert "The lowest validation RMSE is 0.4800, at epoch 8." in text
    assert "| val_rmse | 0.4800 | 8 | 0.8000 |" in text
    assert "stopcli replay logs/a.csv --monitor val_rmse" in text
    assert "| patience:5 | beyond 12 | 1 of 1 |" in text
    # One picture with its description, within the page.
    assert page.count('src="data:image/svg+xml;base64,') == 1
    assert "a panel for each with a curve for each of its columns" in page
    assert "![" not in text


def test_a_report_is_never_written_over_another_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv("a.csv")
    write_csv("b.csv")
    Path("b.md").write_text("mine")
    check_refused(
        ["report", "a.csv", "b.csv"], "b.md already exists, and stopcli never overwrites", capsys, monkeypatch
    )
    check_refused(["report", "a.csv", "--to", "b.md"], "b.md already exists", capsys, monkeypatch)
    check_refused(["report", "a.csv", "c.csv"], "c.csv: no such file", capsys, monkeypatch)
    assert Path("b.md").read_text() == "mine"
    assert run("report", "b.csv", "--to", "c.html", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"run": "b.csv", "files": ["c.html"]}]


def test_the_report_of_metrics_whose_direction_nobody_knows_has_no_rules() -> None:
    write_csv("a.csv", name="val_foo", **{"val/bar": CURVE})
    assert run("report", "a.csv") == 0
    text = Path("a.md").read_text()
    assert "| val_foo | – | – | 0.8 |" in text
    assert "patience" not in text
