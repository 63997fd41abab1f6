"""Requests on images: what is refused before anything is started, and what a run says that it left out."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from image_folders import make_folder
from program import run, summary_of
from refusals import check_refused

COMMANDS = ["cifar-resnet", "clr", "lr-range"]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize(
    ("command", "option"), [*((command, "--cutout") for command in COMMANDS), ("cutout-sweep", "--cutout-size")]
)
def test_a_cutout_of_whole_images_is_refused(
    command: str, option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(Path("set"))
    answer = f"{option}: received 1000, expected less than 8: images are 8 × 8"
    check_refused([command, "--dataset", "set", option, "1000"], answer, capsys, monkeypatch)


def test_a_file_of_settings_is_checked_alike(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(Path("set"))
    for settings, answer in (
        ("cutout = 1000", "--cutout: received 1000, expected less than 8"),
        (
            "erasing = true\nerase_area = [0.001, 0.002]",
            "--erase-area: received (0.001, 0.002), expected boxes that have",
        ),
        (
            'validation = "folder"',
            "received train/ and test/, expected train/, test/ and one of val/, valid/ or validation/ to validate on",
        ),
    ):
        Path("own.toml").write_text(f'command = "cifar-resnet"\ndataset = "set"\n{settings}\n')
        check_refused(["run", "own.toml"], answer, capsys, monkeypatch)


def test_images_that_would_vanish_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(Path("set"))
    (root / "train" / "a" / "camera").mkdir()
    (root / "train" / "a" / "0.png").rename(root / "train" / "a" / "camera" / "0.png")
    answer = "images in a subfolder of a class: 1 (train/a/camera/0.png)"
    for command in (*COMMANDS, "cutout-sweep"):
        check_refused([command, "--dataset", "set"], answer, capsys, monkeypatch)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems demand that names are text")
def test_a_class_that_is_not_utf_8_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(Path("set"))
    for part in ("train", "test"):
        os.rename(root / part / "a", os.fsencode(root / part) + b"/caf\xe9")  # noqa: PTH104
    answer = r"set/train/caf\xe9: the name of this class is not UTF-8"
    check_refused(["cifar-resnet", "--dataset", "set"], answer, capsys, monkeypatch)


def test_a_run_says_in_summary_and_report_what_it_left_out(
    quick: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    root = make_folder(Path("set"), ("train", "test", "val"), images=12)
    (root / "train" / "a" / "0.png").write_bytes(b"")
    (root / "train" / "b" / "1.png").unlink()
    (root / "train" / "b" / "1.png").symlink_to("gone")
    shutil.copy(root / "train" / "a" / "2.png", root / "test" / "a" / "2.png")
    words = ["cifar-resnet", "--dataset", "set", "--depth", "8", "--epochs", "1", "--batch-size", "8"]
    assert run(*words, "--validation", "folder", "--skip-unreadable", "--run-dir", "run") == 0
    notes = [
        "left out, links to nothing: 1 (train/b/1.png)",
        "left out, images that cannot be decoded: 1 (train/a/0.png (not a PNG or JPEG file))",
        "1 of 24 test images also stand in the training images, pixel by pixel",
    ]
    said = capsys.readouterr().err
    summary, report = summary_of("run"), Path("run/report.md").read_text()
    assert summary["rows"] == {"train": 22, "validation": 24, "test": 24}
    for note in notes:
        assert note in said
        assert note in summary["warnings"]
        assert note in report
