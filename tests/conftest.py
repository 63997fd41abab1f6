"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from stopcli.training.tf_setup import start_tensorflow

# A deadline for one example says how busy the machine is, and nothing of the code.
settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")

PROJECT = Path(__file__).parent.parent
# Their assertions then show values too, as those in test modules do.
pytest.register_assert_rewrite("browser", "recorded_commands", "refusals", "reports", "small_runs", "small_sweep")


@pytest.fixture(scope="session")
def tensorflow() -> None:
    """TensorFlow and Keras, started as the program starts them."""
    start_tensorflow()
    assert "TF_ENABLE_ONEDNN_OPTS" in os.environ, "TensorFlow was imported before, such as by a module of tests"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder, so that none leaves runs in the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STOPCLI_RUNS_DIR", raising=False)


@pytest.fixture
def stopcli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the program in a process of its own and returns what it printed."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stopcli", *args],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=180,
            check=False,
        )

    return run
