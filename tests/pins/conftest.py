"""What the tests of pinned output share: a copy of the fixtures as the working folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pinned import FIXTURES
from quick_runs import quick_runs


@pytest.fixture
def runs(own_folder: None) -> Path:
    """The run folders, in `runs` of the working folder, as they lay when they were written."""
    shutil.copytree(FIXTURES / "runs", "runs")
    shutil.copy(FIXTURES / "small.toml", "small.toml")
    return Path("runs")


@pytest.fixture
def quick(tensorflow: None) -> Iterator[None]:
    """Runs of this process draw nothing: see quick_runs."""
    with quick_runs():
        yield
