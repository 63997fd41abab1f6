"""A run's folder on a disk that is full, or full soon: all of it or nothing, and a status that is true."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from small_disk import FILLER, enlarge, fill, small_disk

from stopcli.errors import ResourceError, RunFolderError
from stopcli.runs.files import overwrite_json, replacing
from stopcli.runs.folder import RunFolder
from stopcli.runs.run import runs_in


def make(disk: Path) -> RunFolder:
    return RunFolder.create(root=disk, command="moons", run_dir=disk / "deep" / "run", config="seed = 1\n")


def test_a_folder_without_room_for_its_first_files_is_not_left_behind() -> None:
    with small_disk(4) as disk:
        with pytest.raises(RunFolderError, match=r"deep/run: cannot be made \(No space left on device\)") as caught:
            make(disk)
        assert caught.value.exit_status == 2
        assert list(disk.iterdir()) == []
        enlarge(disk, 64)
        assert (make(disk).path / "config.toml").read_text().endswith("seed = 1\n")


@pytest.mark.parametrize("files", [2, 3, 4, 5])
def test_nor_is_one_on_a_disk_that_holds_no_more_files(files: int) -> None:
    with small_disk(64, files) as disk:
        with pytest.raises(RunFolderError, match=r"deep/run: cannot be (made|written) \(No space left on device\)"):
            make(disk)
        assert list(disk.iterdir()) == []


def test_a_run_that_fills_the_disk_says_that_it_failed_and_not_by_itself() -> None:
    with small_disk(64) as disk:
        folder = make(disk)
        folder.status.write("running", epoch=7)
        fill(disk)
        with pytest.raises(ResourceError, match="run: cannot be written: No space left on device") as caught, folder:
            folder.log("more than there is room for")
        assert f"stopcli resume {folder.path}" in caught.value.hint
        status = json.loads((folder.path / "status.json").read_text())
        assert (status["state"], status["outside"], status["epoch"]) == ("failed", True, 7)
        assert "No space left on device" in status["reason"]
        (run,) = runs_in(folder.path.parent)
        assert run.state == "failed"


def test_what_is_short_is_written_over_in_the_room_that_it_has() -> None:
    with small_disk(64) as disk:
        path = disk / "status.json"
        overwrite_json(path, {"state": "running", "reason": "a" * 300})
        fill(disk)
        for value in ({"state": "failed"}, {"state": "failed", "reason": "b" * 2000}, {"state": "ended"}):
            overwrite_json(path, value)
            assert json.loads(path.read_text()) == value
        # What is longer is refused, and what stands there stays.
        with pytest.raises(OSError, match="No space left on device") as caught:
            overwrite_json(path, {"state": "c" * 9000})
        assert caught.value.filename == str(path)
        assert json.loads(path.read_text()) == {"state": "ended"}
        assert sorted(each.name for each in disk.iterdir()) == [FILLER, "status.json"]
        with pytest.raises(OSError, match="No space left on device"):
            overwrite_json(disk / "other.json", {})


def test_an_error_of_writing_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full") as caught, replacing(tmp_path / "a.png"):
        raise OSError(errno.ENOSPC, "full")
    assert caught.value.filename == str(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError) as missing, replacing(tmp_path / "a.png"):
        (tmp_path / "of somebody else").read_text()
    assert missing.value.filename == str(tmp_path / "of somebody else")
    assert list(tmp_path.iterdir()) == []
