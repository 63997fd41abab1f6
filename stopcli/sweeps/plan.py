"""What a sweep consists of: named jobs, each a run's config. A plan is a pure function of the sweep's settings.

What every executor of a sweep's jobs does, and what it is told and tells.

What became of a sweep's jobs, read from their folders: while they run, and when they have ended.

The folders are what every executor has in common: a job in another process, or on another machine, writes the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Protocol

from stopcli.config import AnyConfig, SweepSettings
from stopcli.runs.files import read_json
from stopcli.runs.metrics import Columns, read_metrics
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


def plan_jobs(config: Any) -> tuple[Job[Any], ...]:
    """A job for each arm of a sweep and each of its seeds: seed, seed + 1, …"""
    seeds = range(config.seed, config.seed + config.seeds)
    reference = config.reference_arm
    return tuple(
        Job(f"{arm}-seed{seed}", arm, _one_run(of, seed), of.cost, arm == reference)
        for arm, of in config.arms().items()
        for seed in seeds
    )


def _one_run(config: AnyConfig, seed: int) -> AnyConfig:
    # How the sweep is run is no business of the run's: the same config, whoever runs it.
    how: dict[str, Any] = (
        {field.name: field.default for field in fields(SweepSettings)} if isinstance(config, SweepSettings) else {}
    )
    return replace(config, seed=seed, seeds=1, **how)


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


NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class JobProgress:
    """How far a job is.

    Attributes:
        state: as in its status.json, or `not begun`.
        epoch, epochs: done, and at most.
        metrics: the last complete epoch's; empty before the first.
        samples_per_second, seconds_left: None before they are known.
        reason: why it ended otherwise than well.
        done: whether this session of the sweep has nothing more to do for it.
    """

    name: str
    state: str
    epoch: int
    epochs: int
    metrics: Mapping[str, float]
    samples_per_second: float | None = None
    seconds_left: float | None = None
    reason: str = ""
    done: bool = False

    @property
    def error(self) -> float | None:
        """The last epoch's validation error, 1 − accuracy; None before the first."""
        accuracy = self.metrics.get("val_accuracy")
        return None if accuracy is None else 1 - accuracy


@dataclass(frozen=True)
class JobResult:
    """What became of a job.

    Attributes:
        path: its folder, which need not exist.
        state: as in its status.json (`finished`, `paused`, `interrupted`, `failed`), `died` where nothing is left of a
            process that was training it, or `not begun`.
        reason: why it did not finish, in a line; empty where it did.
        summary: its summary.json; None where it never got so far.
    """

    job: Job[Any]
    path: Path
    state: str
    reason: str
    summary: dict[str, Any] | None

    def metrics(self) -> Columns:
        """Its metrics.csv."""
        return read_metrics(self.path / "metrics.csv")


def read_progress(job: Job[Any], path: Path, error: str = "") -> JobProgress:
    """How far a job is, by its status.json.

    Args:
        error: what took it down, where that is known.
    """
    status = read_json(path / "status.json")
    progress = status.get("progress") or {}
    if not progress and status.get("state") == "finished":
        final = read_json(path / "summary.json").get("final") or {}
        measured = final.get("val", final.get("test")) or {}
        progress = {"metrics": {f"val_{name}": value for name, value in measured.items()}}
    return JobProgress(
        job.name,
        "failed" if error else str(status.get("state", NOT_BEGUN)),
        int(status.get("epoch", 0)),
        int(job.config.epochs),
        progress.get("metrics") or {},
        progress.get("samples_per_second"),
        progress.get("seconds_left"),
        error or str(status.get("reason", "")),
    )


def collect(jobs: Sequence[Job[Any]], folder: Path, errors: Mapping[str, str]) -> list[JobResult]:
    """What became of each job, in the order of the jobs.

    Args:
        folder: holds the jobs' folders.
        errors: by a job's name, what took it down, as far as whoever executed it knows.
    """
    return [_result(job, folder / job.name, errors.get(job.name, "")) for job in jobs]


def _result(job: Job[Any], path: Path, error: str) -> JobResult:
    status, summary = read_json(path / "status.json"), read_json(path / "summary.json") or None
    state = str(status.get("state", NOT_BEGUN))
    if state == "running":
        # It could not even say so itself.
        state, error = "died", error or "its process is gone"
    elif error and state != "finished":
        state = "failed"
    reason = error or str(status.get("reason", ""))
    return JobResult(job, path, state, "" if state == "finished" else reason, summary)


def pending_jobs(jobs: Sequence[Job[Any]], folder: Path, *, retry_failed: bool) -> list[Job[Any]]:
    """The jobs of a sweep that there is anything to do for, in their order: all of them before it is begun.

    Args:
        folder: holds the jobs' folders.
        retry_failed: also those that failed by an error of their own.
    """
    return [job for job in jobs if needs_run(folder / job.name, retry_failed=retry_failed)]


def is_summed_up(sweep: Path, jobs: Sequence[Job[Any]]) -> bool:
    """Whether a sweep's summary.json tells of all that its jobs came to: not where it ended or failed before that.

    Args:
        sweep: its folder.
        jobs: all of its jobs.
    """
    summary = read_json(sweep / "summary.json")
    states = [read_json(sweep / "jobs" / job.name / "status.json").get("state") for job in jobs]
    same = summary.get("state") == read_json(sweep / "status.json").get("state")
    return same and summary.get("finished") == states.count("finished")


def needs_run(path: Path, *, retry_failed: bool) -> bool:
    """Whether there is anything to do for a job of a sweep that is resumed.

    What has finished is never run again, unless its summary was damaged since, which is then written again; nor what
    diverged, because it would again; what failed by an error of its own only when that is asked for. A fault outside
    the run (a full disk, a process that was killed) is no such error.

    Args:
        path: its folder.
    """
    status, summary = read_json(path / "status.json"), read_json(path / "summary.json")
    if status.get("state") == "finished":
        return not summary
    if status.get("state") != "failed" or status.get("outside"):
        return True
    diverged = (summary.get("stop") or {}).get("reason") == "non_finite"
    return retry_failed and not diverged
