"""status.json: what became of a run, or what it is doing now."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from stopcli.runs.files import write_json

RunState = Literal["running", "finished", "paused", "interrupted", "failed"]

# Shorter would write more than it tells; a run that was killed shows by a heartbeat older than a few of these.
HEARTBEAT_SECONDS = 5.0


def utc_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Process:
    """Who is running a run."""

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)


class StatusFile:
    """Writes a run's status.json: at once when the state changes, and every few seconds as a heartbeat."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = utc_now()
        self._process = Process()
        self._written = 0.0
        # None until this process has written one: what another has left there stays.
        self.state: RunState | None = None

    def write(self, state: RunState, reason: str = "", *, epoch: int = 0) -> None:
        """Set the state.

        Args:
            reason: why, in words; empty while running.
            epoch: epochs that are recorded so far.
        """
        self.state = state
        self._written = time.monotonic()
        values = {
            "state": state,
            "reason": reason,
            "epoch": epoch,
            "process": asdict(self._process),
            "started": self._started,
            "heartbeat": utc_now(),
        }
        write_json(self._path, values)

    def beat(self, epoch: int) -> None:
        """Write the heartbeat where the last one is old enough."""
        if time.monotonic() - self._written >= HEARTBEAT_SECONDS:
            self.write("running", epoch=epoch)
