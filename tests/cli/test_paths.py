"""Paths that the system refuses, wherever one can be named: a line and perhaps a hint, exit status 2, nothing left."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import run
from refusals import check_refused
from unprivileged import folder_for_all
from written_runs import write_run

LONG = "x" * 300
# What each is told as; any of the texts.
BAD = {
    "too long a name": (LONG, ["File name too long"]),
    "too long a path": ("/".join(["x" * 200] * 30), ["File name too long"]),
    "through a file": (
        "file/in",
        ["no such", "no folder", "Not a directory", "is a file"],
    ),
    "not UTF-8": (os.fsdecode(b"by\xfftes"), ["by\\xfftes: no such", "by\\xfftes: cannot be read", "not UTF-8"]),
    "empty": ("", ["received an empty path", "dataset: received ''"]),
    "a loop": ("loop", ["Too many levels of symbolic links", "ymlink loop"]),
}
COMMANDS = {
    "run": ["run", "PATH"],
    "run's folder": ["moons", "--run-dir", "PATH"],
    "folder of runs": ["moons", "--runs-dir", "PATH"],
    "resume": ["resume", "PATH"],
    "show": ["show", "PATH"],
    "list": ["list", "--runs-dir", "PATH"],
    "compare": ["compare", "good", "PATH"],
    "compare to": ["compare", "good", "good", "--run-dir", "PATH"],
    "replay": ["replay", "PATH"],
    "recommend": ["recommend", "PATH"],
    "report": ["report", "PATH"],
    "report to": ["report", "good", "--to", "PATH"],
    "reproduce": ["reproduce", "PATH"],
    "reproduce to": ["reproduce", "one.toml", "--to", "PATH"],
    "images": ["cifar-resnet", "--dataset", "PATH"],
    "weights": ["moons", "--init-from", "PATH"],
    "bounds": ["clr", "--from-range", "PATH"],
}
# A folder that is to be listed may be missing, and is then empty; a new file or folder may have any bytes for a name.
FINE = {("list", "not UTF-8"), ("report to", "not UTF-8"), ("reproduce to", "not UTF-8")}


@pytest.fixture
def odd_paths() -> None:
    Path("file").touch()
    Path("loop").symlink_to("loop")
    write_run("good")
    Path("one.toml").write_text("title = 1\n")


@pytest.mark.usefixtures("odd_paths")
@pytest.mark.parametrize(("command", "kind"), sorted({*itertools.product(COMMANDS, BAD)} - FINE))
def test_a_path_that_cannot_be_is_refused_in_a_line(
    command: str, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, answers = BAD[kind]
    if command == "reproduce to":
        # Its files are read first.
        answers = [*answers, "one.toml: title"]
    before = sorted(Path().rglob("*"))
    assert run(*[path if word == "PATH" else word for word in COMMANDS[command]]) == 2
    said = capsys.readouterr()
    assert any(answer in said.err for answer in answers), said.err
    assert said.out == ""
    assert len(said.err.splitlines()) <= 2
    # Whatever a terminal can print.
    said.err.encode("utf-8")
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("setting", ["dataset", "init_from"])
@pytest.mark.parametrize(("path", "answer"), [("a\\u0000b", "a\\x00b: cannot be read"), (LONG, "File name too long")])
def test_a_path_in_a_config_is_refused_as_on_the_command_line(
    setting: str, path: str, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("it.toml").write_text(f'command = "cifar-resnet"\n{setting} = "{path}"\n')
    check_refused(["run", "it.toml"], answer, capsys, monkeypatch)


@pytest.mark.parametrize("kind", ["too long a name", "through a file", "not UTF-8", "a loop"])
@pytest.mark.usefixtures("odd_paths")
def test_a_folder_of_runs_that_the_environment_names_is_refused(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, answers = BAD[kind]
    monkeypatch.setenv("STOPCLI_RUNS_DIR", path)
    assert run("moons") == 2
    said = capsys.readouterr().err
    assert any(answer in said for answer in answers), said


AS_NOBODY = """
import contextlib, io, json, os, sys
from stopcli.cli.main import main
# Before: this user may not read what Python is made of.
from stopcli.cli.app import SUMMARIES, load_command
import stopcli.cli.execute, stopcli.runner.resume, stopcli.runner.run, stopcli.runner.report
import stopcli.analysis.compare_report, stopcli.analysis.replay_report, stopcli.reproduce.run
import stopcli.data.load, stopcli.configs.clr, stopcli.configs.moons, stopcli.report.html
for name in SUMMARIES:
    load_command(name)
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
found = {}
for name, words in json.loads(sys.argv[1]).items():
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            main(words)
            status = 0
        except SystemExit as exited:
            status = exited.code
    found[name] = [status, said.getvalue()]
print(json.dumps(found))
"""


@pytest.fixture
def folder_of_all(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another working folder, which every user may enter."""
    with folder_for_all() as folder, monkeypatch.context() as within:
        within.chdir(folder)
        yield


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="the system has no users to become")
@pytest.mark.usefixtures("folder_of_all")
def test_a_path_that_is_not_permitted_is_refused_in_a_line() -> None:
    write_run("good")
    write_run("closed/run")
    Path("one.toml").write_text("title = 1\n")
    Path("closed").chmod(0o000)
    path = {"run": "closed/run/config.toml", "list": "closed"}
    requests = {
        name: [path.get(name, "closed/run") if word == "PATH" else word for word in words]
        for name, words in COMMANDS.items()
        # Its files are read first.
        if name != "reproduce to"
    }
    try:
        told = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, json.dumps(requests)], capture_output=True, text=True, check=False
        )
    finally:
        Path("closed").chmod(0o755)
    assert told.returncode == 0, told.stderr
    for name, (status, said) in json.loads(told.stdout).items():
        assert status == 2, (name, said)
        assert "Permission denied" in said or "cannot be" in said, (name, said)
        assert len(said.splitlines()) <= 2, (name, said)


def test_a_run_that_may_not_be_looked_into_is_listed_as_such(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user without the right, made where the system is asked: root may look everywhere."""
    write_run("runs/closed")
    write_run("runs/good")
    stat, system_open = Path.stat, os.open

    def refused(path: Path, **options: bool) -> os.stat_result:
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    def not_opened(path: os.PathLike[str] | str, *options: int, **more: int) -> int:
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return system_open(path, *options, **more)

    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(os, "open", not_opened)
    assert run("list") == 0
    said = capsys.readouterr()
    assert "good" in said.out
    assert "closed" in said.out
    assert "runs/closed/status.json: damaged (cannot be read (Permission denied))" in said.err


def keras_file(path: str, **files: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", ".", 1) if name.startswith("config") else "model.weights.h5", content)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("text", "it.keras: not a .keras file (File is not a zip file)"),
        ("empty", "it.keras: not a .keras file (File is not a zip file)"),
        ("no config", "it.keras: not a .keras file: it has no config.json in it"),
        ("no weights", "it.keras: not a .keras file: it has no model.weights.h5 in it"),
        ("nested", "it.keras: not a .keras file: its config.json is not JSON: nested more than 40 levels deep"),
        ("garbage", "it.keras: not a .keras file: its model.weights.h5 is not HDF5"),
        ("cut", "it.keras: not a .keras file (File is not a zip file)"),
        ("folder", "it.keras: neither a .keras file nor a run with a saved model"),
        ("pipe", "it.keras: neither a .keras file nor a run with a saved model"),
    ],
)
def test_what_is_no_model_file_is_refused_before_anything_is_started(
    kind: str, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("it.keras")
    nested = b'{"a": ' * 5000 + b"1" + b"}" * 5000
    if kind in ("text", "empty"):
        path.write_text("a text" if kind == "text" else "")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("the system has no FIFOs")
        os.mkfifo(path)
    elif kind == "no config":
        keras_file("it.keras", weights=b"")
    elif kind == "no weights":
        keras_file("it.keras", config_json=b"{}")
    else:
        keras_file("it.keras", config_json=nested if kind == "nested" else b"{}", weights=b"garbage")
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:40])
    check_refused(["moons", "--init-from", "it.keras"], answer, capsys, monkeypatch)
    Path("it.toml").write_text('command = "moons"\ninit_from = "it.keras"\n')
    check_refused(["run", "it.toml"], answer, capsys, monkeypatch)


def test_refusing_a_path_or_a_model_file_imports_no_tensorflow(tmp_path: Path) -> None:
    Path("it.keras").write_text("a text")
    code = f"""
import sys
from stopcli.cli.main import main
for words in (["moons", "--init-from", "it.keras"], ["show", {LONG!r}], ["compare", {LONG!r}], ["run", {LONG!r}]):
    try:
        main(words)
    except SystemExit as exited:
        assert exited.code == 2
print([name for name in ("tensorflow", "keras", "matplotlib", "sklearn") if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
