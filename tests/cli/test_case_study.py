"""`stopcli moons --case-study`: the published arms from one training are those of the live commands, exactly."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from program import run, summary_of
from quick_runs import quick_runs
from small_runs import died

from stopcli.runner.verify import model_arrays
from stopcli.stats.intervals import mean_interval

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]
CASE_MODEL = "checkpoints/patience-200-best.keras"


@pytest.fixture(scope="module")
def study(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "study"
    with quick_runs():
        assert run("moons", "--case-study", "--quiet", "--run-dir", str(folder)) == 0
    return folder


def arms_of(folder: Path | str) -> dict[str, dict[str, Any]]:
    return {arm["name"]: arm for arm in summary_of(folder)["case_study"]}


def told(epochs: int, saved: int | None, measured: dict[str, Any]) -> dict[str, Any]:
    return {
        "stopped_at": epochs,
        "saved_epoch": saved,
        "train_accuracy": measured["train"]["accuracy"],
        "test_accuracy": measured["test"]["accuracy"],
    }


@pytest.mark.parametrize("arm", ["no stopping", "patience 0", "patience 200"])
def test_an_arm_is_what_its_live_command_gives(arm: str, study: Path) -> None:
    words = () if arm == "no stopping" else ("--patience", arm.split()[1])
    assert run("moons", *words, "--quiet", "--run-dir", "live") == 0
    live, arms = summary_of("live"), arms_of(study)
    assert arms[arm]["measured"] == told(live["epochs"], None, live["final"])
    if not words:
        assert (study / "metrics.csv").read_bytes() == Path("live/metrics.csv").read_bytes()
    if arm == "patience 200":
        saved = arms["patience 200, best saved"]["measured"]
        assert saved == told(live["epochs"], live["best"]["epoch"], live["best"])
        # Weights and optimizer slots, as they lie in the files.
        assert model_arrays(study / CASE_MODEL) == model_arrays(Path("live/checkpoints/best.keras"))


def test_what_was_published_stands_beside_it(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = summary_of(study)["table"]["rows"]
    assert [row[2:] for row in rows if row[1] == "published"] == [
        ["4000", "–", "1.000", "0.914"],
        ["219", "–", "0.967", "0.814"],
        ["1033", "–", "1.000", "0.943"],
        ["1044", "879", "1.000", "0.943"],
    ]
    measured = [row for row in rows if row[1] == "seed 0"]
    assert [row[0] for row in measured] == [row[0] for row in rows if row[1] == "published"]
    assert "[" in measured[0][-1]
    with (study / "case_study.csv").open() as file:
        assert [list(row.values()) for row in csv.DictReader(file)] == rows
    assert run("show", str(study)) == 0
    shown = capsys.readouterr().out
    assert "finished, 4000/4000 epochs" in shown
    assert "patience 200, best saved" in shown
    assert "All arms come from one training" in (study / "report.md").read_text()


def test_a_study_that_died_before_its_arms_were_measured_goes_on_to_the_same(study: Path) -> None:
    run_dir = died(study, 4000)
    (run_dir / CASE_MODEL).unlink()
    assert run("resume", str(run_dir), "--quiet") == 0
    assert arms_of(run_dir) == arms_of(study)
    assert model_arrays(run_dir / CASE_MODEL) == model_arrays(study / CASE_MODEL)


def test_a_study_can_be_trained_further_than_one_call_of_the_compiled_loop_goes(study: Path) -> None:
    shutil.copytree(study, "longer")
    assert run("resume", "longer", "--epochs", "4200", "--quiet") == 0
    longer, arms = arms_of("longer"), arms_of(study)
    assert longer["no stopping"]["measured"]["stopped_at"] == 4200
    assert longer["no stopping"]["published"] is None
    for name in list(arms)[1:]:
        assert longer[name] == arms[name]


def test_seeds_give_each_arm_s_mean_and_interval(study: Path) -> None:
    assert run("moons", "--case-study", "--seeds", "3", "--epochs", "400", "--quiet", "--run-dir", "sweep") == 0
    summary = summary_of("sweep")
    assert [job["name"] for job in summary["jobs"]] == [f"case-study-seed{seed}" for seed in range(3)]
    with Path("sweep/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    stops = [float(row["stopped_at"]) for row in rows if row["arm"] == "patience 0"]
    assert stops[0] == arms_of(study)["patience 0"]["measured"]["stopped_at"]
    found = next(arm for arm in summary["case_study"] if arm["name"] == "patience 0")["measured"]["stopped_at"]
    expected = mean_interval(stops)
    assert (found["n"], found["mean"], found["low"]) == (3, expected.mean, expected.low)
    # Patience 200 has not stopped anything yet, so that nothing published can be compared with it, nor with 400 epochs.
    assert {row[0] for row in summary["table"]["rows"] if row[1] == "published"} == {"patience 0"}
    assert "patience 200: in 3 of 3 seeds it ran all epochs without stopping." in summary["conclusions"]
    assert any(words.startswith("patience 0 against no stopping: test accuracy") for words in summary["conclusions"])
