"""Runs that go on under other stopping rules: as if they had had them from their beginning, to the bit, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from program import run, status_of, summary_of
from quick_runs import quick_runs
from refusals import check_refused

from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.files import read_toml
from stopcli.training.state_file import StateStore

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]

# The best val_loss is that of epoch 20, and it rises slowly after it.
MOONS = [
    "moons", "--hidden", "20", "--batch-size", "8", "--learning-rate", "0.02", "--epochs", "200",
    "--checkpoint-every", "30", "--quiet",
]  # fmt: skip
ALL = "all(patience:30@val_loss,patience:10:1%@val_accuracy)"
IMAGES = [
    "cifar-resnet", "--dataset", "digits", "--image-size", "8", "--depth", "8", "--limit", "300", "--test-limit", "200",
    "--batch-size", "48", "--epochs", "5", "--quiet",
    # Never better than in the first epoch, so every epoch after it reduces the learning rate.
    "--lr-policy", "plateau", "--lr-patience", "1", "--monitor", "accuracy", "--mode", "min",
]  # fmt: skip


@pytest.fixture(scope="module")
def stopped(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of moons that patience has stopped at epoch 40 of 200."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with quick_runs():
        assert run(*MOONS, "--patience", "20", "--run-dir", str(folder)) == 0
    stop = summary_of(folder)["stop"]
    assert (stop["reason"], stop["epoch"]) == ("patience", 40)
    return folder


@pytest.fixture
def again(stopped: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(stopped, "run"))


def check_same(resumed: Path, *words: str) -> None:
    """A run has come out as one with these words, which nothing has stopped."""
    assert run(*words, "--run-dir", "whole") == 0
    assert compare(fingerprint_of(Path("whole")), fingerprint_of(resumed)) == []
    expected, found = summary_of("whole"), summary_of(resumed)
    for name in ("state", "stop", "final", "best", "epochs", "max_epochs", "steps", "monitor", "arm", "warnings"):
        assert expected[name] == found[name], name
    assert read_toml(Path("whole/config.toml")) == read_toml(resumed / "config.toml")


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        (["--patience", "45", "--epochs", "60"], ["--patience", "45", "--epochs", "60"]),
        (["--patience", "60", "--monitor", "val_accuracy"],) * 2,
        (
            ["--patience", "none", "--threshold", "0.115", "--monitor", "loss"],
            ["--threshold", "0.115", "--monitor", "loss"],
        ),
        (["--patience", "none", "--stop", "gl:20", "pq:40", "up:9"], ["--stop", "gl:20", "pq:40", "up:9"]),
        (["--patience", "40", "--restore-best"],) * 2,
        (["--patience", "35", "--min-delta", "1%", "--smooth", "0.7", "--stop", ALL],) * 2,
    ],
    ids=lambda words: " ".join(words),
)
def test_a_stopped_run_goes_on_as_if_the_rules_had_been_there_from_the_beginning(
    changes: list[str], rules: list[str], again: Path
) -> None:
    assert run("resume", "run", *changes, "--quiet") == 0
    assert summary_of(again)["epochs"] > 40
    check_same(again, *MOONS, *rules)


def test_the_change_is_on_record_and_a_run_can_be_changed_again(again: Path) -> None:
    assert run("resume", "run", "--patience", "50", "--restore-best", "--quiet") == 0
    # It ended with the best model; what goes on is the last epoch's.
    assert run("resume", "run", "--patience", "70", "--min-delta", "0.001", "--quiet") == 0
    resumed = json.loads((again / "environment.json").read_text())["resumed"]
    assert [session["from_epoch"] for session in resumed] == [40, 70]
    assert resumed[0]["notes"] == ["patience: was 20, is 50", "restore_best: was False, is True"]
    assert resumed[1]["notes"] == ["min_delta: was 0.0, is 0.001", "patience: was 50, is 70"]
    check_same(again, *MOONS, "--patience", "70", "--min-delta", "0.001", "--restore-best")


def test_a_change_outlives_a_process_that_is_killed_before_it_saves(again: Path) -> None:
    config = (again / "config.toml").read_text()
    # As a process leaves it that has begun to go on and was killed.
    (again / "config.toml").write_text(config.replace("patience = 20", "patience = 50"))
    (again / "status.json").write_text(json.dumps({**status_of(again), "state": "running"}))
    assert run("resume", "run", "--quiet") == 0
    check_same(again, *MOONS, "--patience", "50")


def test_rules_that_would_have_stopped_at_this_epoch_end_the_run_there(again: Path) -> None:
    assert run("resume", "run", "--patience", "25", "--stop", "up:1:20", "--quiet") == 0
    assert summary_of(again)["epochs"] == 40
    check_same(again, *MOONS, "--patience", "25", "--stop", "up:1:20")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--patience", "10"], "val_loss patience=10 would have stopped it after epoch 30 (10 epochs after the best"),
        (["--threshold", "0.5"], "val_loss threshold=0.5 would have stopped it after epoch"),
        (["--stop", "gl:1"], "val_loss GL>1 would have stopped it after epoch"),
        (
            ["--stop", "all(patience:10,threshold:0.5)"],
            "val_loss patience=10 at epoch 30 and val_loss threshold=0.5 at epoch",
        ),
        (
            ["--smooth", "0.1", "--patience", "15"],
            "smoothed val_loss patience=15 smooth=0.1 would have stopped it after epoch 35 (15 epochs after the best, "
            "smoothed val_loss ",
        ),
        (["--smooth", "1"], "--smooth: received 1.0, expected less than 1"),
        (["--smooth", "much"], "--smooth: received 'much', expected a number, or none"),
        (["--min-delta", "much"], "--min-delta: received 'much', expected a finite number ≥ 0, or a share"),
        (["--patience", "20"], "finished (val_loss patience=20), nothing is left to do"),
        ([], "--patience N trains it further, with more patience; so do other rules."),
        (["--epochs", "300"], "stopped by val_loss patience=20, not by its number of epochs; more of them"),
        (["--patience", "50", "--epochs", "30"], "--epochs: received 30, expected at least the 40 that the run has"),
        (["--patience", "many"], "--patience: received 'many', expected a whole number, or none"),
        (["--patience", "-1"], "--patience: received -1, expected at least 0"),
        (["--threshold", "low"], "--threshold: received 'low', expected a number, or none"),
        (["--threshold", "nan"], "--threshold: received nan, expected a finite number"),
        (["--stop", "hunch:2"], "--stop: received 'hunch:2', expected KIND:VALUE"),
        (["--monitor", "luck"], "--monitor: received 'luck', expected one of loss, accuracy, val_loss, val_accuracy"),
        (["--stop-at", "cycle-end"], "--stop-at: received 'cycle-end', expected a setting that moons has"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_had_are_refused_and_nothing_changes(
    words: list[str],
    answer: str,
    again: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {path: path.read_bytes() for path in again.rglob("*") if path.is_file()}
    check_refused(["resume", "run", *words], answer, capsys, monkeypatch)
    assert {path: path.read_bytes() for path in again.rglob("*") if path.is_file()} == before


def test_rules_that_would_have_stopped_it_can_be_forced(again: Path) -> None:
    assert run("resume", "run", "--patience", "10", "--force", "--quiet") == 0
    assert summary_of(again)["epochs"] == 41
    (session,) = json.loads((again / "environment.json").read_text())["resumed"]
    assert session["notes"][0] == "patience: was 20, is 10"
    assert session["notes"][1].startswith("val_loss patience=10 would have stopped it after epoch 30")


def test_show_says_how_a_run_that_has_ended_goes_on(again: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "run") == 0
    assert "stopcli resume run --patience 40" in capsys.readouterr().out


def test_a_run_that_a_process_lost_goes_on_under_other_rules(again: Path) -> None:
    # The state before the last one is that of an epoch before the stop, or there is none.
    assert run(*MOONS, "--save-every", "15", "--patience", "40", "--run-dir", "died") == 0
    newest, _ = StateStore(Path("died/checkpoints/resume")).files()
    newest.unlink()
    Path("died/status.json").write_text(json.dumps({**status_of("died"), "state": "running"}))
    assert run("resume", "died", "--patience", "50", "--quiet") == 0
    assert json.loads(Path("died/environment.json").read_text())["resumed"][0]["from_epoch"] < 60
    check_same(Path("died"), *MOONS, "--save-every", "15", "--patience", "50")


def test_a_run_that_ran_all_its_epochs_has_nothing_to_gain_from_other_rules(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*MOONS, "--epochs", "60", "--run-dir", "a") == 0
    assert run("resume", "a", "--patience", "50", "--quiet") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "a: trained all its 60 epochs, and these rules would not have stopped it earlier" in said
    assert "--epochs N trains it further" in said
    assert run("resume", "a", "--patience", "50", "--epochs", "100", "--quiet") == 0
    check_same(Path("a"), *MOONS, "--epochs", "100", "--patience", "50")


def test_the_best_model_is_restored_although_its_state_was_not_kept() -> None:
    words = ["--restore-best", "--monitor", "val_accuracy"]
    # That of the checkpoint is of another epoch.
    training = [*MOONS, "--epochs", "60", "--checkpoint-monitor", "accuracy"]
    assert run(*training, "--run-dir", "a") == 0
    assert run("resume", "a", *words, "--quiet") == 0
    check_same(Path("a"), *training, *words)


def test_where_training_again_gives_other_numbers_nothing_is_restored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = [*MOONS, "--epochs", "60", "--checkpoint-monitor", "accuracy"]
    assert run(*training, "--run-dir", "a") == 0
    from stopcli.training.epochs_loop import EpochsLoop

    whole = EpochsLoop._run
    with monkeypatch.context() as patched:
        # As on another machine.
        patched.setattr(EpochsLoop, "_run", lambda *args: whole(*args) + np.float32(1e-6))
        assert run("resume", "a", "--restore-best", "--epochs", "70", "--quiet") == 1
    assert "epochs 1 to 20 gave other metrics when they were trained again" in capsys.readouterr().err
    assert run("resume", "a", "--no-restore-best", "--quiet") == 0
    check_same(Path("a"), *training, "--epochs", "70")


def test_long_epochs_and_their_learning_rate_go_on_under_other_rules(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*IMAGES, "--patience", "1", "--run-dir", "a") == 0
    assert summary_of("a")["epochs"] == 2
    capsys.readouterr()
    answer = "--monitor: received 'loss', expected no change: this run's learning rate depends on its monitor"
    check_refused(["resume", "a", "--monitor", "loss"], answer, capsys, monkeypatch)
    answer = "restore_best needs the model of epoch 1, the best by accuracy, whose state was not kept"
    check_refused(["resume", "a", "--patience", "3", "--restore-best"], answer, capsys, monkeypatch)
    assert run("resume", "a", "--patience", "3", "--quiet") == 0
    assert summary_of("a")["epochs"] == 4
    check_same(Path("a"), *IMAGES, "--patience", "3")


def test_a_run_that_was_left_within_an_epoch_goes_on_under_other_rules() -> None:
    assert run(*IMAGES, "--patience", "4", "--time-budget", "0.001s", "--run-dir", "a") == 0
    assert 0 < summary_of("a")["steps"] < summary_of("a")["steps_per_epoch"]
    assert run("resume", "a", "--patience", "2", "--restore-best", "--quiet") == 0
    check_same(Path("a"), *IMAGES, "--patience", "2", "--restore-best")
