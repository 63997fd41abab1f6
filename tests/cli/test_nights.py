"""`stopcli fit TABLE --init-from RUN --rows new`: a table that grows, a run a night, each killed once and resumed."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas
import pytest
from eager_runs import eager_runs, unmeasured_loops
from forked import program, wait_for
from growing_tables import houses, read, written
from program import run, status_of, summary_of
from quick_runs import quick_runs

from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.predictions import PredictedValues, read_predictions

pytestmark = pytest.mark.slow

NIGHTS, FIRST, EPOCHS = 10, 120, 2
# In this night the process is killed; in the others, what a kill leaves is left in this process.
REALLY_KILLED = 3
START = ["fit", "houses.csv", "--target", "price", "--split", "hash:id", "--hidden", "8", "--learning-rate", "0.02"]
HOW = ["--epochs", str(EPOCHS), "--loop", "steps", "--xla", "no", "--save-every", "1", "--quiet"]


class KilledError(BaseException):
    """In the place of a SIGKILL: nothing that would save or tell anything runs after it."""


@contextmanager
def killed_after_saves(saves: int) -> Iterator[None]:
    """Within the block, a run is stopped after so many states, as by a kill."""
    from stopcli.training.run_log import RunLog

    commit, left = RunLog.commit, [saves]

    def committed(log: RunLog, *arguments: Any) -> None:
        commit(log, *arguments)
        left[0] -= 1
        if not left[0]:
            raise KilledError

    with mock.patch.object(RunLog, "commit", committed), pytest.raises(KilledError):
        yield


@contextmanager
def killed_before_it_trains() -> Iterator[None]:
    """Within the block, a run is stopped before a state of it is saved, as by a kill."""
    from stopcli.training import start_model

    measure = start_model.measure_start

    def measured(*arguments: Any) -> None:
        measure(*arguments)
        raise KilledError

    with mock.patch.object(start_model, "measure_start", measured), pytest.raises(KilledError):
        yield


@pytest.fixture(scope="module")
def nights(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs `night0` to `night10`, and in `tables/` the table of each night."""
    folder = tmp_path_factory.mktemp("nights")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("tables").mkdir()
        for night in range(NIGHTS + 1):
            written(houses(rows_of(night)))
            shutil.copy("houses.csv", f"tables/{night}.csv")
            with quick_nights(traced=night == REALLY_KILLED):
                if night == 0:
                    assert run(*START, *HOW, "--run-dir", "night0") == 0
                else:
                    killed_and_resumed(night)
    return folder


@contextmanager
def quick_nights(*, traced: bool = False) -> Iterator[None]:
    """Runs without figures.

    Args:
        traced: whether they are compiled, as those of users are.
    """
    with quick_runs(), unmeasured_loops(), nullcontext() if traced else eager_runs():
        yield


def rows_of(night: int) -> int:
    return math.floor(FIRST * 1.2**night)


def words_of(night: int) -> list[str]:
    return ["fit", "houses.csv", "--init-from", f"night{night - 1}", "--rows", "new", *HOW]


def killed_and_resumed(night: int) -> None:
    name, before, words = f"night{night}", Path(f"night{night - 1}"), words_of(night)
    if night == REALLY_KILLED:
        process = program(*words, "--run-dir", name)
        wait_for(f"{name}/checkpoints/resume/*.state")
        process.kill()
        process.communicate()
    else:
        # That the weights fit is checked before a run has its folder, and found again when it loads them.
        unchecked = mock.patch("stopcli.cli.execute.check_warm_start")
        with unchecked, killed_after_saves(1) if night % 2 else killed_before_it_trains():
            run(*words, "--run-dir", name)
        assert status_of(name)["epoch"] < EPOCHS
    # What it needs of its ancestor it has from its start on.
    away = before.rename("away")
    # Of a process that was quicker than its signal, nothing is left to do.
    status = 2 if status_of(name)["state"] == "finished" else 0
    assert run("resume", name, "--quiet") == status
    away.rename(before)
    assert status_of(name)["state"] == "finished"


@pytest.fixture
def after_all(nights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder as the working folder, with the last night's table."""
    monkeypatch.chdir(nights)
    shutil.copy(f"tables/{NIGHTS}.csv", "houses.csv")
    return nights


def test_each_night_trains_on_the_rows_that_no_night_before_had(after_all: Path) -> None:
    """A row's part is that of a run that starts anew with all rows; which rows are new is told by their ids."""
    anew = read("houses.csv")
    part_of = dict(zip(anew.table.frame["id"], anew.row_parts.part, strict=True))
    known: set[int] = set()
    for night in range(NIGHTS + 1):
        ids = set(pandas.read_csv(f"tables/{night}.csv")["id"])
        counts = {
            "train": sum(part_of[number] == 0 for number in ids - known),
            "validation": sum(part_of[number] == 1 for number in ids),
            "test": sum(part_of[number] == 2 for number in ids),
        }
        assert json.loads(Path(f"night{night}/table.json").read_text())["counts"] == counts
        assert summary_of(f"night{night}")["rows"] == counts
        known |= ids
    assert len(known) == rows_of(NIGHTS)


def test_every_run_tells_all_of_its_ancestors(after_all: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = [summary_of(f"night{night}")["rows"]["train"] for night in range(NIGHTS + 1)]
    for night in range(NIGHTS + 1):
        environment = json.loads(Path(f"night{night}/environment.json").read_text())
        ancestors = environment.get("init_from", {"ancestors": []})["ancestors"]
        assert [Path(one["run"]).name for one in ancestors] == [f"night{n}" for n in range(night - 1, -1, -1)]
        assert [one["rows"] for one in ancestors] == trained[:night][::-1]
        assert all(one["time"] for one in ancestors)
    assert run("show", "night2") == 0
    said = capsys.readouterr().out
    day = ancestors[0]["time"][:10]
    assert f"Started from night1 ({day}, {trained[1]} rows trained) ← night0 ({day}, {trained[0]} rows trained)" in said
    assert "Started from night1" in Path("night2/report.md").read_text()
    assert run("show", f"night{NIGHTS}") == 0
    assert "← 5 runs more ← night0 (" in capsys.readouterr().out


def test_a_night_that_was_killed_comes_out_as_one_that_was_not(after_all: Path) -> None:
    night = REALLY_KILLED
    shutil.copy(f"tables/{night}.csv", "houses.csv")
    with quick_nights(traced=True):
        assert run(*words_of(night), "--run-dir", "again") == 0
    assert compare(fingerprint_of(Path("again")), fingerprint_of(Path(f"night{night}"))) == []
    for name in ("before.npz", "rows.npz", "table.json", "predictions.npz", "metrics.csv"):
        assert Path(f"again/{name}").read_bytes() == Path(f"night{night}/{name}").read_bytes(), name
    assert summary_of("again")["before"] == summary_of(f"night{night}")["before"]


def test_before_is_the_ancestors_saved_model_on_this_nights_test_rows(after_all: Path) -> None:
    """The file by Keras alone, on rows as they stand in the table."""
    import keras

    rows = read("houses.csv")
    frame = rows.table.frame.iloc[rows.numbers_of(2)]
    model = keras.saving.load_model(f"night{NIGHTS - 1}/checkpoints/best.keras")
    columns = {name: keras.ops.convert_to_tensor(frame[name].to_numpy(np.float32)) for name in ("area", "rooms")}
    words = keras.ops.convert_to_tensor(frame["side"].to_list(), dtype="string")
    predicted = keras.ops.convert_to_numpy(model({**columns, "side": words})).reshape(-1)
    error = float(np.sqrt(np.mean((predicted - frame["price"]) ** 2)))
    summary, stored = summary_of(f"night{NIGHTS}"), read_predictions(Path(f"night{NIGHTS}/before.npz"))
    before = summary["before"]
    assert before["test"]["rmse"] == pytest.approx(error, rel=1e-4)
    assert before["test_interval"]["low"] < error < before["test_interval"]["high"]
    assert isinstance(stored, PredictedValues)
    assert stored.target is not None
    assert stored.final is not None
    np.testing.assert_allclose(stored.target[:, 0], frame["price"], rtol=1e-6)
    np.testing.assert_allclose(stored.final[:, 0], predicted, rtol=1e-4)
    # The same rows in the same order as those of after.
    after = read_predictions(Path(f"night{NIGHTS}/predictions.npz"))
    assert after is not None
    assert after.rows == stored.rows
    difference = before["best"]
    assert difference["mean"] == pytest.approx(summary["best"]["test"]["rmse"] - error, rel=1e-3, abs=1e-3)
    assert difference["low"] < difference["mean"] < difference["high"]


def test_before_and_after_are_told_side_by_side(after_all: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "night1") == 0
    said = capsys.readouterr().out
    value = summary_of("night1")["before"]["test"]["rmse"]
    assert re.search(rf"Before +\S*night0, whose model it started from; test RMSE {value:.2f} \(95 % interval", said)
    report = Path("night1/report.md").read_text()
    for text in (said, report):
        assert re.search(
            r"Saved model less the one before: test RMSE [+−]\S+ \(95 % interval .* to .*; bootstrap p", text
        )
    assert re.search(rf"\| before \| – \| – \| – \| {value:.2f} \[", report)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--rows", "new"], 5, "no new rows: all "),
        (
            ["--rows", "new", "--test-share", "0.5"],
            2,
            r"rows that test trained \S*night10 or a run before it, the first in",
        ),
        (
            ["--rows", "new", "--split", "random"],
            2,
            r"--split: received 'random', expected hash:id, as \S*night10 has it",
        ),
        (["--rows", "new", "--target", "area"], 2, "--target: received 'area', expected price"),
        (["--rows", "new", "--hidden", "9"], 2, "its weights have shape"),
    ],
)
def test_what_cannot_be_a_next_night_is_refused(
    after_all: Path, words: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--hidden" in words:
        written(houses(rows_of(NIGHTS + 1)))
    with quick_nights():
        assert run("fit", "houses.csv", "--init-from", "night10", *words, *HOW, "--run-dir", "next") == status
    assert re.search(message, capsys.readouterr().err)
    assert not Path("next").exists()


def test_several_seeds_start_from_the_same_model(after_all: Path) -> None:
    written(houses(rows_of(NIGHTS + 1)))
    words = [
        "fit",
        "houses.csv",
        "--init-from",
        "night10",
        "--rows",
        "new",
        *HOW,
        "--seeds",
        "2",
        "--executor",
        "in-process",
    ]
    with quick_nights():
        assert run(*words, "--run-dir", "seeds") == 0
    summaries = [summary_of(job) for job in sorted(Path("seeds/jobs").iterdir())]
    assert len({summary["before"]["test"]["rmse"] for summary in summaries}) == 1
    assert len({summary["final"]["test"]["rmse"] for summary in summaries}) == 2
    assert Path("seeds/jobs/no-stopping-seed1/rows.npz").is_file()
    before = summaries[0]["before"]["test"]["rmse"]
    (told,) = [text for text in summary_of("seeds")["conclusions"] if text.startswith("Before, the model of")]
    assert f"night10 that they started from has a test RMSE of {before:.2f} (95 % interval" in told
    assert "row by row, of 2 runs: " in told


def test_a_table_that_has_grown_since_is_another_run(after_all: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(houses(rows_of(NIGHTS + 1)))
    with quick_nights(), killed_after_saves(1):
        run("fit", "houses.csv", "--init-from", "night10", "--rows", "new", *HOW, "--run-dir", "late")
    written(houses(rows_of(NIGHTS + 2)))
    assert run("resume", "late", "--quiet") == 2
    said = capsys.readouterr().err
    assert "data: was " in said
    assert re.search(r"--init-from \S*night10 --rows new starts a run with all rows that are new to it", said)
