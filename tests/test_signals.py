"""What processes do when those that they depend on are gone."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from stopcli.signals import end_with_parent


def _with_a_pool(file: Path) -> None:
    """A process with a pool whose process has nothing to do, as between two measurements."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        unnamed = file.with_suffix(".new")
        unnamed.write_text(str(pool.submit(os.getpid).result()))
        unnamed.rename(file)
        time.sleep(120)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system does not say which processes there are")
def test_the_process_of_a_pool_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    parent = multiprocessing.get_context("spawn").Process(target=_with_a_pool, args=(file,))
    parent.start()
    _wait_until(lambda: file.exists())
    process = Path("/proc") / file.read_text()
    assert process.exists()
    parent.kill()
    parent.join()
    _wait_until(lambda: _has_ended(process))


def _has_ended(process: Path) -> bool:
    try:
        return "\nState:\tZ" in (process / "status").read_text()
    except OSError:
        return True


def _wait_until(condition: object) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
