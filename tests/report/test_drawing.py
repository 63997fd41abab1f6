"""Figures that are the same whatever the user's matplotlib is set to, and failures of one that cost nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from two_figures import drawn_elsewhere, figures, hashes

from stopcli.report.document import Document
from stopcli.report.drawing import draw
from stopcli.report.html import write_or_warn
from stopcli.runs.folder import RunFolder

LOUD = """
text.usetex: True
font.size: 30
lines.linewidth: 9
axes.facecolor: red
savefig.dpi: 10
svg.fonttype: path
image.lut: 3
backend: TkAgg
no.such.setting: 1
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("expected")
    assert draw(figures, folder).warnings == []
    file_hashes = hashes(folder)
    assert sorted(file_hashes) == ["confusion.png", "confusion.svg", "curves.png", "curves.svg"]
    return file_hashes


def test_settings_of_the_process_change_nothing_and_stay(expected: dict[str, str], tmp_path: Path) -> None:
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        drawn = draw(figures, tmp_path)
        assert matplotlib.rcParams["font.size"] == 30
    assert drawn.warnings == []
    assert hashes(tmp_path) == expected


def test_a_matplotlibrc_changes_nothing(expected: dict[str, str], tmp_path: Path) -> None:
    # In the working folder, and where users have it.
    for where in (Path("matplotlibrc"), Path("config/matplotlib/matplotlibrc")):
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(LOUD)
    config = {"XDG_CONFIG_HOME": str(Path("config").absolute()), "MPLCONFIGDIR": None}
    warnings, file_hashes, output = drawn_elsewhere(tmp_path / "drawn", MPLBACKEND="nonsense", **config)
    assert (warnings, output) == ([], "")
    assert file_hashes == expected


def test_it_changes_nothing_of_keras_either_which_imports_pyplot(expected: dict[str, str], tmp_path: Path) -> None:
    Path("matplotlibrc").write_bytes(b"font.size: \xff\n")
    # Where a folder cannot be, and with settings that would end the import of Keras.
    Path("keras").mkdir()
    Path("keras/keras.json").write_text('{"floatx": "whole numbers"}')
    home = str(Path("keras").absolute())
    warnings, file_hashes, _ = drawn_elsewhere(tmp_path / "drawn", "keras", MPLBACKEND="nonsense", KERAS_HOME=home)
    assert warnings == []
    assert file_hashes == expected


def test_without_a_folder_for_its_fonts_and_for_temporary_files_it_draws(
    expected: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    nowhere = {name: str(file / "below") for name in ("MPLCONFIGDIR", "HOME", "TMPDIR")}
    warnings, file_hashes, output = drawn_elsewhere(tmp_path / "drawn", **nowhere)
    (warning,) = warnings
    assert warning.startswith("matplotlib cannot save its font list, which is built again each time (")
    assert "below cannot be created: Not a directory" in warning
    assert (file_hashes, output) == (expected, "")


def fails(error: Exception) -> Any:
    def raise_it() -> Any:
        raise error

    return raise_it


@pytest.mark.parametrize(
    "error", [RuntimeError("latex could not be found\nmore"), MemoryError(), PermissionError(errno.EACCES, "a font")]
)
def test_a_figure_that_fails_is_left_out_with_a_warning(
    error: Exception, expected: dict[str, str], tmp_path: Path
) -> None:
    draw(figures, tmp_path)
    drawn = draw(lambda: {**figures(), "curves": fails(error)}, tmp_path)
    assert [picture.path for picture in drawn.pictures] == ["plots/confusion"]
    (warning,), kind = drawn.warnings, type(error).__name__
    assert warning.startswith(f"the report lacks the figure curves, which could not be drawn ({kind}")
    assert "more" not in warning
    assert kind in drawn.tracebacks
    assert "raise error" in drawn.tracebacks
    # One of an earlier session would show something else than this one has found.
    assert hashes(tmp_path) == {name: value for name, value in expected.items() if name.startswith("confusion")}


def test_where_nothing_can_be_drawn_there_are_no_figures(tmp_path: Path) -> None:
    drawn = draw(fails(ImportError("no fonts")), tmp_path)
    assert drawn.warnings == ["the report lacks the figures, which could not be drawn (ImportError: no fonts)"]
    tmp_path.joinpath("plots").rmdir()
    tmp_path.joinpath("plots").write_text("a file")
    assert "FileExistsError" in draw(figures, tmp_path).warnings[0]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_gives_out_is_no_failure_of_a_figure(number: int, tmp_path: Path) -> None:
    failing = fails(OSError(number, os.strerror(number)))
    for figures_that_fail in (failing, lambda: {"curves": failing}):
        with pytest.raises(OSError, match=os.strerror(number)):
            draw(figures_that_fail, tmp_path)


def test_a_report_that_fails_is_warned_of_and_left_out(tmp_path: Path) -> None:
    with RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / "a") as folder:
        assert write_or_warn(folder, lambda: Document("A title", (), ())) == ()
        assert (folder.path / "report.html").is_file()
        (warning,) = write_or_warn(folder, fails(ValueError("no words")))
        with pytest.raises(OSError, match="No space"):
            write_or_warn(folder, fails(OSError(errno.ENOSPC, "No space")))
        folder.status.write("finished")
    assert warning.startswith("the report could not be written (ValueError: no words); stopcli report ")
    assert "ValueError: no words" in (folder.path / "log.txt").read_text()
    assert not list(folder.path.glob("report.*"))
