"""Executing the jobs of a sweep: what all executors share, and what they need of each other's side."""

from __future__ import annotations

import abc
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from stopcli.errors import system_words
from stopcli.sweeps.plan import Job
from stopcli.training.session import StopRequest

TICK_SECONDS = 0.2


class Mode(Enum):
    """What a sweep does with its jobs."""

    RUN = "start jobs"
    DRAIN = "start no further job"
    STOP = "start no further job, and stop those that run where they can save"


@dataclass(frozen=True)
class JobContext:
    """Where a job runs.

    Attributes:
        request: what stops it.
        loop_cache: what is costly to make and can be used by one job after the other, such as a compiled loop.
    """

    request: StopRequest
    loop_cache: dict[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """Runs one job and leaves its results in its folder. Raises where that fails.

    An executor that leaves the process pickles it.
    """

    def __call__(self, job: Job[Any], context: JobContext) -> None: ...


class Supervisor(Protocol):
    """Follows the jobs, and decides whether to continue. Called from the thread that executes.

    Attributes:
        request: what stops the sweep.
        stop_file: a file that does not exist, whose existence tells jobs on other machines to stop.
    """

    request: StopRequest

    @property
    def stop_file(self) -> Path: ...

    def mode(self) -> Mode:
        """Called several times a second."""

    @property
    def why(self) -> str:
        """What stops the sweep, in words; for `Mode.STOP`."""

    def on_start(self, job: Job[Any]) -> None:
        """A job starts."""

    def on_end(self, job: Job[Any], error: str) -> None:
        """A job has ended: by itself where `error` is empty, else because of that."""

    def tick(self) -> None:
        """Called several times a second."""


class Workers(abc.ABC):
    """Runs jobs at the same time.

    Attributes:
        running: jobs that have started and not ended.
        stop_seconds: how long jobs may take to stop before they are left alone.
    """

    running: int = 0
    stop_seconds: float = math.inf

    @property
    @abc.abstractmethod
    def has_room(self) -> bool:
        """Whether another job can start now."""

    @abc.abstractmethod
    def start(self, job: Job[Any]) -> None:
        """Start a job. Raises OSError where the system has no process or no memory for it."""

    @abc.abstractmethod
    def wait(self) -> Iterable[tuple[Job[Any], str]]:
        """The jobs that have ended, each with its error (`Supervisor.on_end`), after a tick's time at most."""

    @abc.abstractmethod
    def stop(self, why: str) -> None:
        """Ask all jobs to save and stop."""


class Executor(abc.ABC):
    """Runs jobs, some at a time; a job that fails does not end the others.

    The numbers of a job depend only on its config, and not on the executor.
    """

    @abc.abstractmethod
    def workers_for(
        self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor
    ) -> AbstractContextManager[Workers]:
        """What runs the jobs; leaves nothing running after the block."""

    def __call__(self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor) -> None:
        waiting, stopped_at = in_rounds(jobs), math.inf
        with self.workers_for(jobs, work, supervisor) as workers:
            while workers.running or (waiting and supervisor.mode() is Mode.RUN):
                while waiting and workers.has_room and supervisor.mode() is Mode.RUN:
                    job = waiting.pop(0)
                    supervisor.on_start(job)
                    try:
                        workers.start(job)
                        workers.running += 1
                    except OSError as failure:
                        supervisor.on_end(job, f"it could not be started: {system_words(failure)}")
                if supervisor.mode() is Mode.STOP and stopped_at == math.inf:
                    stopped_at = time.monotonic()
                    workers.stop(supervisor.why)
                if time.monotonic() - stopped_at > workers.stop_seconds:
                    break
                for job, error in workers.wait():
                    workers.running -= 1
                    supervisor.on_end(job, error)
                supervisor.tick()


def in_rounds(jobs: Sequence[Job[Any]]) -> list[Job[Any]]:
    """The order in which every executor starts a sweep's jobs: a round for each seed.

    What ends a sweep early, such as a time budget, then leaves whole comparisons, and at most one that is not. A round
    starts with the arm that the others are compared with; of the others the one that takes longest comes first, so that
    nothing waits for it at the end.
    """
    return sorted(jobs, key=lambda job: (job.config.seed, not job.is_reference, -job.cost))
