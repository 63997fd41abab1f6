"""status.json: what became of a run, or what it is doing now."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from stopcli.runs.files import write_json_anyhow

RunState = Literal["running", "finished", "paused", "interrupted", "failed"]

# Shorter would write more than it tells; a sweep's table follows its runs by these.
HEARTBEAT_SECONDS = 2.0


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
        self.epoch = 0

    def write(
        self,
        state: RunState,
        reason: str = "",
        *,
        epoch: int = 0,
        progress: Mapping[str, Any] | None = None,
        outside: bool = False,
    ) -> None:
        """Set the state.

        Args:
            reason: why, in words; empty while running.
            epoch: epochs that are recorded so far.
            progress: how far it is, for those who watch it run.
            outside: whether what made it fail lies outside of it (a full disk), so that going on may succeed.
        """
        self._written = time.monotonic()
        values = {
            "state": state,
            "reason": reason,
            "epoch": epoch,
            **({"progress": dict(progress)} if progress else {}),
            **({"outside": outside} if state == "failed" else {}),
            "process": asdict(self._process),
            "started": self._started,
            "heartbeat": utc_now(),
        }
        # `running` would be untrue of a run that a full disk has ended.
        write_json_anyhow(self._path, values)
        self.state, self.epoch = state, epoch

    def beat(self, epoch: int, progress: Mapping[str, Any] | None = None) -> None:
        """Write the heartbeat where the last one is old enough."""
        if time.monotonic() - self._written >= HEARTBEAT_SECONDS:
            self.write("running", epoch=epoch, progress=progress)
