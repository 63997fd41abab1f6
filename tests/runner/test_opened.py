"""Runs in Python: what `stopcli.open` and `stopcli.list_runs` return of finished, running and damaged folders."""

from __future__ import annotations

import builtins
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written_runs import write_run, write_sweep

import stopcli
from stopcli.errors import CheckpointError, ConfigError, RequestError, RunFolderError
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import MetricsFile

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"
KINDS = {
    **dict.fromkeys(("moons", "train", "failed", "paused"), stopcli.Run),
    **dict.fromkeys(("moons-seeds", "case-study", "cutout-sweep", "clr", "paused-sweep"), stopcli.Sweep),
    "lr-range": stopcli.RangeTest,
    **dict.fromkeys(("compare", "replay"), stopcli.Analysis),
}


def copied(*names: str) -> Path:
    """A folder of runs with copies of fixtures."""
    for name in names:
        shutil.copytree(FIXTURES / name, Path("runs") / name)
    return Path("runs")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_folder_is_opened_as_what_it_is(name: str) -> None:
    run = stopcli.open(FIXTURES / name)
    assert type(run) is KINDS[name]
    assert f"<{KINDS[name].__name__} " in repr(run)
    assert repr(run).count("\n") == 0
    assert run.command == json.loads((FIXTURES / name / "summary.json").read_text())["command"] or name == "train"
    html = run._repr_html_()
    assert html.count('<div class="stopcli-report">') == 1
    assert "<script" not in html
    assert " id=" not in html


def test_a_run_has_its_settings_results_and_curves() -> None:
    run = stopcli.open(FIXTURES / "moons")
    assert isinstance(run, stopcli.Run)
    assert run.config["command"] == "moons"
    assert run.config["patience"] == 10
    assert run.summary is not None
    assert (run.summary.stop.reason, run.summary.stop.epoch) == ("patience", 15)
    text = (FIXTURES / "moons" / "metrics.csv").read_text().splitlines()
    for i, name in enumerate(text[0].split(",")):
        exact = np.float64 if name in ("epoch", "step") else np.float32
        assert run.metrics[name].tolist() == [float(exact(line.split(",")[i])) for line in text[1:]]
    frame = run.frame()
    assert list(frame) == text[0].split(",")
    assert frame["epoch"].tolist() == list(range(1, 16))
    assert str(frame["epoch"].dtype) == "int64"
    assert frame["val_loss"].idxmin() + 1 == run.summary.stop.best_epoch


def test_a_sweep_has_its_runs_by_arm_in_the_order_of_the_plan() -> None:
    sweep = stopcli.open(write_sweep("runs/sweep", {"m10": [0.7, 0.8], "m2": [0.9] * 11}))
    assert isinstance(sweep, stopcli.Sweep)
    assert {arm: len(runs) for arm, runs in sweep.arms.items()} == {"m10": 2, "m2": 11}
    assert [run.seed for run in sweep.arms["m2"]] == list(range(11))
    frame = sweep.frame()
    assert frame.groupby("arm")["test_accuracy"].mean().to_dict() == pytest.approx({"m10": 0.75, "m2": 0.9})
    assert sweep.table.columns
    with pytest.raises(RunFolderError, match="whose metrics are those of its runs"):
        _ = sweep.metrics
    (Path("runs/sweep/summary.json")).unlink()
    # Without a plan on record, by number.
    assert [run.path.name for run in stopcli.open("sweep").runs[-2:]] == ["m10-seed0", "m10-seed1"]
    with pytest.raises(RunFolderError, match="has no results yet"):
        _ = stopcli.open("sweep").table


def test_a_setting_of_a_frame_takes_no_result_s_place() -> None:
    write_run("runs/stopped", epochs=15, max_epochs=None)
    config = Path("runs/stopped/config.toml")
    config.write_text(config.read_text().replace("epochs = 400", "epochs = 2.5"))
    frame = stopcli.list_runs().frame("epochs", "patience")
    assert frame["epochs"].tolist() == [15]
    assert frame["setting_epochs"].tolist() == [2.5]


def test_a_job_is_opened_by_its_path_and_by_its_name() -> None:
    copied("moons-seeds")
    for name in (
        "moons-seeds/patience-5-seed1",
        "moons-seeds/jobs/patience-5-seed1",
        "runs/moons-seeds/jobs/patience-5-seed1",
    ):
        run = stopcli.open(name)
        assert isinstance(run, stopcli.Run)
        assert (run.arm, run.seed) == ("patience-5", 1)


def test_a_range_test_has_a_curve_for_each_seed_and_an_analysis_its_table() -> None:
    test = stopcli.open(FIXTURES / "lr-range")
    assert isinstance(test, stopcli.RangeTest)
    assert list(test.curves) == [0, 1, 2]
    assert test.curves[2]["learning_rate"][[0, -1]].tolist() == pytest.approx([1e-7, 10], rel=1e-3)
    assert test.frame()["base_lr"].tolist() == pytest.approx([0.021544346] * 3)
    replay = stopcli.open(FIXTURES / "replay")
    assert isinstance(replay, stopcli.Analysis)
    assert replay.table.rows
    assert replay.summary is not None
    assert replay.summary.conclusions[0] in replay._repr_html_().replace("&#39;", "'")


def test_a_csv_file_is_a_run_without_settings_results_and_models() -> None:
    Path("history.csv").write_text("epoch,loss,val_rmse,val_count\n0,1,20,3\n1,0.5,15,\n2,0.4,16,7\n")
    run = stopcli.open("history.csv")
    assert isinstance(run, stopcli.Run)
    assert (run.command, run.config, run.summary) == ("csv", {}, None)
    assert repr(run) == "<CsvRun 'history.csv': finished, 3 epochs>"
    assert run.metrics["val_rmse"].tolist() == [20, 15, 16]
    assert run.frame()["val_count"].isna().tolist() == [False, True, False]
    page = run._repr_html_()
    assert "The lowest validation RMSE is 15.00, at epoch 2." in page
    assert "Epochs are counted from 0 in the file, and from 1 here." in page
    cells = re.findall(r'<th scope="row">(\w+)</th>' + 3 * r"<td[^>]*>([\d.–]+)</td>", page)
    expected = [("loss", "0.4000", "3", "0.4000"), ("val_rmse", "15.00", "2", "16.00"), ("val_count", "–", "–", "7")]
    assert cells == expected
    assert "data:image/svg+xml" in page
    with pytest.raises(RequestError, match="a CSV file, which has no model"):
        run.model()
    Path("sparse.csv").write_text("epoch,step,loss\n1,10,1\n2,,2\n")
    sparse = stopcli.open("sparse.csv")
    assert isinstance(sparse, stopcli.Run)
    assert [str(dtype) for dtype in sparse.frame().dtypes] == ["int64", "float64", "float64"]
    Path("table.csv").write_text("name,value\na,1\n")
    with pytest.raises(RequestError, match="epoch"):
        stopcli.open("table.csv")


def test_runs_are_named_as_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    root = copied("moons", "moons-seeds", "lr-range")
    assert stopcli.open("last").path == root / "lr-range"
    assert stopcli.open("lr").path == root / "lr-range"
    assert stopcli.open(root / "moons" / "config.toml").path == root / "moons"
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert stopcli.open("~/runs/moons").path == Path.cwd() / "runs" / "moons"
    root.rename("elsewhere")
    assert stopcli.open("lr", "elsewhere").path == Path("elsewhere/lr-range")
    monkeypatch.setenv("STOPCLI_RUNS_DIR", "elsewhere")
    assert stopcli.open("lr").path == Path("elsewhere/lr-range")
    with pytest.raises(RunFolderError, match="the names of 2 runs in elsewhere begin so") as caught:
        stopcli.open("moon")
    assert caught.value.hint == "Which one? moons, moons-seeds"
    if sys.version_info >= (3, 11):
        # What to do about it is in the traceback too.
        assert caught.value.__notes__ == [caught.value.hint]
    for name, message in (("nope", "nope: no such folder, and no run"), ("", "empty path"), (".", "not a run folder")):
        with pytest.raises(RequestError, match=message):
            stopcli.open(name)


def test_the_list_is_filtered_sorted_and_becomes_a_frame() -> None:
    root = copied("moons", "moons-seeds", "compare", "failed")

    def names(**which: Any) -> list[str]:
        return [run.path.name for run in stopcli.list_runs(**which)]

    runs = stopcli.list_runs(root)
    assert [run.path.name for run in runs] == ["moons", "moons-seeds", "failed", "compare"]
    assert repr(runs) == "<4 runs: moons, moons-seeds, failed, …>"
    assert names(command="moons", state="finished") == ["moons", "moons-seeds"]
    assert names(command=("moons", "compare"), state=["finished", "failed"]) == names()
    assert names(name="seeds") == ["moons-seeds"]
    assert names(sort="val_loss")[:2] == ["moons-seeds", "moons"]
    assert names(reverse=True) == names()[::-1]
    with pytest.raises(ConfigError, match="state: received 'finish', expected one of running, finished, "):
        stopcli.list_runs(state="finish")
    assert stopcli.list_runs(name="nobody")[:].frame().empty
    frame = runs.frame("patience")
    assert frame["patience"].tolist()[:2] == [10, 5]
    assert frame.loc[0, ["best_epoch", "saved_test_accuracy"]].tolist() == pytest.approx([5, 0.8])
    assert frame["started"].is_monotonic_increasing
    assert "0.4506 at 5" in runs._repr_html_()
    # By another metric, its best values.
    table = stopcli.list_runs(sort="val_accuracy").table
    assert table.columns[3] == "best val_accuracy"
    assert [row[3] for row in table.body] == ["0.8286 at 8", "0.8000 at 1", "0.7714 at 1", "–"]
    assert len(stopcli.list_runs("nowhere")) == 0


def test_of_a_running_run_there_are_the_epochs_so_far() -> None:
    with RunFolder.create(root=Path("runs"), command="moons", config='command = "moons"\n') as folder:
        run = stopcli.open("last")
        assert isinstance(run, stopcli.Run)
        assert (run.state, run.summary) == ("running", None)
        with pytest.raises(RequestError, match="no epoch is recorded yet; its state is: running"):
            _ = run.metrics
        names = ["loss", "accuracy", "val_loss", "val_accuracy"]
        metrics = MetricsFile(folder.metrics, names)
        metrics.append(1, 10, np.ones((2, 4), np.float32))
        metrics.close()
        with folder.metrics.open("a") as file:
            # A row that is being written.
            file.write("3,30,0.5,0.")
        run = stopcli.open("last")
        assert isinstance(run, stopcli.Run)
        assert run.metrics["epoch"].tolist() == [1, 2]
        page = run._repr_html_()
        assert "It is running." in page
        assert "data:image/svg+xml;base64," in page
        with pytest.raises(RunFolderError, match="it has no best model yet; its state is: running"):
            run.model()
        folder.status.write("finished")
    assert not any(path.suffix == ".svg" for path in run.path.rglob("*"))


def test_what_is_damaged_is_opened_and_said() -> None:
    run_folder = copied("moons") / "moons"
    (run_folder / "summary.json").write_text("{")
    run = stopcli.open("moons")
    assert isinstance(run, stopcli.Run)
    assert "damaged (summary.json: damaged (not JSON" in repr(run)
    assert len(run.frame()) == 15
    assert "summary.json: damaged (not JSON" in run._repr_html_()
    (run_folder / "metrics.csv").write_text("epoch,step,loss\n1,1\n")
    with pytest.raises(RequestError, match=r"metrics\.csv: damaged"):
        stopcli.open("moons").frame()
    (run_folder / "config.toml").write_text("= nothing")
    assert stopcli.open("moons").command == ""
    assert stopcli.list_runs().frame()["state"].tolist() == ["damaged"]
    assert "damaged" in stopcli.list_runs()._repr_html_()
    # A metric that none has is what is wrong, and not the damaged file.
    with pytest.raises(ConfigError, match="sort: received 'val_los'"):
        stopcli.list_runs(sort="val_los")
    assert "config.toml: not a TOML file" in stopcli.open("moons")._repr_html_()
    (run_folder / "config.toml").unlink()
    shutil.copy(FIXTURES / "moons" / "summary.json", run_folder)
    assert "Stopped at epoch 15 of 100" in stopcli.open("moons")._repr_html_()


def test_a_missing_model_is_explained() -> None:
    run = stopcli.open(write_run("runs/without", checkpoint=False))
    assert isinstance(run, stopcli.Run)
    with pytest.raises(RunFolderError, match="it has no best model; it was trained with --no-checkpoint"):
        run.model()
    moons = stopcli.open(FIXTURES / "moons")
    assert isinstance(moons, stopcli.Run)
    with pytest.raises(RunFolderError, match="it has no model of epoch 3") as caught:
        moons.model(3)
    assert caught.value.hint == "It has: best, final."
    message = "which: received 'Best', expected best, final, refit or the number of an epoch"
    with pytest.raises(RequestError, match=message):
        moons.model("Best")  # type: ignore[arg-type]
    (copied("moons") / "moons" / "checkpoints" / "best.keras").write_bytes(b"no model")
    with pytest.raises(RequestError, match=r"not a \.keras file"):
        stopcli.open("moons").model()


def test_the_built_in_open_stays() -> None:
    # `from stopcli import *` does not replace it.
    assert "open" not in stopcli.__all__
    assert stopcli.open is not builtins.open
    assert "open" in dir(stopcli)


def test_opening_and_showing_imports_no_tensorflow_and_leaves_matplotlib_s_backend() -> None:
    root = copied("moons")
    (root / "moons" / "summary.json").unlink()
    code = """
import sys, stopcli
run = stopcli.open("moons")
run.metrics, repr(run), stopcli.list_runs()._repr_html_()
print(sorted({"tensorflow", "keras", "pandas", "matplotlib"} & set(sys.modules)))
assert "data:image/svg+xml" in run._repr_html_()
import matplotlib
print(matplotlib.get_backend(auto_select=False))
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MPLBACKEND": "svg"},
    )
    assert process.stdout.splitlines() == ["[]", "svg"]


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_model_is_loaded_and_code_in_it_is_not_run() -> None:
    import keras

    run = stopcli.open(FIXTURES / "moons")
    assert isinstance(run, stopcli.Run)
    best, final = run.model(), run.model("final")
    assert best.predict(np.zeros((3, 2)), verbose=0).shape == (3, 1)
    assert any((a != b).any() for a, b in zip(best.get_weights(), final.get_weights(), strict=True))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    model.save(copied("moons") / "moons" / "checkpoints" / "best.keras")
    with pytest.raises(CheckpointError, match="not a model that can be loaded"):
        stopcli.open("moons").model()
