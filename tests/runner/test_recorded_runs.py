"""Recorded runs in the commands that read runs: three scripts as their users write them, and what a crash leaves."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program import run, status_of, summary_of
from recorded_commands import check_commands
from refusals import check_refused

from stopcli import AnyOf, BestEpoch, Patience, Recorder, Threshold
from stopcli.analysis.recorded_history import RecordedHistory
from stopcli.runs.run import Run

Rows = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def regression(seed: int = 0) -> tuple[Rows, Rows]:
    """Rows of a noisy line in many dimensions, that train and that validate: too few, so that models overfit."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(90, 20))
    y = x[:, 0] + 0.5 * draw.normal(size=90)
    return (x[:30], y[:30]), (x[30:], y[30:])


def rmse(errors: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def descend(seed: int, **options: Any) -> Recorder:
    """Gradient descent, as a loop in PyTorch or JAX is written."""
    (x, y), (xv, yv) = regression(seed)
    weights = np.zeros(20)
    rule = Patience(30, monitor="val_rmse")
    with Recorder("runs", name="line", seed=seed, epochs=3000, rule=rule, unit="°C", **options) as recorder:
        for _ in range(3000):
            error = x @ weights - y
            weights -= 0.02 * x.T @ error / len(x)
            if recorder.epoch(loss=np.mean(error**2), rmse=rmse(error), val_rmse=rmse(xv @ weights - yv)):
                break
    return recorder


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopcli.runner.report.recorded_figures", lambda *arguments: {})


def test_a_loop_of_several_seeds_and_settings_is_listed_shown_replayed_compared_and_reported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    reported = descend(0, settings={"units": 32}, tensorboard=True)
    with monkeypatch.context() as context:
        context.setattr("stopcli.runner.report.recorded_figures", lambda *arguments: {})
        others = [descend(seed, settings={"units": units}) for seed, units in ((1, 32), (0, 64), (1, 64))]
    verdict, path = reported.verdict, reported.path
    assert verdict is not None
    assert 30 < verdict.epoch < 3000
    assert [figure.name for figure in sorted((path / "plots").iterdir())] == ["curves.png", "curves.svg"]
    assert sorted(part.name for part in (path / "tensorboard").iterdir()) == ["train", "validation"]

    assert run("list") == 0
    assert re.search(rf"recorded-line +finished +{verdict.epoch}/3000 +0\.\d+", capsys.readouterr().out)
    assert run("show", path.name) == 0
    shown = capsys.readouterr().out
    assert f"Stopped at epoch {verdict.epoch} of 3000: no improvement since epoch {verdict.best_epoch}" in shown
    assert "accuracy" not in shown
    assert "resume" not in shown

    folders = [str(recorder.path) for recorder in (reported, *others)]
    asked = ("--monitor", "val_rmse", "--patience", "5", "30", "--quiet", "--run-dir", "replayed")
    assert run("replay", *folders, *asked) == 0
    with Path("replayed/replay.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["experiment"] == "recorded line (units 32)"]
    stops = {(row["rule"], row["seed"]): int(row["epochs"]) for row in rows}
    assert stops["patience:30", "0"] == verdict.epoch > stops["patience:5", "0"]

    assert run("compare", *folders, "--quiet", "--run-dir", "compared") == 0
    compared = summary_of("compared")
    assert [thing["label"] for thing in compared["things"]] == ["line (units 32)", "line (units 64)"]

    assert run("report", path.name) == 0
    report = (path / "report.md").read_text(encoding="utf-8")
    assert "accuracy" not in report
    assert "RMSE (°C)" in report or "°C" in report
    assert "units 32" in report


def partial_fits(rate: float, early_stopping: Any) -> Recorder:
    """Stochastic gradient descent by scikit-learn, and what Keras's callback makes of the same values."""
    from sklearn.linear_model import SGDRegressor

    (x, y), (xv, yv) = regression()
    model = SGDRegressor(learning_rate="constant", eta0=rate, random_state=0)
    rule = Patience(10, monitor="val_rmse", min_delta=0.001)
    with Recorder("runs", name="sgd", rule=rule, settings=model.get_params()) as recorder:
        for epoch in range(1000):
            model.partial_fit(x, y)
            values = {"rmse": rmse(model.predict(x) - y), "val_rmse": rmse(model.predict(xv) - yv)}
            if early_stopping is not None:
                early_stopping.on_epoch_end(epoch, values)
            if recorder.epoch(**values):
                break
    return recorder


@pytest.mark.usefixtures("_no_figures")
def test_partial_fit_of_scikit_learn_stops_where_early_stopping_of_keras_would(
    tensorflow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    theirs = keras.callbacks.EarlyStopping("val_rmse", patience=10, min_delta=0.001, mode="min")
    theirs.set_model(keras.Sequential())
    theirs.on_train_begin()
    recorder, other = (partial_fits(rate, theirs if rate == 0.002 else None) for rate in (0.002, 0.004))
    assert recorder.verdict is not None
    assert recorder.verdict.epoch == theirs.stopped_epoch + 1 < 1000
    assert Run.read(recorder.path).settings["settings"]["eta0"] == 0.002
    check_commands(recorder, other, capsys)


@pytest.mark.usefixtures("_no_figures")
def test_a_replay_stops_where_the_recorder_did_also_where_epochs_were_not_measured() -> None:
    draw = np.random.default_rng(1)
    monitors = {"mode": "min", "monitor": "val_cost"}
    rules = [
        Patience(4, **monitors),
        Patience(7, **monitors, min_delta=0.01),
        Threshold(0.35, **monitors),
        AnyOf((Patience(5, **monitors), Threshold(0.11, monitor="loss"))),
    ]
    for number in range(12):
        rule, every = rules[number % 4], 1 + number // 4
        curve = np.abs(np.linspace(1.2, -0.6, 80)) + draw.normal(scale=0.05, size=80)
        with Recorder("runs", rule=rule) as recorder:
            for i, value in enumerate(curve.tolist()):
                if recorder.epoch(loss=value / 2 + 0.1, val_cost=value if (i + 1) % every == 0 else None):
                    break
        history = RecordedHistory(Run.read(recorder.path), BestEpoch("val_cost", "min"))
        assert recorder.verdict is not None
        assert history.replay(rule).verdict == recorder.verdict
        assert history.replay(rule).selected == recorder.best_epoch


@pytest.mark.usefixtures("_no_figures")
def test_a_recorded_run_is_not_resumed_or_run_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["lstm.py", "--units", "32"])
    recorder = Recorder("runs", name="once")
    recorder.epoch(loss=1.0)
    with pytest.raises(KeyboardInterrupt), recorder:
        raise KeyboardInterrupt
    check_refused(["resume", "last"], "recorded by stopcli.Recorder", capsys, monkeypatch)
    check_refused(["resume", "last"], "Run your script again: python lstm.py --units 32", capsys, monkeypatch)
    for run_ in ("last", str(recorder.path / "config.toml")):
        check_refused(["run", run_], "the script that called it trains it again", capsys, monkeypatch)
    assert "resume" not in (recorder.path / "report.md").read_text(encoding="utf-8")


KILLED = """
import sys, time
from stopcli import Patience, Recorder
recorder = Recorder("runs", name="killed", rule=Patience(10**6, monitor="loss"))
for epoch in range(10**6):
    recorder.epoch(loss=1 / (1 + epoch))
    if epoch == {idle_at}:
        print(epoch + 1, flush=True)
        time.sleep(60)
    if epoch % 100 == 0:
        print(epoch + 1, time.time(), flush=True)
"""


def killed(idle_at: int, seconds: float) -> tuple[Run, list[list[str]]]:
    """A run that is killed after some seconds, and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED.format(idle_at=idle_at)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = [process.stdout.readline().split()]
        if idle_at >= 0:
            while len(printed[-1]) == 2:
                printed.append(process.stdout.readline().split())
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        printed += [line.split() for line in process.stdout.read().splitlines()]
    (folder,) = Path("runs").iterdir()
    return Run.read(folder), printed


def test_a_killed_process_loses_less_than_a_second_of_epochs() -> None:
    run_, printed = killed(-1, 2.0)
    assert run_.state == "died"
    recorded = run_.recorded_epochs
    assert run_.metrics["loss"].tolist() == [1 / (1 + epoch) for epoch in range(recorded)]
    times = {int(line[0]): float(line[1]) for line in printed if len(line) == 2}
    lost = [moment for epoch, moment in times.items() if epoch > recorded]
    assert recorded > 0
    assert not lost or max(times.values()) - min(lost) < 1.0
    assert run_.headline.name == "loss"


def test_epochs_are_on_the_disk_within_a_second_while_the_script_idles() -> None:
    run_, printed = killed(149, 1.0)
    assert printed[-1] == ["150"]
    assert run_.recorded_epochs == run_.status.epoch == 150


def test_a_process_that_ends_without_closing_says_so() -> None:
    endings = {
        "": ("interrupted", "the end of the process, before Recorder.close()"),
        "raise ValueError('of the script')": ("failed", "ValueError: of the script"),
        "raise KeyboardInterrupt": ("interrupted", "Ctrl-C"),
    }
    for number, (ending, expected) in enumerate(endings.items()):
        script = f"from stopcli import Recorder\nr = Recorder(run_dir='{number}')\nr.epoch(loss=1.0)\n{ending}"
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=120)
        status = status_of(str(number))
        assert (status["state"], status["reason"], status["epoch"]) == (*expected, 1)
        assert summary_of(str(number))["state"] == expected[0]
