"""A terminal for tests: a pseudo-terminal that a process runs in, and what its escape sequences leave on the screen.

Also what live views show: the progress of a run, the jobs of a sweep.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from stopcli.runs.headline import ACCURACY

# Of a run, as long as they get.
NAME = "20261128T191144Z-cifar-resnet-my-own-photos-of-birds"
_PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|[^\x1b]|\x1b")


class Screen:
    """What a terminal of a width shows, as far as this program uses one; nothing scrolls out of it.

    Attributes:
        lines: as they are now.
        beyond: whether a line has ever been longer than the width.
        cursor_hidden: whether the cursor is hidden.
    """

    def __init__(self, columns: int) -> None:
        self._columns, self._row, self._column = columns, 0, 0
        self.lines = [""]
        self.beyond = self.cursor_hidden = False

    def feed(self, text: str) -> Screen:
        for match in _PIECE.finditer(text):
            if match[2]:
                self._control(match[1], match[2])
            else:
                self._put(match[0])
        return self

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).strip("\n")

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._row += 1
            self.lines += [""] * (self._row + 1 - len(self.lines))
        else:
            if self._column == self._columns:
                self.beyond = True
                self._put("\r")
                self._put("\n")
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
            self._column += 1

    def _control(self, argument: str, command: str) -> None:
        if command == "A":
            self._row = max(self._row - int(argument or 1), 0)
        elif command == "K":
            assert argument == "2", "only whole lines are erased"
            self.lines[self._row] = ""
        elif argument == "?25":
            self.cursor_hidden = command == "l"
        else:
            assert command == "m", f"not known: {argument}{command}"


class Terminal:
    """A process of the program in a pseudo-terminal of 24 lines, which reads what it prints.

    Attributes:
        output: all that it has printed until now.
    """

    def __init__(self, columns: int, code: str, *argv: str) -> None:
        self.columns, self.output = columns, ""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            for name in ("COLUMNS", "LINES", "NO_COLOR"):
                os.environ.pop(name, None)
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-c", code, *argv])

    def press_ctrl_c(self) -> None:
        os.write(self._terminal, b"\x03")

    def read_until(self, reached: Callable[[str], bool], seconds: float = 120) -> None:
        """Read until the output says so, or until the process has ended."""
        deadline = time.monotonic() + seconds
        while not reached(self.output):
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
                raise TimeoutError(self.output)
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    data = os.read(self._terminal, 65536)
                except OSError:
                    return
                if not data:
                    return
                self.output += data.decode(errors="replace")

    def end(self) -> int:
        """Wait for its end. Returns its exit status."""
        self.read_until(lambda output: False)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    @property
    def screen(self) -> Screen:
        return Screen(self.columns).feed(self.output)


def progress(**values: Any) -> Any:
    """The progress of a long run, with large numbers."""
    metrics = {"loss": 0.0123, "accuracy": 0.9876, "val_loss": 0.2345, "val_accuracy": 0.9123}
    numbers: dict[str, Any] = {
        "epoch": 123456, "epochs": 400000, "metrics": metrics, "monitor": "val_accuracy", "best_epoch": 120000,
        "best_value": 0.9222, "waiting": "wait 3456/20000", "samples_per_second": 1234567.0, "seconds": 100.0,
        "fraction": 0.5, "projected_seconds": 300.0, "seconds_left": 200.0,
    }  # fmt: skip
    return SimpleNamespace(**numbers | values)


def job(name: str, state: str = "running", epoch: int = 12) -> Any:
    """A job of a sweep and its run."""
    speed = SimpleNamespace(samples_per_second=12345.6, seconds_left=3725.0, stage="")
    return SimpleNamespace(
        name=name,
        state=state,
        reason="",
        done=state != "running",
        epoch=epoch,
        epochs=200,
        error=0.1234,
        headline=ACCURACY,
        progress=speed,
    )
