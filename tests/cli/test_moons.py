"""`stopcli moons` as a user runs it: the published results, and what a run leaves."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import browser, check_report
from forked import finished
from program import run, status_of, summary_of
from reports import check_same_again

from stopcli.runs.metrics import read_metrics

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]


def weights_of(path: Path | str) -> list[np.ndarray]:
    import keras

    model = keras.saving.load_model(path)
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


@pytest.mark.usefixtures("quick")
def test_without_stopping_the_published_accuracies(tmp_path: Path) -> None:
    assert run("moons", "--run-dir", "a") == 0
    summary = summary_of("a")
    assert (summary["epochs"], summary["stop"]["reason"]) == (4000, "completed")
    assert summary["final"]["train"]["accuracy"] == pytest.approx(1.000, abs=5e-4)
    assert summary["final"]["test"]["accuracy"] == pytest.approx(0.914, abs=5e-4)
    assert summary["test_interval"]["final"]["right"] == 64
    # The test rows validate, so there is nothing to compare with.
    assert summary["selection"] is None


@pytest.mark.usefixtures("quick")
def test_patience_0_stops_where_published(tmp_path: Path) -> None:
    assert run("moons", "--patience", "0", "--run-dir", "a") == 0
    assert 205 <= summary_of("a")["epochs"] <= 235


@pytest.mark.rendered
def test_patience_200_and_the_best_checkpoint_as_published(tmp_path: Path) -> None:
    assert run("moons", "--patience", "200", "--run-dir", "a") == 0
    summary = summary_of("a")
    assert 980 <= summary["epochs"] <= 1080
    assert summary["final"]["train"]["accuracy"] == 1.0
    assert summary["final"]["test"]["accuracy"] >= 0.928
    assert summary["stop"]["wait"] == 200
    assert summary["stop"]["epoch"] - summary["stop"]["best_epoch"] == 200
    # Measured on the model as loaded from its file.
    assert 840 <= summary["best"]["epoch"] <= 920
    assert summary["best"]["test"]["accuracy"] == pytest.approx(0.943, abs=5e-4)

    metrics = read_metrics(Path("a/metrics.csv"))
    assert len(metrics["epoch"]) == summary["epochs"]
    assert int(metrics["val_accuracy"].argmax()) + 1 == summary["best"]["epoch"]
    assert summary["best"]["value"] == metrics["val_accuracy"].max()
    left = {str(path.relative_to("a")) for path in Path("a").rglob("*") if path.is_file() and path.suffix != ".state"}
    assert left == {
        "config.toml", "environment.json", "status.json", "summary.json", "report.md", "report.html", "log.txt",
        "metrics.csv", "timing.csv", "predictions.npz", ".lock",
        "checkpoints/best.keras", "checkpoints/final.keras",
        "plots/curves.png", "plots/curves.svg", "plots/moons.png", "plots/moons.svg",
    }  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_the_best_file_opens_in_a_python_that_knows_no_stopcli(tmp_path: Path) -> None:
    assert run("moons", "--epochs", "50", "--run-dir", "a") == 0
    code = """
import sys
sys.modules |= {name: None for name in ("stopcli", *sys.modules) if name.split(".")[0] == "stopcli"}
import keras, numpy as np
from sklearn.datasets import make_moons
x, y = make_moons(n_samples=100, noise=0.2, random_state=1)
model = keras.saving.load_model("a/checkpoints/best.keras")
print(model.evaluate(x[30:], y[30:], verbose=0)[1])
"""
    assert float(finished(code).splitlines()[-1]) == pytest.approx(
        summary_of("a")["best"]["test"]["accuracy"], abs=1e-6
    )


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run in a process of its own, and what it printed."""
    folder = tmp_path_factory.mktemp("apart")
    words = ["moons", "--patience", "20", "--batch-size", "8", "--seed", "11", "--json", "--run-dir", "a"]
    command = [sys.executable, "-m", "stopcli", *words]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return folder / "a", told


@pytest.mark.usefixtures("quick")
def test_two_processes_write_the_same_metrics_and_weights(
    apart: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    there, told = apart
    assert told.returncode == 0
    assert run("run", str(there / "config.toml"), "--run-dir", "b") == 0
    assert (there / "metrics.csv").read_bytes() == Path("b/metrics.csv").read_bytes()
    assert (there / "config.toml").read_bytes() == Path("b/config.toml").read_bytes()
    for name in ("best.keras", "final.keras"):
        saved = weights_of(there / "checkpoints" / name), weights_of(f"b/checkpoints/{name}")
        for one, other in zip(*saved, strict=True):
            assert one.tobytes() == other.tobytes()


def test_json_is_the_summary_alone(apart: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, told = apart
    assert told.returncode == 0
    assert json.loads(told.stdout) == summary_of(folder)
    assert "stopcli moons → a" in told.stderr
    assert "\x1b" not in told.stdout + told.stderr
    summary = json.loads(told.stdout)
    assert summary.keys() >= {
        "command", "name", "state", "scale", "dataset", "seed", "epochs", "max_epochs", "steps",
        "stop", "final", "best", "seconds", "samples_per_second",
    }  # fmt: skip


@pytest.mark.rendered
def test_its_report_is_made_again_to_the_byte_and_reads_well_in_a_browser(
    apart: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = apart
    check_same_again(folder)
    with browser() as running:
        check_report(running, folder / "report.html", figures=2)


@pytest.mark.usefixtures("quick")
def test_quiet_says_nothing_but_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--epochs", "30", "--quiet", "--run-dir", "a") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "no stopping" in said.out


@pytest.mark.usefixtures("quick")
def test_a_loss_that_is_no_number_fails_and_keeps_its_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--learning-rate", "1e30", "--run-dir", "a") == 1
    summary = summary_of("a")
    assert (summary["state"], summary["stop"]["reason"], summary["best"]) == ("failed", "non_finite", None)
    assert len(read_metrics(Path("a/metrics.csv"))["epoch"]) == summary["epochs"] >= 1
    assert status_of("a")["state"] == "failed"
    assert "is not finite" in "".join(capsys.readouterr())


@pytest.mark.usefixtures("quick")
def test_a_contradicting_mode_is_warned_about_and_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--patience", "5", "--mode", "max", "--run-dir", "a") == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Warning: mode 'max' contradicts the metric 'val_loss', which is better when lower." in said
    # val_loss falls from the first epoch, so in mode max the first is the best.
    assert (summary_of("a")["epochs"], summary_of("a")["stop"]["best_epoch"]) == (6, 1)
    assert "contradicts" in Path("a/report.md").read_text()


@pytest.mark.usefixtures("quick")
def test_restore_best_reports_the_best_epoch_s_model() -> None:
    assert run("moons", "--patience", "50", "--restore-best", "--run-dir", "a") == 0
    summary, metrics = summary_of("a"), read_metrics(Path("a/metrics.csv"))
    best = int(metrics["val_loss"].argmin()) + 1
    assert (summary["final"]["epoch"], summary["epochs"]) == (best, len(metrics["epoch"]))
    assert summary["final"]["test"]["loss"] == pytest.approx(metrics["val_loss"].min(), rel=1e-5)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("validation", ["split", "holdout"])
def test_held_out_rows_are_reported_apart(validation: str) -> None:
    assert run("moons", "--validation", validation, "--patience", "50", "--run-dir", "a") == 0
    summary, metrics = summary_of("a"), read_metrics(Path("a/metrics.csv"))
    assert summary["final"].keys() == {"epoch", "train", "test", "val"}
    at_end = {name: values[-1] for name, values in metrics.items()}
    assert summary["final"]["val"]["loss"] == pytest.approx(at_end["val_loss"], rel=1e-5)
    assert summary["final"]["test"]["loss"] == pytest.approx(at_end["test_loss"], rel=1e-5)
    # What was chosen is what was saved; its accuracy is that of the model loaded from its file.
    honest, claimed = summary["selection"]["honest"], summary["selection"]["claimed"]
    assert (honest["epoch"], honest["value"]) == (summary["best"]["epoch"], summary["best"]["value"])
    assert honest["test_accuracy"] == pytest.approx(summary["best"]["test"]["accuracy"], abs=1e-6)
    assert claimed["epoch"] == int(metrics["test_accuracy"].argmax()) + 1
    assert claimed["test_accuracy"] == metrics["test_accuracy"].max()
    assert "## Honest selection" in Path("a/report.md").read_text()


@pytest.mark.rendered
def test_seeds_are_a_sweep_of_the_runs_that_each_would_be_alone() -> None:
    assert run("moons", "--patience", "100", "--seed", "4", "--seeds", "3", "--run-dir", "sweep") == 0
    names = [f"patience-100-seed{seed}" for seed in (4, 5, 6)]
    assert sorted(path.name for path in Path("sweep/jobs").iterdir()) == names
    assert run("moons", "--patience", "100", "--seed", "6", "--run-dir", "alone") == 0
    job = Path("sweep/jobs/patience-100-seed6")
    assert (job / "metrics.csv").read_bytes() == Path("alone/metrics.csv").read_bytes()
    for one, other in zip(
        weights_of(job / "checkpoints/best.keras"), weights_of("alone/checkpoints/best.keras"), strict=True
    ):
        assert one.tobytes() == other.tobytes()

    summary = summary_of("sweep")
    assert [(j["name"], j["state"]) for j in summary["jobs"]] == [(name, "finished") for name in names]
    stops = [j["epochs"] for j in summary["jobs"]]
    assert len(set(stops)) > 1
    spread = summary["over_seeds"]["stopped at"]
    assert (spread["n"], spread["mean"], spread["sd"]) == (3, np.mean(stops), pytest.approx(np.std(stops, ddof=1)))
    with Path("sweep/table.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["4", "5", "6"]
    plots = {path.stem for path in Path("sweep/plots").iterdir()}
    assert plots == {"curves", "stop_epochs", "accuracies"}


@pytest.mark.usefixtures("quick")
def test_a_sweep_with_runs_that_fail_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--learning-rate", "1e30", "--seeds", "2", "--run-dir", "sweep") == 1
    assert (summary_of("sweep")["state"], status_of("sweep")["state"]) == ("failed", "failed")
    said = capsys.readouterr().err
    assert "no-stopping-seed0 failed: val_loss is nan" in said
    assert "0 of 2 runs finished" in said
