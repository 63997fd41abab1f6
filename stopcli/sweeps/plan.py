"""What a sweep consists of, what its jobs have come to, and what the executors of its jobs share.

A plan is a pure function of the settings. What jobs have come to is read from their folders, which executors have in
common: a job in another process, or on another machine, writes the same.
"""

from __future__ import annotations

import abc
import contextlib
import inspect
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Generic

from stopcli.configs.auto_seeds import AutoSeedsConfig
from stopcli.configs.base import AnyConfig
from stopcli.configs.training import SweepSettings
from stopcli.errors import system_words
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import Headline
from stopcli.runs.run import Run
from stopcli.runs.status import StatusProgress
from stopcli.runs.summary import RunSummary, SweepSummary
from stopcli.training.session import StopRequest


@dataclass(frozen=True)
class Job(Generic[AnyConfig]):
    """One run of a sweep.

    Attributes:
        name: its folder's name under the sweep's `jobs/`, unique in the sweep.
        arm: what distinguishes it from the sweep's other runs of the same seed.
        config: the run's settings, for one seed.
        cost: how much there is to compute, in any unit that is the same for all jobs of the sweep.
        is_reference: whether it is of the arm that the others are compared with.
    """

    name: str
    arm: str
    config: AnyConfig
    cost: float = 1.0
    is_reference: bool = False


def plan_jobs(config: Any, seeds: int | None = None) -> tuple[Job[Any], ...]:
    """A job for each arm of a sweep and each of its seeds: seed, seed + 1, …

    Args:
        seeds: how many of them; None for all, or where their number is not fixed, the most that there can be.
    """
    return jobs_of_seeds(config, range(config.seed, config.seed + (config.most_seeds if seeds is None else seeds)))


def jobs_of_seeds(config: Any, seeds: Iterable[int]) -> tuple[Job[Any], ...]:
    """A job for each arm of a sweep and each of some seeds."""
    seeds = list(seeds)
    reference = config.reference_arm
    return tuple(
        Job(f"{arm}-seed{seed}", arm, _one_run(of, seed), of.cost, arm == reference)
        for arm, of in config.arms().items()
        for seed in seeds
    )


def started_jobs(config: Any, folder: Path) -> tuple[Job[Any], ...]:
    """The jobs of a sweep that are planned so far: all of them, or where the number of seeds follows from what they
    show, those of the first round and of every round that was started.

    Args:
        folder: that the jobs' folders lie in, which need not exist.
    """
    if not config.auto_seeds:
        return plan_jobs(config)
    seeds = config.first_round
    while seeds < config.most_seeds and any(
        (folder / job.name).exists() for job in jobs_of_seeds(config, [config.seed + seeds])
    ):
        seeds += 1
    return plan_jobs(config, seeds)


def _one_run(config: Any, seed: int) -> Any:
    # A run's config does not depend on how its sweep is executed.
    of_sweep = [kind for kind in (SweepSettings, AutoSeedsConfig) if isinstance(config, kind)]
    names = {name for kind in of_sweep for name in inspect.get_annotations(kind)}
    defaults = {field.name: field.default for field in fields(config) if field.name in names}
    return replace(config, seed=seed, seeds=1, **defaults)


@dataclass(frozen=True)
class JobResult:
    """A job and its run, as far as it is.

    Attributes:
        run: as its folder describes it, which need not exist.
        state: as in its status.json (`running`, `finished`, `paused`, `interrupted`, `failed`), `died` where nothing is
            left of a process that was training it, or `not begun`.
        reason: why it did not finish, in a line; empty where it did.
        done: whether this session of the sweep has nothing more to do for it.
    """

    job: Job[Any]
    run: Run
    state: str
    reason: str = ""
    done: bool = False

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self.run.status.epoch

    @property
    def epochs(self) -> int:
        """Epochs at most."""
        return int(self.job.config.epochs)

    @property
    def summary(self) -> RunSummary | None:
        """Its results; None where it never got so far."""
        return self.run.results

    @property
    def progress(self) -> StatusProgress:
        """The last complete epoch, and what is known of the run's speed."""
        if self.run.status.progress is None and self.state == "finished" and self.summary:
            validated = self.summary.final.validated
            return StatusProgress(metrics={f"val_{name}": value for name, value in validated.items()})
        return self.run.status.progress or StatusProgress()

    @property
    def headline(self) -> Headline:
        """The metric that counts."""
        headline: Headline = self.job.config.headline
        return headline

    @property
    def error(self) -> float | None:
        """The last epoch's validation error, such as 1 − accuracy; None before the first."""
        value = self.progress.metrics.get(self.headline.column("val"))
        return None if value is None else self.headline.as_error(value)


def read_progress(job: Job[Any], folder: Path, error: str = "", *, done: bool = False) -> JobResult:
    """How far a job is, whose folder lies in `folder`; `error` is what took it down, where that is known."""
    run = Run.read(folder / job.name, folder.parent)
    return JobResult(job, run, "failed" if error else run.status.state, error or run.status.reason, done)


def collect(jobs: Sequence[Job[Any]], folder: Path, errors: Mapping[str, str]) -> list[JobResult]:
    """What became of each job, in the order of the jobs, when none of them is running any more; by name the errors that
    took jobs down, as far as whoever executed them knows."""
    results = []
    for job in jobs:
        result = read_progress(job, folder, errors.get(job.name, ""))
        state = result.run.status.state
        if state == "finished":
            result = replace(result, state=state, reason="")
        elif state == "running":
            # It could not even say so itself.
            result = replace(result, state="died", reason=errors.get(job.name) or "its process is gone")
        results.append(result)
    return results


def pending_jobs(jobs: Sequence[Job[Any]], folder: Path, *, retry_failed: bool) -> list[Job[Any]]:
    """The jobs that there is anything to do for, in their order, as their folders in `folder` say: all of them before
    the sweep is started."""
    return [job for job in jobs if needs_run(Run.read(folder / job.name), retry_failed=retry_failed)]


def is_summed_up(sweep: Run, jobs: Sequence[Job[Any]]) -> bool:
    """Whether a sweep's summary.json is of all that all its jobs came to: not where it ended or failed before that."""
    states = [Run.read(sweep.path / "jobs" / job.name).status.state for job in jobs]
    summary = sweep.summary
    return (
        isinstance(summary, SweepSummary)
        and summary.state == sweep.status.state
        and summary.finished == states.count("finished")
    )


def needs_run(run: Run, *, retry_failed: bool) -> bool:
    """Whether there is anything to do for a job of a sweep that is resumed.

    What has finished is never run again, unless its summary was damaged since, which is then written again; nor what
    diverged, because it would again; what failed by an error of its own only when that is asked for. A fault outside
    the run (a full disk, a process that was killed) is no such error.
    """
    if run.status.state == "finished":
        return run.summary is None
    if run.status.state != "failed" or run.status.outside:
        return True
    return retry_failed and not run.diverged


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
    loop_cache: dict[Any, Any] = field(default_factory=dict)


Work = Callable[[Job[Any], JobContext], None]
"""Runs one job and leaves its results in its folder; raises where that fails. Executors pickle it."""


ShowJobs = Callable[[Sequence[JobResult]], None]


@dataclass
class SweepMonitor:
    """Follows a sweep's jobs: which are running, which failed, and whether to go on. Called from the thread that
    executes them.

    Args:
        folder: the sweep's.
        jobs: all of them.
        pending: those that are not done yet.
        show: receives the progress of each job, several times a second.
        keep_going: whether the other jobs continue where one fails.
        next_round: which jobs follow from what all others came to, once these have ended; none where that is all.
    """

    folder: RunFolder
    jobs: Sequence[Job[Any]]
    pending: Sequence[Job[Any]]
    request: StopRequest
    show: ShowJobs
    keep_going: bool = True
    next_round: Callable[[Sequence[JobResult]], Sequence[Job[Any]]] = lambda results: ()
    errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._running: dict[str, Job[Any]] = {}
        # Jobs that an earlier session has finished are done from the start.
        self._done = {job.name for job in self.jobs} - {job.name for job in self.pending}
        self._failed = ""
        self._lines: dict[str, JobResult] = {}
        for job in self.jobs:
            self._read(job)

    @property
    def stop_file(self) -> Path:
        """A file that does not exist, whose existence tells jobs on other machines to stop."""
        # Absolute: jobs on other machines have other working folders.
        return (self.folder.path / "stop").resolve()

    @property
    def why(self) -> str:
        """What stops the sweep, in words; for `Mode.STOP`."""
        return self.request.reason if self.request.stop_requested else f"the failure of {self._failed}"

    def mode(self) -> Mode:
        if self.request.interrupted or (self._failed and not self.keep_going):
            return Mode.STOP
        # Jobs that are running have the same deadline, and pause by themselves.
        return Mode.DRAIN if self.request.over else Mode.RUN

    def further_jobs(self) -> Sequence[Job[Any]]:
        """The jobs of the next round, when none is running any more."""
        jobs = self.next_round(collect(self.jobs, self.folder.jobs, self.errors))
        self.jobs = (*self.jobs, *jobs)
        for job in jobs:
            self._read(job)
        return jobs

    def on_start(self, job: Job[Any]) -> None:
        self._running[job.name] = job

    def on_end(self, job: Job[Any], error: str) -> None:
        """A job has ended: by itself where `error` is empty, else because of that."""
        self._running.pop(job.name, None)
        self._done.add(job.name)
        if error:
            self.errors[job.name] = error
        line = self._read(job)
        if error or line.state == "failed":
            self._failed = self._failed or job.name

    def tick(self) -> None:
        """Called several times a second."""
        # A full disk has no room for a heartbeat; that is no reason to end the jobs.
        with contextlib.suppress(OSError):
            self.folder.status.beat(0)
        for job in self._running.values():
            self._read(job)
        self.show(list(self._lines.values()))

    def _read(self, job: Job[Any]) -> JobResult:
        error, done = self.errors.get(job.name, ""), job.name in self._done
        self._lines[job.name] = read_progress(job, self.folder.jobs, error, done=done)
        return self._lines[job.name]


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
        """The jobs that have ended, each with its error (`SweepMonitor.on_end`), after a tick's time at most."""

    @abc.abstractmethod
    def stop(self, why: str) -> None:
        """Ask all jobs to save and stop."""


class Executor(abc.ABC):
    """Runs jobs, some at a time; a job that fails does not end the others.

    The numbers of a job depend only on its config, and not on the executor.
    """

    @abc.abstractmethod
    def workers_for(
        self, jobs: Sequence[Job[Any]], work: Work, monitor: SweepMonitor
    ) -> AbstractContextManager[Workers]:
        """What runs the jobs; leaves nothing running after the block."""

    def __call__(self, jobs: Sequence[Job[Any]], work: Work, monitor: SweepMonitor) -> None:
        waiting, stopped_at = in_rounds(jobs), math.inf
        with self.workers_for(jobs, work, monitor) as workers:
            while workers.running or monitor.mode() is Mode.RUN:
                if not workers.running and not waiting:
                    waiting = in_rounds(monitor.further_jobs())
                    if not waiting:
                        break
                while waiting and workers.has_room and monitor.mode() is Mode.RUN:
                    job = waiting.pop(0)
                    monitor.on_start(job)
                    try:
                        workers.start(job)
                        workers.running += 1
                    except OSError as failure:
                        monitor.on_end(job, f"it could not be started: {system_words(failure)}")
                if monitor.mode() is Mode.STOP and stopped_at == math.inf:
                    stopped_at = time.monotonic()
                    workers.stop(monitor.why)
                if time.monotonic() - stopped_at > workers.stop_seconds:
                    break
                for job, error in workers.wait():
                    workers.running -= 1
                    monitor.on_end(job, error)
                monitor.tick()


def in_rounds(jobs: Sequence[Job[Any]]) -> list[Job[Any]]:
    """The order in which every executor starts a sweep's jobs: a round for each seed.

    What ends a sweep early, such as a time budget, then leaves whole comparisons, and at most one that is not. A round
    starts with the arm that the others are compared with; of the others the one that takes longest comes first, so that
    nothing waits for it at the end.
    """
    return sorted(jobs, key=lambda job: (job.config.seed, not job.is_reference, -job.cost))
