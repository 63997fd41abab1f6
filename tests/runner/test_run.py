"""What executing a run counts as what."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from stopcli.runner import run
from stopcli.training.session import NullObserver, Session, StopRequest, Stopwatch


def test_starting_tensorflow_counts_as_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_slowly(threads: int | None) -> str:
        time.sleep(0.2)
        return ""

    def seconds_of(loaded: Any, folder: Any, session: Session, start: Any) -> dict[str, float]:
        return session.stopwatch.rounded()

    monkeypatch.setattr(run, "start_tensorflow", start_slowly)
    monkeypatch.setattr(run, "run_one", seconds_of)
    task: Any = SimpleNamespace(loaded=SimpleNamespace(seconds=1.0), layout=None, config=SimpleNamespace(), start=None)
    session = Session(NullObserver(), StopRequest(), Stopwatch(elapsed=3.0))
    seconds: Any = run.execute(task, SimpleNamespace(), session, lambda *_: None, lambda _: None)
    # Of the three seconds before, one was spent on the data.
    assert seconds["data"] == 1.0
    assert seconds["startup"] >= 2.2
    assert seconds["other"] < 0.2
