"""What every executor of a sweep's jobs does, and what it is told and tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from stopcli.sweeps.plan import Job
from stopcli.training.interruption import StopRequest


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
        loop_cache: what is costly to make and serves one job of this place after the other, such as a compiled loop.
    """

    request: StopRequest
    loop_cache: dict[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """Runs one job and leaves its results in its folder. Raises where that fails.

    An executor that leaves the process pickles it.
    """

    def __call__(self, job: Job[Any], context: JobContext) -> None: ...


class Supervisor(Protocol):
    """Is told what becomes of the jobs, and says whether to go on. Called from the thread that executes.

    Attributes:
        request: what stops the sweep.
        stop_file: a file that does not exist, for telling jobs on other machines that they should leave.
    """

    request: StopRequest

    @property
    def stop_file(self) -> Path: ...

    def mode(self) -> Mode:
        """Asked several times a second."""

    @property
    def why(self) -> str:
        """What stops the sweep, in words; once it is to stop."""

    def on_start(self, job: Job[Any]) -> None:
        """A job was begun."""

    def on_end(self, job: Job[Any], error: str) -> None:
        """A job has ended: by itself where `error` is empty, else in words what took it down."""

    def tick(self) -> None:
        """Called several times a second."""


class Executor(Protocol):
    """Runs jobs, some at a time; a job that fails does not end the others.

    The numbers of a job depend on its config alone, and not on who executes it.
    """

    def __call__(self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor) -> None: ...


def in_rounds(jobs: Sequence[Job[Any]]) -> list[Job[Any]]:
    """The order in which every executor begins a sweep's jobs: a round for each seed.

    What ends a sweep early, such as a time budget, then leaves whole comparisons, and at most one that is not. A round
    begins with the arm that the others are compared with; of these the one that takes longest comes first, so that it
    is not the one that others wait for.
    """
    return sorted(jobs, key=lambda job: (job.config.seed, not job.is_reference, -job.cost))
