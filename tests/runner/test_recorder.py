"""Trainings that are not stopcli's own, recorded by hand: what is on record, when they stop, and what is refused."""

from __future__ import annotations

import copy
import csv
import math
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from program import run, status_of, summary_of
from small_disk import FILLER, enlarge, fill, small_disk

from stopcli import AnyOf, Patience, Recorder, Threshold
from stopcli.errors import ConfigError, MetricError, RunError, RunFolderError
from stopcli.runner.epoch_log import EpochLog
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import Headline
from stopcli.runs.run import Run, read_runs

# A curve that is best at its epoch 31.
CURVE = [abs(epoch - 30) / 10 + 1 + 0.01 * math.sin(epoch) for epoch in range(200)]
PATIENCE = Patience(20, monitor="val_rmse")


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would take a second; test_recorded_runs.py draws them."""
    monkeypatch.setattr("stopcli.runner.report.recorded_figures", lambda *arguments: {})


def record(values: list[float] = CURVE, **options: Any) -> Recorder:
    """A run of a loop over values, as a script writes it."""
    with Recorder("runs", **{"rule": PATIENCE, **options}) as recorder:
        for value in values:
            if recorder.epoch(loss=value / 2, val_rmse=value):
                break
    return recorder


def flush(recorder: Recorder) -> None:
    assert recorder._log is not None
    recorder._log.flush()


def rows_of(folder: Path) -> list[list[str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_a_plain_loop_is_stopped_by_its_rule_and_leaves_a_run() -> None:
    recorder = record(name="by-hand", seed=3, epochs=200, settings={"units": 32}, unit="°C")
    verdict = recorder.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.epoch, verdict.best_epoch) == ("patience", 51, 31)
    assert (recorder.best_epoch, recorder.is_best) == (31, False)
    summary = summary_of(recorder.path)
    assert recorder.path.name.endswith("-recorded-by-hand")
    assert (summary["state"], summary["epochs"], summary["max_epochs"], summary["seed"]) == ("finished", 51, 200, 3)
    assert summary["headline"] == {"name": "rmse", "direction": "min", "kind": "error", "unit": "°C"}
    assert (summary["best"]["epoch"], summary["best"]["val"]["rmse"]) == (31, CURVE[30])
    assert (summary["final"]["epoch"], summary["final"]["train"]["loss"]) == (51, CURVE[50] / 2)
    assert summary["parameters"] is summary["rows"] is summary["steps"] is None
    header, *rows = rows_of(recorder.path)
    assert header == ["epoch", "step", "loss", "val_rmse"]
    assert [float(row[3]) for row in rows] == CURVE[:51]
    (read,) = read_runs([recorder.path])
    assert (read.state, read.command, read.seed, read.test_rows_validate) == ("finished", "recorded", 3, False)
    assert read.metrics["val_rmse"].tolist() == CURVE[:51]
    for name in ("config.toml", "environment.json", "timing.csv", "log.txt", "report.md", "report.html"):
        assert (recorder.path / name).stat().st_size, name


def test_it_costs_no_import_of_a_framework(tmp_path: Path) -> None:
    script = (
        "import sys, stopcli; recorder = stopcli.Recorder(); recorder.epoch(loss=1.0); recorder.close()\n"
        "print(*{'tensorflow', 'keras', 'sklearn'} & {*sys.modules})"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert (printed.stdout, printed.stderr) == ("\n", "")
    (recorded,) = (tmp_path / "runs").iterdir()
    assert summary_of(recorded)["stop"]["reason"] == "completed"


def test_values_are_read_back_to_the_bit_and_cells_may_be_empty() -> None:
    draw = np.random.default_rng(0)
    values = [*draw.normal(size=40).tolist(), 1e300, 5e-324, 0.1, 1 / 3, -0.0]
    with Recorder("runs") as recorder:
        for i, value in enumerate(values):
            recorder.epoch(loss=value, val_loss=value if i % 3 == 2 else None, learning_rate=np.float32(0.1))
    metrics = Run.read(recorder.path).metrics
    assert metrics["loss"].tolist() == values
    assert metrics["learning_rate"].tolist() == [float(np.float32(0.1))] * len(values)
    expected = [value if i % 3 == 2 else math.nan for i, value in enumerate(values)]
    np.testing.assert_array_equal(metrics["val_loss"], expected)
    assert recorder.best_epoch == 3 * int(np.argmin(values[2::3])) + 3


@pytest.mark.parametrize("value", [np.float64(0.5), np.float32(0.5), np.array(0.5), np.int64(2), 2])
def test_numbers_of_every_kind_are_taken(value: Any) -> None:
    with Recorder("runs") as recorder:
        assert recorder.epoch(loss=value) is False
    assert Run.read(recorder.path).metrics["loss"].tolist() == [float(value)]


BAD_ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "a/b"}, "name: received 'a/b', expected at most 80 bytes of letters"),
    "unit": ({"unit": "m\ns"}, r"unit: received 'm\\ns', expected text in a line"),
    "seed": ({"seed": 1.5}, "seed: received 1.5, expected a whole number ≥ 0"),
    "epochs": ({"epochs": 0}, "epochs: received 0, expected a whole number ≥ 1"),
    "rule": ({"rule": "patience:20"}, r"rule: received 'patience:20', expected a stopping rule, such as Patience\("),
    "test rows": ({"rule": Patience(3, "test_rmse", "min")}, "rule: received 'test_rmse', expected a rule on the rows"),
    "its rows": ({"rule": Patience(3, "test/rmse", "min")}, "rule: received 'test/rmse', expected a rule on the rows"),
    "direction": ({"headline": "speed"}, "mode: received 'auto', expected 'min' or 'max', because the name 'speed'"),
    "mode": ({"headline": "rmse", "mode": "down"}, "mode: received 'down', expected 'auto', 'min' or 'max'"),
    "mode alone": ({"mode": "min"}, "mode: received 'min', expected a headline beside it"),
    "settings": ({"settings": [1]}, r"settings: received \[1\], expected values by name"),
    "object": ({"settings": {"a": {"b": object()}}}, r"settings\['a'\]\['b'\]: received <object .*, expected text, a"),
    "large": ({"settings": {"a": 2**63}}, r"settings\['a'\]: received 9223372036854775808, expected text, a number"),
    "number": ({"settings": {"a": {1: 2}}}, r"settings\['a'\]: received 1, expected names that are text"),
    "seeds": ({"settings": {"seed": 3}}, r"settings\['seed'\]: received 3, expected 0, which is Recorder's own seed"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_before_anything_is_made(case: str) -> None:
    arguments, answer = BAD_ARGUMENTS[case]
    with pytest.raises(ConfigError, match=answer):
        Recorder("runs", **arguments)
    assert not Path("runs").exists()


BAD_EPOCHS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "epoch 2 has no metrics"),
    "missing": (
        {"loss": 1.0},
        r"epoch 2 has no metric 'val_rmse'; expected those of the first epoch: loss, val_rmse \(",
    ),
    "new": ({"loss": 1.0, "val_rmse": 1.0, "val_rsme": 1.0}, "epoch 2 has a new metric 'val_rsme'; expected those of"),
    "text": ({"loss": "1.0", "val_rmse": 1.0}, "epoch 2: loss: received '1.0', expected a single number"),
    "array": (
        {"loss": np.ones(3), "val_rmse": 1.0},
        r"loss: received an array of shape \(3,\), expected a single number",
    ),
    "large": ({"loss": 10**400, "val_rmse": 1.0}, "loss: received 10+.*, expected a single number"),
}


@pytest.mark.parametrize("case", BAD_EPOCHS)
def test_an_epoch_that_is_not_like_the_first_is_refused_and_not_recorded(case: str) -> None:
    metrics, answer = BAD_EPOCHS[case]
    recorder = Recorder("runs", rule=PATIENCE)
    recorder.epoch(loss=2.0, val_rmse=2.0)
    with pytest.raises(MetricError, match=answer), recorder:
        recorder.epoch(**metrics)
    assert len(rows_of(recorder.path)) == 2
    assert status_of(recorder.path)["state"] == "failed"


FIRST_EPOCHS: dict[str, tuple[dict[str, Any], dict[str, float], str]] = {
    "monitor": ({"rule": PATIENCE}, {"rmse": 1.0}, "epoch 1 has no metric 'val_rmse'; recorded metrics: rmse"),
    "headline": ({"headline": "auc"}, {"loss": 1.0}, "no metric is 'auc' or val_auc; recorded: loss"),
    "direction": ({}, {"speed": 1.0}, r"the names of the metrics do not tell whether .*: speed; expected"),
    "comma": ({}, {"a,b": 1.0}, "epoch 1: 'a,b' cannot be a metric's name"),
    "step": ({}, {"step": 1.0}, "epoch 1: 'step' cannot be a metric's name"),
}


@pytest.mark.parametrize("case", FIRST_EPOCHS)
def test_a_first_epoch_without_what_counts_is_refused(case: str) -> None:
    arguments, metrics, answer = FIRST_EPOCHS[case]
    with pytest.raises(MetricError, match=answer), Recorder("runs", **arguments) as recorder:
        recorder.epoch(**metrics)
    status = status_of(recorder.path)
    assert (status["state"], status["epoch"]) == ("failed", 0)
    assert list(recorder.path.glob("metrics.csv")) == []


def test_the_metric_that_counts_is_the_named_one_else_the_rule_s_else_the_first_that_is_no_loss() -> None:
    def recorded(metrics: dict[str, float], **arguments: Any) -> tuple[str, str, str]:
        with Recorder("runs", **arguments) as recorder:
            recorder.epoch(**metrics)
        headline = Run.read(recorder.path).headline
        return headline.name, headline.direction, summary_of(recorder.path)["best"]["monitor"]

    metrics = {"loss": 1.0, "speed": 2.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5, "val_speed": 2.0}
    assert recorded(metrics) == ("accuracy", "max", "val_accuracy")
    assert recorded({"loss": 1.0, "speed": 2.0}) == ("loss", "min", "loss")
    assert recorded(metrics, rule=Patience(3, monitor="loss")) == ("loss", "min", "loss")
    assert recorded(metrics, headline="speed", mode="max", rule=Patience(3)) == ("speed", "max", "val_speed")
    assert recorded({"loss": 1.0, "test_rmse": 2.0}) == ("rmse", "min", "loss")


def test_an_accuracy_in_percent_is_no_proportion() -> None:
    """As soon as a value says so, also for whoever reads the run while it trains, or after it has died."""
    with Recorder("runs") as recorder:
        recorder.epoch(val_loss=2.0, val_accuracy=0.9)
        assert Run.read(recorder.path).headline.kind == "proportion"
        recorder.epoch(val_loss=1.0, val_accuracy=12.5)
        recorder.epoch(val_loss=0.5, val_accuracy=0.8)
        while_it_trains = Run.read(recorder.path).headline
    assert while_it_trains == Run.read(recorder.path).headline == Headline("accuracy", "max", "score", "%")
    with Recorder("runs") as recorder:
        # A mean over batches that are all right.
        recorder.epoch(val_accuracy=sum([32 / 1000] * 31 + [8 / 1000]) + 1e-6)
    assert Run.read(recorder.path).headline.kind == "proportion"
    with Recorder("runs", headline="accuracy", unit="%") as recorder:
        recorder.epoch(val_accuracy=0.5)
    assert Run.read(recorder.path).headline == Headline("accuracy", "max", "score", "%")


def test_a_value_that_is_not_finite_ends_the_run() -> None:
    recorder = record([2.0, 1.0, math.nan, 1.0])
    verdict = recorder.verdict
    assert verdict is not None
    assert (verdict.reason, verdict.rule, verdict.epoch) == ("non_finite", "loss is nan", 3)
    summary = summary_of(recorder.path)
    assert (summary["state"], summary["stop"]["best_epoch"]) == ("failed", 2)
    assert Run.read(recorder.path).diverged
    # Of test rows nothing is decided.
    with Recorder("runs") as recorder:
        assert not recorder.epoch(loss=1.0, test_loss=math.inf)
    assert summary_of(recorder.path)["state"] == "finished"


def test_rules_skip_epochs_in_which_their_metric_was_not_measured() -> None:
    rule = AnyOf((Patience(2, monitor="val_rmse"), Threshold(0.1, monitor="loss")))
    with Recorder("runs", rule=rule) as recorder:
        stops = [recorder.epoch(loss=1.0, val_rmse=CURVE[40 + i] if i % 2 else None) for i in range(6)]
    assert stops == [False] * 5 + [True]
    with Recorder("runs", rule=rule) as recorder:
        assert recorder.epoch(loss=0.0, val_rmse=None)


def test_a_loop_that_ends_otherwise_says_how() -> None:
    reasons = {}
    for name, options, count in (("all", {"epochs": 5}, 5), ("some", {"epochs": 9}, 5), ("open", {}, 5)):
        recorder = record([2.0] * count, name=name, rule=None, **options)
        assert recorder.verdict is None
        stop = summary_of(recorder.path)["stop"]
        reasons[name] = (stop["reason"], stop["epoch"])
    assert reasons == {"all": ("completed", 5), "some": ("script", 5), "open": ("completed", 5)}
    with Recorder("runs", epochs=2) as recorder:
        assert [recorder.epoch(loss=1.0), recorder.epoch(loss=1.0)] == [False, True]
        with pytest.raises(RunError, match=r"went on after epoch 2 \(it was the last\); expected it to end where"):
            recorder.epoch(loss=1.0)
    recorder = record()
    with pytest.raises(RunError, match="closed"):
        recorder.epoch(loss=1.0, val_rmse=1.0)
    with pytest.raises(RunError, match="closed"), recorder:
        pass


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (ValueError("of the script"), "failed", "ValueError: of the script"),
        (KeyboardInterrupt(), "interrupted", "Ctrl-C"),
        (SystemExit(3), "interrupted", "SystemExit: 3"),
    ],
)
def test_an_error_in_the_block_goes_on_and_is_on_record(error: BaseException, state: str, reason: str) -> None:
    recorder = Recorder("runs")
    recorder.epoch(loss=1.0)
    with pytest.raises(type(error)), recorder:
        raise error
    status = status_of(recorder.path)
    assert (status["state"], status["reason"], status["epoch"]) == (state, reason, 1)
    assert summary_of(recorder.path)["state"] == state


def test_a_block_without_an_epoch_failed() -> None:
    recorder = Recorder("runs")
    with pytest.warns(RuntimeWarning, match="no epoch was recorded"), recorder:
        pass
    status = status_of(recorder.path)
    assert (status["state"], status["reason"]) == ("failed", "no epoch was recorded")


def test_no_two_recorders_write_one_folder() -> None:
    first, second = Recorder("runs", name="same"), Recorder("runs", name="same")
    assert first.path != second.path
    with pytest.raises(RunFolderError, match="already exists"):
        Recorder(run_dir=first.path)
    third, fourth = Recorder(run_dir="own"), Recorder(run_dir="own")
    assert third.path == Path("own").absolute()
    with pytest.raises(RunFolderError, match="own already exists"):
        _ = fourth.path
    with pytest.raises(RunFolderError, match="being written by process"):
        RunFolder.reopen(third.path)
    for recorder in (first, second, third):
        recorder.epoch(loss=1.0)
        recorder.close()
        recorder.close()


def test_only_what_has_not_begun_is_copied() -> None:
    recorder = Recorder("runs", name="trial", settings={"units": 32}, rule=PATIENCE)
    for other in (copy.deepcopy(recorder), pickle.loads(pickle.dumps(recorder))):
        assert (other.name, other.settings, other.rule) == ("trial", {"units": 32}, PATIENCE)
        assert other.path != recorder.path
        other.epoch(loss=1.0, val_rmse=1.0)
        other.close()
    with pytest.raises(TypeError, match="has begun to record cannot be copied or pickled"):
        copy.deepcopy(recorder)
    recorder.epoch(loss=1.0, val_rmse=1.0)
    recorder.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_neither_records_nor_ends_the_run() -> None:
    with Recorder("runs") as recorder:
        recorder.epoch(loss=1.0)
        with warnings.catch_warnings():
            # Of threads in a process that forks, which is what is tried here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            status = 1
            try:
                recorder.epoch(loss=2.0)
            except RunError:
                recorder.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert Run.read(recorder.path).state == "running"
        recorder.epoch(loss=3.0)
    assert Run.read(recorder.path).metrics["loss"].tolist() == [1.0, 3.0]


def epochs_on_a_full_disk(recorder: Recorder, disk: Path) -> None:
    recorder.epoch(loss=1.0)
    flush(recorder)
    fill(disk)
    for i in range(2000):
        recorder.epoch(loss=1 + i / 7)


def test_a_full_disk_ends_no_training_and_what_waits_is_written_later() -> None:
    with small_disk(64) as disk:
        with Recorder(run_dir=disk / "run") as recorder:
            epochs_on_a_full_disk(recorder, disk)
            flush(recorder)
            with pytest.warns(RuntimeWarning, match="epochs cannot be written .*No space left on device"):
                recorder.epoch(loss=3.0)
            recorder.epoch(loss=4.0)
            (disk / FILLER).unlink()
            enlarge(disk, 256)
        assert len(Run.read(recorder.path).metrics["loss"]) == 2003
        assert status_of(recorder.path)["state"] == "finished"


def test_a_disk_that_was_full_from_the_first_epoch_on_loses_nothing_once_there_is_room() -> None:
    with small_disk(64) as disk:
        with Recorder(run_dir=disk / "run") as recorder:
            recorder._started()
            fill(disk)
            with pytest.warns(RuntimeWarning, match="config.toml cannot be written"):
                recorder.epoch(loss=1.0)
            flush(recorder)
            with pytest.warns(RuntimeWarning, match="epochs cannot be written .*No space left on device"):
                recorder.epoch(loss=2.0)
            flush(recorder)
            for loss in (3.0, 4.0):
                recorder.epoch(loss=loss)
            (disk / FILLER).unlink()
            enlarge(disk, 256)
            flush(recorder)
            assert Run.read(recorder.path).metrics["loss"].tolist() == [1.0, 2.0, 3.0, 4.0]
            recorder.epoch(loss=5.0)
        assert len(Run.read(recorder.path).metrics["loss"]) == 5
        assert status_of(recorder.path)["state"] == "finished"


def test_a_metric_that_comes_on_a_full_disk_leaves_the_epochs_before_and_says_what_is_lost() -> None:
    with small_disk(64) as disk:
        recorder = Recorder(run_dir=disk / "run")
        recorder.epoch(loss=1.0)
        flush(recorder)
        # After the first, status.json and timing.csv are still written.
        flush(recorder)
        fill(disk)
        # As Keras's callback does with validation_freq.
        with pytest.warns(RuntimeWarning, match="config.toml cannot be written"):
            recorder._record({"loss": 2.0, "val_loss": 1.0}, strict=False)
        flush(recorder)
        with pytest.warns(RuntimeWarning) as told:
            recorder.close()
        assert any("metrics.csv lacks epoch 2: No space left on device" in str(one.message) for one in told)
        assert Run.read(recorder.path).metrics["loss"].tolist() == [1.0]
        status = status_of(recorder.path)
        assert status["state"] == "failed"
        assert "metrics.csv lacks epoch 2: No space left on device" in status["reason"]


def test_what_a_full_disk_loses_is_said_in_the_end() -> None:
    with small_disk(64) as disk:
        recorder = Recorder(run_dir=disk / "run")
        epochs_on_a_full_disk(recorder, disk)
        with pytest.warns(RuntimeWarning, match=r"metrics.csv lacks epochs 2 to 2001|results cannot be written"):
            recorder.close()
        status = status_of(recorder.path)
        assert (status["state"], status["outside"]) == ("failed", True)
        assert status["reason"].startswith("metrics.csv lacks epochs 2 to 2001: No space left on device")
        # Whole rows, or none.
        assert rows_of(recorder.path) == [["epoch", "step", "loss"], ["1", "1", "1.0"]]


def test_an_epoch_costs_at_most_50_microseconds() -> None:
    costs = []
    with Recorder("runs", rule=Patience(10**6, monitor="val_rmse")) as recorder:
        for _ in range(5):
            start = time.process_time()
            for value in CURVE * 10:
                recorder.epoch(loss=value, accuracy=0.5, val_rmse=value, val_accuracy=0.25)
            flush(recorder)
            costs.append((time.process_time() - start) / 2000)
    assert min(costs) < 50e-6


class LateEvent(threading.Event):
    """One whose answer that the time is over comes late: whoever sets it meanwhile is not waited for."""

    def wait(self, timeout: float | None = None) -> bool:
        is_set = super().wait(timeout)
        if not is_set:
            time.sleep(0.02)
        return is_set


def test_a_request_that_comes_when_the_time_is_over_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopcli.runner.epoch_log.FLUSH_SECONDS", 1e-3)
    monkeypatch.setattr("stopcli.runner.epoch_log.threading", SimpleNamespace(Event=LateEvent, Thread=threading.Thread))
    with Recorder("runs") as recorder:
        for _ in range(20):
            recorder.epoch(loss=1.0)
            flush(recorder)
            assert len(Run.read(recorder.path).metrics["loss"]) == recorder._count


def test_what_comes_while_others_are_written_is_not_lost_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    write, has_written = EpochLog._write, threading.Event()

    def write_slowly(log: EpochLog) -> Any:
        written = write(log)
        has_written.set()
        time.sleep(0.1)
        return written

    recorder = Recorder("runs")
    recorder.epoch(loss=2.0)
    assert recorder._log is not None
    monkeypatch.setattr(EpochLog, "_write", write_slowly)
    recorder._log._request.set()
    has_written.wait()
    recorder.epoch(loss=1.0)
    recorder.close()
    assert Run.read(recorder.path).metrics["loss"].tolist() == [2.0, 1.0]


class Interrupted(threading.Event):
    """One during whose wait somebody presses Ctrl-C."""

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        raise KeyboardInterrupt


def test_ctrl_c_while_an_epoch_waits_for_the_disk_leaves_all_of_it() -> None:
    recorder = Recorder("runs", rule=PATIENCE)
    recorder.epoch(loss=2.0, val_rmse=2.0)
    assert recorder._log is not None
    recorder._log._done, recorder._log._flushed = Interrupted(), 0.0
    with pytest.raises(KeyboardInterrupt), recorder:
        recorder.epoch(loss=1.0, val_rmse=1.0)
    summary = summary_of(recorder.path)
    assert (summary["state"], summary["epochs"], summary["best"]["epoch"]) == ("interrupted", 2, 2)
    assert Run.read(recorder.path).metrics["loss"].tolist() == [2.0, 1.0]


def test_ctrl_c_while_figures_are_drawn_costs_only_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("stopcli.runner.report.draw", interrupted)
    recorder = Recorder("runs")
    recorder.epoch(loss=1.0)
    with pytest.raises(KeyboardInterrupt):
        recorder.close()
    (read,) = read_runs([recorder.path])
    assert (read.state, summary_of(recorder.path)["epochs"]) == ("finished", 1)
    assert run("report", str(recorder.path)) == 0
