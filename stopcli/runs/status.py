"""status.json: what a run is doing now, or how it ended."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from stopcli.runs.files import overwrite_json, read_checked
from stopcli.runs.typed_json import OPTIONAL, from_json

RunState = Literal["running", "finished", "paused", "interrupted", "failed"]

# A sweep's table shows its runs as they were at their last heartbeat.
HEARTBEAT_SECONDS = 2.0


def utc_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Process:
    """Which process is running a run."""

    host: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class StatusProgress:
    """How far a run is that is running, as far as it is known.

    Attributes:
        metrics: of the last complete epoch.
        samples_per_second: training rows a second, over the whole run so far.
        seconds, seconds_left: of training.
        updates: of a range test, in the current seed; of a refit.
        stage: what is trained, where it is not the run itself: `refit`. All others are then of that.
    """

    metrics: Mapping[str, float | None] = field(default_factory=dict, metadata=OPTIONAL)
    samples_per_second: float | None = field(default=None, metadata=OPTIONAL)
    seconds: float | None = field(default=None, metadata=OPTIONAL)
    seconds_left: float | None = field(default=None, metadata=OPTIONAL)
    updates: int | None = field(default=None, metadata=OPTIONAL)
    stage: str = field(default="", metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Status:
    """The content of status.json.

    Attributes:
        reason: why, in words; empty while running.
        epoch: epochs that are recorded so far.
        outside: of a run that failed, whether the reason is outside of it (a full disk), so that resuming may succeed.
        process: that wrote it.
        started, heartbeat: when the session began, and the last time that the file was written, in UTC.
    """

    state: str
    reason: str = ""
    epoch: int = 0
    progress: StatusProgress | None = field(default=None, metadata=OPTIONAL)
    outside: bool | None = field(default=None, metadata=OPTIONAL)
    process: Process | None = None
    started: str = ""
    heartbeat: str = ""


def read_status(run: Path) -> Status | None:
    """A run's status.json; None where it is missing or damaged."""
    return read_checked(run / "status.json", lambda value: from_json(Status, value))[0]


class StatusFile:
    """Writes a run's status.json: at once when the state changes, and every few seconds as a heartbeat."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = utc_now()
        self._process = Process(socket.gethostname(), os.getpid())
        self._written = 0.0
        # None until this process has written one: until then the file is another's.
        self.state: RunState | None = None
        self.epoch = 0

    def write(
        self,
        state: RunState,
        reason: str = "",
        *,
        epoch: int = 0,
        progress: StatusProgress | None = None,
        outside: bool = False,
    ) -> None:
        """Set the state; arguments as the attributes of `Status`."""
        self._written = time.monotonic()
        status = Status(
            state=state,
            reason=reason,
            epoch=epoch,
            progress=progress,
            outside=outside if state == "failed" else None,
            process=self._process,
            started=self._started,
            heartbeat=utc_now(),
        )
        # Else `running` would stay of a run that a full disk has ended.
        overwrite_json(self._path, status)
        self.state, self.epoch = state, epoch

    def beat(self, epoch: int, progress: StatusProgress | None = None) -> None:
        """Write the heartbeat where the last one is old enough."""
        if time.monotonic() - self._written >= HEARTBEAT_SECONDS:
            self.write("running", epoch=epoch, progress=progress)


class StageStatus(StatusFile):
    """What a run does after its own training, as told by the run's status.json; it has no file of its own.

    Args:
        run: the run's file.
        stage: as in `StatusProgress`.
        epoch: epochs that the run has recorded.
        steps_per_epoch: of the stage.
    """

    def __init__(self, run: StatusFile, stage: str, epoch: int, steps_per_epoch: int) -> None:
        self._run, self._stage, self._steps = run, stage, steps_per_epoch
        self.state, self.epoch = "running", epoch
        self._run.write("running", epoch=epoch, progress=StatusProgress(stage=stage, updates=0))

    def beat(self, epoch: int, progress: StatusProgress | None = None) -> None:
        of_stage = replace(progress or StatusProgress(), stage=self._stage, updates=epoch * self._steps)
        self._run.beat(self.epoch, of_stage)
