"""Fixtures that tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from program import run
from quick_runs import quick_runs
from small_runs import MOONS
from unrendered import _rendered_where_marked, _unrendered_in_a_module  # noqa: F401, fixtures


@pytest.fixture
def quick(tensorflow: None) -> Iterator[None]:
    """Runs of this process draw nothing and compile only what was not compiled before: see quick_runs."""
    with quick_runs():
        yield


@pytest.fixture(scope="session")
def finished_moons(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted small run of `stopcli moons`."""
    folder = tmp_path_factory.mktemp("finished") / "moons"
    with quick_runs():
        assert run(*MOONS, "--quiet", "--run-dir", str(folder)) == 0
    return folder
