"""`--tensorboard`: what TensorBoard shows is what stands in metrics.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from events import scalars_in
from program import run
from small_runs import died

from stopcli.runs.metrics import read_metrics

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]

SHOWN = {
    "train": {"epoch_loss": "loss", "epoch_accuracy": "accuracy", "epoch_learning_rate": "learning_rate"},
    "validation": {"epoch_loss": "val_loss", "epoch_accuracy": "val_accuracy"},
}


def check(run_dir: Path) -> None:
    """Every epoch of metrics.csv, and no other, stands in the event files with the same values."""
    metrics = read_metrics(run_dir / "metrics.csv")
    for part, columns in SHOWN.items():
        found = scalars_in(run_dir / "tensorboard" / part)
        assert found.keys() == columns.keys()
        for tag, column in columns.items():
            steps, values = found[tag]
            assert steps == metrics["epoch"].astype(int).tolist()
            np.testing.assert_array_equal(values, metrics[column].astype(np.float32))


def test_a_run_leaves_what_it_measured_and_so_does_one_that_died(finished_moons: Path) -> None:
    check(finished_moons)
    died(finished_moons)
    newest = max(Path("died/checkpoints/resume").glob("*.state"))
    newest.unlink()
    assert run("resume", "died", "--quiet") == 0
    check(Path("died"))


def test_more_epochs_come_after_the_others_and_held_out_rows_are_not_shown() -> None:
    words = ("moons", "--epochs", "40", "--validation", "holdout", "--tensorboard", "--quiet")
    assert run(*words, "--run-dir", "a") == 0
    assert "test_loss" in read_metrics(Path("a/metrics.csv"))
    assert run("resume", "a", "--epochs", "60", "--quiet") == 0
    assert len(scalars_in(Path("a/tensorboard/train"))["epoch_loss"][0]) == 60
    check(Path("a"))


def test_it_changes_no_number_and_may_be_chosen_later() -> None:
    assert run("moons", "--epochs", "30", "--quiet", "--run-dir", "a") == 0
    assert not Path("a/tensorboard").exists()
    config = Path("a/config.toml")
    config.write_text(config.read_text().replace("tensorboard = false", "tensorboard = true"))
    assert run("resume", "a", "--epochs", "50", "--quiet") == 0
    check(Path("a"))
    assert run("run", "a/config.toml", "--quiet", "--run-dir", "b") == 0
    assert Path("a/metrics.csv").read_bytes() == Path("b/metrics.csv").read_bytes()


def test_every_run_of_a_sweep_has_its_own() -> None:
    assert run("moons", "--epochs", "30", "--seeds", "2", "--tensorboard", "--quiet", "--run-dir", "a") == 0
    jobs = sorted(Path("a/jobs").iterdir())
    assert len(jobs) == 2
    for job in jobs:
        check(job)
    losses = [scalars_in(job / "tensorboard" / "train")["epoch_loss"][1].tolist() for job in jobs]
    assert losses[0] != losses[1]


def test_range_tests_have_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lr-range", "--tensorboard") == 2
    assert "--tensorboard" in capsys.readouterr().err
