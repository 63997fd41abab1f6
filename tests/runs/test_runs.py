"""The run folder: made by one, written whole, read back."""

from __future__ import annotations

import json
import multiprocessing
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stopcli.errors import RequestError, RunFolderError
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import replacing, write_json, write_text
from stopcli.runs.folder import RunFolder, runs_root
from stopcli.runs.metrics import MetricsFile, read_metrics


def make(root: Path, run_dir: Path | None = None) -> RunFolder:
    return RunFolder.create(root=root, command="moons", name="test", run_dir=run_dir)


def status(folder: RunFolder) -> dict[str, object]:
    read: dict[str, object] = json.loads((folder.path / "status.json").read_text())
    return read


def test_folders_of_the_same_second_are_different_ones(tmp_path: Path) -> None:
    paths = [make(tmp_path / "deep" / "runs").path for _ in range(5)]
    assert len(set(paths)) == 5
    assert all(path.name.endswith(("-moons-test", *(f"-moons-test-{n}" for n in range(2, 6)))) for path in paths)


def _make_many(root: str) -> list[str]:
    return [str(make(Path(root)).path) for _ in range(20)]


def test_processes_at_once_never_share_a_folder(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        made = [path for paths in pool.map(_make_many, [str(tmp_path)] * 4) for path in paths]
    assert len(set(made)) == 80


def test_an_existing_folder_is_never_written_into(tmp_path: Path) -> None:
    existing = tmp_path / "mine"
    existing.mkdir()
    with pytest.raises(RunFolderError, match="already exists"):
        make(tmp_path, run_dir=existing)
    assert list(existing.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be made") as caught:
        make(tmp_path / "file" / "runs")
    assert "--runs-dir" in caught.value.hint


def test_the_runs_folder_is_given_or_from_the_environment_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_root(None) == Path("runs")
    monkeypatch.setenv("STOPCLI_RUNS_DIR", "/elsewhere")
    assert runs_root(None) == Path("/elsewhere")
    assert runs_root(Path("here")) == Path("here")


def test_status_never_says_running_when_the_run_is_over(tmp_path: Path) -> None:
    folder = make(tmp_path)
    assert status(folder)["state"] == "running"
    with pytest.raises(ZeroDivisionError), folder:
        _ = 1 / 0
    assert (status(folder)["state"], status(folder)["reason"]) == ("failed", "ZeroDivisionError: division by zero")

    folder = make(tmp_path)
    with pytest.raises(KeyboardInterrupt), folder:
        raise KeyboardInterrupt
    assert status(folder)["state"] == "interrupted"

    folder = make(tmp_path)
    with folder:
        folder.status.write("finished", epoch=7)
    assert (status(folder)["state"], status(folder)["epoch"]) == ("finished", 7)


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "first")
    with pytest.raises(UnicodeEncodeError), replacing(path) as new:
        new.write_text("sec" * 100_000 + "\ud800")
    assert path.read_text() == "first"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_text(path, "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_json_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.5], "b": {"c": float("inf")}, "d": (1, "x", None)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, 1.5], "b": {"c": None}, "d": [1, "x", None]}


@given(
    rows=hnp.arrays(np.float32, st.tuples(st.integers(0, 20), st.just(3)), elements=st.floats(width=32)),
    cut=st.integers(0, 20),
)
def test_metrics_come_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, rows: np.ndarray, cut: int) -> None:
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    file = MetricsFile(path, ["loss", "val_loss", "learning_rate"])
    file.append(1, 4, rows[:cut])
    file.append(1 + len(rows[:cut]), 4, rows[cut:])
    file.close()
    read = read_metrics(path)
    assert read["epoch"].tolist() == list(range(1, len(rows) + 1))
    assert read["step"].tolist() == [4 * e for e in range(1, len(rows) + 1)]
    for i, name in enumerate(["loss", "val_loss", "learning_rate"]):
        np.testing.assert_array_equal(read[name].astype(np.float32), rows[:, i])


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,loss\n1,1,0.5\n2,2,0.2")
    assert read_metrics(path)["loss"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "not a metrics.csv"), ("a,b\n1,2\n", "not a metrics.csv"), ("epoch,step,loss\n1,1,x\n", "damaged")],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(RequestError, match=message):
        read_metrics(path)


def test_metrics_of_another_run_are_never_written_over(tmp_path: Path) -> None:
    MetricsFile(tmp_path / "metrics.csv", ["loss"]).close()
    with pytest.raises(FileExistsError):
        MetricsFile(tmp_path / "metrics.csv", ["loss"])


def test_the_environment_names_what_the_numbers_depend_on() -> None:
    described = describe_environment({"gpus": []})
    assert described["versions"].keys() == {
        "python", "stopcli", "tensorflow", "keras", "numpy", "scikit-learn", "matplotlib",
    }  # fmt: skip
    assert described["cores"] >= 1
    assert described["argv"]
