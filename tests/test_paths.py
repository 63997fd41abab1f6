"""Where stopcli keeps what it can compute again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import platformdirs.macos
import platformdirs.unix
import platformdirs.windows
import pytest

from stopcli.data.image_folder import cache_folder
from stopcli.paths import user_cache


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory, and no variable that names a cache."""
    for variable in ("STOPCLI_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_on_linux_the_cache_is_where_xdg_says(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "PlatformDirs", platformdirs.unix.Unix)
    assert cache_folder() == home / ".cache" / "stopcli"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == home / ".cache" / "stopcli"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "stopcli"
    assert user_cache("matplotlib") == tmp_path / "xdg" / "matplotlib"


def test_elsewhere_it_is_where_the_system_has_caches(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "PlatformDirs", platformdirs.macos.MacOS)
    assert cache_folder() == home / "Library" / "Caches" / "stopcli"
    monkeypatch.setattr(platformdirs, "PlatformDirs", platformdirs.windows.Windows)
    monkeypatch.setattr(platformdirs.windows, "get_win_folder", lambda _: str(home / "AppData" / "Local"))
    assert cache_folder() == home / "AppData" / "Local" / "stopcli" / "Cache"


def test_stopcli_s_own_variable_counts_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_a_path_that_needs_a_home_directory_and_has_none_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    # As platformdirs returned it until it raised an error.
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: Path("~/.cache/stopcli"))
    assert cache_folder() is None


def test_choosing_a_cache_creates_nothing(home: Path) -> None:
    cache_folder()
    assert not home.exists()


def test_paths_are_checked_without_knowing_where_caches_are() -> None:
    code = "import sys, stopcli.paths, stopcli.data.image_folder; print('platformdirs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
