"""Whose code runs: that of the file which the user names, or which a run was started with; and of no run folder."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from program import run, summary_of
from quick_runs import quick_runs

import stopcli
from stopcli.configs.base import parse
from stopcli.configs.registry import config_class
from stopcli.errors import RequestError, StopcliError
from stopcli.recipes.recorded_code import with_code
from stopcli.runner.resume import read_config
from stopcli.runner.sweep import RunJob
from stopcli.runs.environment import read_environment
from stopcli.runs.files import read_toml
from stopcli.source import read_source, source_of
from stopcli.sweeps import ray
from stopcli.sweeps.plan import JobContext, plan_jobs
from stopcli.training.session import StopRequest

CODE = """
import keras
import numpy as np

def data(*, rows=40):
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)

def build(x, y, *, units=2):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
"""
OWN_LOSS = CODE.replace('"mse"', "loss") + "\ndef loss(y, p):\n    return keras.ops.mean((y - p) ** 2)\n"
# What a stranger's file would do.
MARK = "open({!r}, 'w')\n"
OPTIONS = ("--epochs", "2", "--loop", "epochs", "--xla", "no", "--quiet")


@pytest.fixture(scope="module")
def trained(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file, `rooms.py`, and its run, `run`; and another, `own.py` and `own`, whose loss is its own."""
    folder = tmp_path_factory.mktemp("trained")
    with quick_runs():
        for name, code in (("rooms", CODE), ("own", OWN_LOSS)):
            (folder / f"{name}.py").write_text(code)
            assert run("fit", str(folder / f"{name}.py"), *OPTIONS, "--run-dir", str(folder / f"{name}-run")) == 0
    return folder


@pytest.fixture
def folder(trained: Path) -> Iterator[Path]:
    """That folder as it was before: the runs know its place."""
    shutil.copytree(trained, copy := trained.with_name(f"{trained.name}-copy"))
    yield trained
    shutil.rmtree(trained)
    copy.rename(trained)


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """What a command line is refused with, in a line."""

    def refused(*argv: str) -> str:
        assert run(*argv) == 2
        return " ".join(capsys.readouterr().err.split())

    return refused


def resume(folder: Path, name: str, *options: str) -> tuple[str, ...]:
    return ("resume", str(folder / f"{name}-run"), "--epochs", "4", *options)


@pytest.mark.usefixtures("quick")
def test_a_changed_comment_is_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "own.py").write_text('"""A comment."""\n' + OWN_LOSS.replace("return x, x", "# Sums.\n    return  x, x"))
    assert run(*resume(folder, "own")) == 0
    assert "own.py has changed since the run was started, in comments or layout only" in capsys.readouterr().err
    assert summary_of(folder / "own-run")["epochs"] == 4
    assert (folder / "own-run" / "code" / "own.py").read_text().startswith('"""A comment."""')
    assert (folder / "own-run" / "code-1" / "own.py").read_text() == OWN_LOSS


@pytest.mark.usefixtures("quick")
def test_changed_code_is_executed_only_where_it_is_named(folder: Path, refused: Refused) -> None:
    """And where the model is of Keras's classes alone, what its fingerprint does not hold may change."""
    run_folder = folder / "rooms-run"
    (folder / "rooms.py").write_text(CODE.replace("model.compile", "print(units)\n    model.compile"))
    message = refused(*resume(folder, "rooms"))
    assert "its code has changed since the run was started rooms.py: @@ -10,0 +11 @@ + print(units)" in message
    assert f"stopcli resume {run_folder} --code {folder / 'rooms.py'} executes it as it is now." in message
    assert f"--code {folder / 'rooms.py'} executes" in refused("run", str(run_folder))
    assert not list(folder.glob("runs/*"))
    assert run(*resume(folder, "rooms", "--code", str(folder / "rooms.py"))) == 0
    notes = read_environment(run_folder)[0]["resumed"][0]["notes"]
    assert any("+    print(units)" in note for note in notes)
    # It is the run's own file from now on.
    assert "nothing is left to do" in refused("resume", str(run_folder))
    assert run("resume", str(run_folder), "--epochs", "5", "--quiet") == 0
    assert [path.name for path in sorted(run_folder.glob("code*"))] == ["code", "code-1"]


@pytest.mark.usefixtures("quick")
def test_another_model_is_not_the_same_run(folder: Path, refused: Refused) -> None:
    code = str(folder / "rooms.py")
    (folder / "rooms.py").write_text(CODE.replace('"sgd"', '"adam"').replace("Dense(1)", "Dense(1, 'relu')"))
    message = refused(*resume(folder, "rooms", "--code", code))
    assert "the model's layers, or their settings: changed the optimizer, the loss or the metrics: changed" in message
    (folder / "own.py").write_text(OWN_LOSS.replace("** 2", "** 4"))
    message = refused(*resume(folder, "own", "--code", str(folder / "own.py")))
    assert "the code of classes or functions that the model computes with, or of augment: changed" in message
    assert "--force resumes it anyway, and records the change." in message
    assert read_toml(folder / "own-run" / "config.toml")["epochs"] == 2
    assert run(*resume(folder, "own", "--force")) == 0
    notes = "\n".join(read_environment(folder / "own-run")[0]["resumed"][0]["notes"])
    assert "the code of classes or functions" in notes
    assert "** 4" in notes


@pytest.mark.usefixtures("quick")
def test_a_file_that_was_moved_is_named(folder: Path, refused: Refused) -> None:
    (folder / "elsewhere").mkdir()
    moved = (folder / "rooms.py").rename(folder / "elsewhere" / "other.py")
    message = refused(*resume(folder, "rooms"))
    assert "rooms.py: no such file" in message
    assert f"If the file is elsewhere now: stopcli resume {folder / 'rooms-run'} --code PATH" in message
    assert run(*resume(folder, "rooms", "--code", str(moved))) == 0
    assert read_toml(folder / "rooms-run" / "config.toml")["file"] == str(moved)
    assert "executes no file of yours" in refused(
        "run", str(Path(__file__).parents[1] / "fixtures" / "runs" / "case-study"), "--code", str(moved)
    )


def test_a_config_does_not_execute_what_it_has_no_hash_of(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "rooms.py").write_text(MARK.format(str(tmp_path / "mark")) + CODE)
    for file, expected in (("rooms.py", "rooms.py"), (str(tmp_path / "rooms.py"), "have no code_sha256")):
        (tmp_path / "config.toml").write_text(f'command = "fit"\nfile = "{file}"\n')
        message = refused("run", str(tmp_path / "config.toml"))
        assert expected in message
        assert "--code" in message
    assert not (tmp_path / "mark").exists()


@pytest.mark.usefixtures("quick")
def test_a_run_folder_of_a_stranger_executes_nothing(
    folder: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    strange, text = folder / "own-run", MARK.format(str(mark)) + OWN_LOSS
    # At its place, beside the settings, in the copy, and where Python might look for a module of that name.
    for path in (folder / "own.py", strange / "own.py", strange / "code" / "own.py", tmp_path / "own.py"):
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run("list", "--runs-dir", str(folder)) == 0
    for command in ("show", "report", "replay"):
        assert run(command, str(strange)) == 0, command
    assert run("compare", str(strange), str(folder / "rooms-run"), "--runs-dir", str(tmp_path)) == 0
    opened = stopcli.open(strange)
    assert opened.summary.command == "fit"
    with pytest.raises(StopcliError):
        # Its loss is in no file that Keras reads without executing something.
        opened.model()
    refused(*resume(folder, "own"))
    refused("run", str(strange))
    # A stranger knows the hash of what lies in the folder.
    for file in (strange / "code" / "own.py", strange / "own.py"):
        config = (strange / "config.toml").read_text()
        settings, source = read_toml(strange / "config.toml"), read_source(file)
        for name, value in (("file", str(file)), ("code_sha256", source.sha256), ("code_hash", source.code_hash)):
            config = config.replace(f'{name} = "{settings[name]}"', f'{name} = "{value}"')
        (strange / "config.toml").write_text(config)
        for argv in (resume(folder, "own"), ("run", str(strange / "config.toml")), ("fit", str(file))):
            assert "whose files are records; they are not executed" in refused(*argv)
    assert run("prune", "--runs-dir", str(folder), "--yes") == 0
    assert run("rm", str(strange), "--runs-dir", str(folder), "--yes") == 0
    assert not mark.exists()


@pytest.mark.usefixtures("quick")
def test_a_job_of_a_sweep_executes_what_the_sweep_has_read(folder: Path) -> None:
    """Also on a machine without the file, and where the file has changed meanwhile."""
    config = replace(read_config(folder / "rooms-run"), file=str(folder / "gone.py"))
    source = source_of(folder / "gone.py", {"gone.py": CODE})
    (job,) = plan_jobs(config)
    for name in ("jobs", "refused"):
        (folder / name).mkdir()
    with pytest.raises(RequestError, match=r"gone\.py: no such file"):
        RunJob(folder / "refused")(job, JobContext(StopRequest()))
    (folder / "gone.py").write_text("raise ValueError('another file')")
    work: RunJob = pickle.loads(pickle.dumps(RunJob(folder / "jobs", source=source)))
    work(job, JobContext(StopRequest()))
    assert summary_of(folder / "jobs" / job.name)["state"] == "finished"
    assert (folder / "jobs" / job.name / "code" / "gone.py").read_text() == CODE


@pytest.mark.usefixtures("quick")
def test_a_file_that_is_not_there_any_more_is_told_from_one_of_another_folder(
    folder: Path, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rows.npy").touch()
    (folder / "opens.py").write_text(CODE.replace("    x =", "    open('rows.npy').close()\n    x ="))
    monkeypatch.chdir(folder)
    assert run("fit", "opens.py", *OPTIONS, "--run-dir", "opens-run") == 0
    monkeypatch.chdir(tmp_path)
    message = refused(*resume(folder, "opens"))
    assert f"{folder}/opens.py, line 6, in data(): FileNotFoundError" in message
    assert f"The run was started in {folder}, from where relative paths count." in message


def test_a_model_of_a_file_may_be_moved_too(tmp_path: Path) -> None:
    path, moved = tmp_path / "rooms.py", tmp_path / "far" / "rooms.py"
    moved.parent.mkdir()
    moved.write_text(CODE)
    source = read_source(moved)
    settings = {"scale": "full", "model": str(path), "code_sha256": source.sha256, "code_hash": source.code_hash}
    config = parse(config_class("lr-range"), settings)
    with pytest.raises(RequestError, match=r"rooms\.py: no such file") as raised:
        with_code(config, None, again="stopcli run config.toml")
    assert raised.value.hint == "If the file is elsewhere now: stopcli run config.toml --code PATH"
    assert with_code(config, moved, again="") == (replace(config, model=str(moved)), ())


def test_a_task_of_ray_works_in_the_folder_of_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep").mkdir()
    folders: list[Path] = []
    for folder in ("sweep", "of another machine"):
        error = ray._work(
            None,  # type: ignore[arg-type]
            lambda job, context: folders.append(Path.cwd()),
            str(tmp_path / "stop"),
            None,
            str(tmp_path / folder),
        )
        assert error == ""
    assert folders == [tmp_path / "sweep"] * 2


@pytest.mark.usefixtures("quick")
def test_a_sweep_goes_on_with_the_model_of_its_finished_runs(folder: Path, refused: Refused) -> None:
    file, sweep = folder / "rooms.py", folder / "sweep"
    lost = sweep / "jobs" / "rows-30-seed0"
    # Arms with other rows.
    assert run("fit", str(file), *OPTIONS, "--vary", "rows=20,30", "--run-dir", str(sweep)) == 0
    shutil.rmtree(lost)
    file.write_text(CODE.replace('"sgd"', '"adam"'))
    message = refused("resume", str(sweep))
    assert '- model.compile("sgd", "mse") + model.compile("adam", "mse")' in message
    message = refused("resume", str(sweep), "--code", str(file))
    assert "the optimizer, the loss or the metrics: changed" in message
    assert not lost.exists()
    file.write_text(CODE.replace("return x,", "print('rows')\n    return x,"))
    assert run("resume", str(sweep), "--code", str(file), "--quiet") == 0
    assert summary_of(lost)["state"] == "finished"
    hashes = {read_toml(path)["code_sha256"] for path in sweep.rglob("config.toml")}
    assert hashes == {read_source(file).sha256}
