"""A place for temporary files where the system has none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from stopcli.runs.files import temporary_files
from stopcli.runs.folder import RunFolder


@pytest.fixture
def no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder that tempfile would take can be written."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [os.environ["TMPDIR"]])
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()


def test_the_systems_place_is_taken_where_there_is_one(tmp_path: Path) -> None:
    before = tempfile.gettempdir()
    with temporary_files(tmp_path / "run"):
        assert tempfile.gettempdir() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_place")
def test_a_run_has_a_place_of_its_own_while_it_is_held(tmp_path: Path) -> None:
    variable = os.environ["TMPDIR"]
    with RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / "a") as folder:
        place = Path(tempfile.gettempdir())
        assert place.parent == tmp_path / "a"
        # That of the processes that it starts.
        assert os.environ["TMPDIR"] == str(place)
        with tempfile.TemporaryFile() as file:
            file.write(b"content")
        folder.status.write("finished")
    assert not place.exists()
    assert os.environ["TMPDIR"] == variable
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()


@pytest.mark.usefixtures("no_place")
def test_before_there_is_a_run_it_lies_where_the_run_will() -> None:
    with temporary_files(Path("runs") / "a"):
        assert Path(tempfile.gettempdir()).parent == Path.cwd()
    assert list(Path().iterdir()) == [Path("file")]


@pytest.mark.usefixtures("no_place")
def test_where_nothing_can_be_written_there_is_a_name_for_those_who_only_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise PermissionError

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with temporary_files(Path()):
        assert not Path(tempfile.gettempdir()).exists()
        with pytest.raises(OSError, match="Not a directory"), tempfile.TemporaryFile():
            pass


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path) -> None:
    with RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / "a") as folder:
        folder.status.write("finished")
    left = tmp_path / "a" / ".temporary-left"
    left.mkdir()
    (left / "file").write_text("")
    with RunFolder.reopen(tmp_path / "a", checked=False):
        assert not left.exists()
