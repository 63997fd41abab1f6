"""How the process's stderr is sent elsewhere while TensorFlow starts. Needs no TensorFlow."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from stopcli.training.tf_setup import stderr_to


def test_threads_that_start_at_once_leave_stderr_where_it_was(tmp_path: Path) -> None:
    """Runs of a sweep are threads of one process, and each of them starts what is started already."""
    before = os.fstat(2)
    inside, both_inside = threading.Event(), threading.Event()

    def start_first() -> None:
        with (tmp_path / "first").open("w") as file, stderr_to(file.fileno()):
            inside.set()
            both_inside.wait(0.3)

    def start_second() -> None:
        inside.wait()
        with (tmp_path / "second").open("w") as file, stderr_to(file.fileno()):
            both_inside.set()
            first.join()

    first, second = threading.Thread(target=start_first), threading.Thread(target=start_second)
    first.start()
    second.start()
    second.join(10)
    assert not second.is_alive()
    assert os.path.samestat(os.fstat(2), before)
