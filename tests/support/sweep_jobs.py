"""Work for the tests of the executors, in a module that other processes can import."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stopcli.errors import RunError
from stopcli.runs.files import write_json
from stopcli.sweeps.plan import Job, JobContext, Mode
from stopcli.training.session import StopRequest


@dataclass(frozen=True)
class Settings:
    """What a job's settings need for an executor."""

    seed: int
    what: str = "finish"
    epochs: int = 1


def jobs(*what: str) -> list[Job[Settings]]:
    return [Job(f"job-{i}", "arm", Settings(i, instruction)) for i, instruction in enumerate(what)]


@dataclass(frozen=True)
class DoWhatItSays:
    """Does what a job's settings say, and writes down who did it."""

    folder: Path

    def __call__(self, job: Job[Any], context: JobContext) -> None:
        affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        context.loop_cache.setdefault("jobs", []).append(job.name)
        record = {"pid": os.getpid(), "cores": affinity, "loop_cache": list(context.loop_cache["jobs"])}
        write_json(self.folder / f"{job.name}.begun", record)
        if job.config.what == "raise":
            raise RunError("the disk is full\nand more")
        if job.config.what == "bug":
            raise KeyError("bug")
        if job.config.what == "pool":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                assert pool.map(abs, [-1, -2]) == [1, 2]
        if job.config.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while job.config.what == "wait" and not context.request.stop_requested and time.monotonic() < deadline:
            time.sleep(0.02)
        write_json(
            self.folder / f"{job.name}.done", {"asked": context.request.stop_requested, "words": context.request.reason}
        )


@dataclass
class Watch:
    """A supervisor that writes down what it is told.

    Args:
        stop: says whether to stop, from the watch itself.
        rounds: the jobs of each further round.
    """

    folder: Path
    stop: Any = None
    request: StopRequest = field(default_factory=StopRequest)
    started: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    ticks: int = 0
    why: str = "a test"
    rounds: list[list[Job[Settings]]] = field(default_factory=list)

    @property
    def stop_file(self) -> Path:
        return self.folder / "stop"

    def mode(self) -> Mode:
        return Mode.RUN if self.stop is None else self.stop(self)

    def further_jobs(self) -> list[Job[Settings]]:
        assert set(self.started) == set(self.errors), "a round is over before the next one is asked for"
        return self.rounds.pop(0) if self.rounds else []

    def on_start(self, job: Job[Any]) -> None:
        self.started.append(job.name)

    def on_end(self, job: Job[Any], error: str) -> None:
        self.errors[job.name] = error

    def tick(self) -> None:
        self.ticks += 1
