"""Processes that need not import TensorFlow: forked from a server that has, and has not started it yet.

An import takes as long as a small run. What users start is an interpreter of its own; that is tested where a test is
about a process's beginning, or about what it imports.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = "from stopcli.cli.main import main; main()"

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["stopcli.training.preload"])


class Forked:
    """A process that runs some code with some words in `sys.argv`, in this working folder; much like a Popen."""

    def __init__(self, code: str, *argv: str) -> None:
        handles, self._output = zip(*(tempfile.mkstemp() for _ in range(2)), strict=True)
        for handle in handles:
            os.close(handle)
        self._process = _CONTEXT.Process(target=_run, args=(code, argv, self._output, dict(os.environ)))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """As Popen has it: negative for a signal, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    @property
    def stderr(self) -> str:
        """What it has said there until now."""
        return Path(self._output[1]).read_text()

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end. Returns what it said, on stdout and on stderr."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
            raise TimeoutError(f"the process has not ended: {self.stderr}")
        out, err = (Path(name).read_text() for name in self._output)
        for name in self._output:
            Path(name).unlink()
        return out, err


def program(*argv: str) -> Forked:
    """The program with some words."""
    return Forked(PROGRAM, *argv)


def finished(code: str, *argv: str) -> str:
    """What some code says on stdout; it has to end well."""
    process = Forked(code, *argv)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def wait_for(pattern: str) -> None:
    """Wait until there is a file."""
    deadline = time.monotonic() + 120
    while not list(Path().glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _run(code: str, argv: tuple[str, ...], output: tuple[str, str], environment: dict[str, str]) -> None:
    for descriptor, name in enumerate(output, start=1):
        handle = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(handle, descriptor)
        os.close(handle)
    # TensorFlow was imported with these, and reads some of them only when it starts.
    settled = {name: value for name, value in os.environ.items() if name.startswith(("TF_", "KERAS_"))}
    os.environ.clear()
    os.environ.update(settled | environment)
    sys.argv = ["-c", *argv]
    exec(code, {"__name__": "__main__"})
