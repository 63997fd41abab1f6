"""A sweep from its config to its finished folder: the runs, and what they say together."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stopcli.counts import agreeing, counted
from stopcli.recipes.arms import not_finished, runs_table
from stopcli.recipes.beginning import record_environment
from stopcli.recipes.job import RunJob
from stopcli.recipes.moved_data import changed_data_of_jobs, dataset_of, move_jobs
from stopcli.recipes.recipe import Loaded, Recipe, SweepResults
from stopcli.recipes.reporting import report_metadata, write_run_report
from stopcli.recipes.selecting import with_selection
from stopcli.report.drawing import Drawn, draw
from stopcli.runs.files import read_json, write_text
from stopcli.runs.folder import RunFolder, cannot_be_written
from stopcli.runs.recorded import training_seconds
from stopcli.runs.status import StatusFile
from stopcli.signals import StopNow
from stopcli.sweeps.collect import JobLine, JobResult, collect, is_left, jobs_left, read_line
from stopcli.sweeps.executor import Stopping
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, plan_jobs
from stopcli.training.interruption import StopRequest
from stopcli.training.pacing import Stopwatch
from stopcli.training.session import Start

ShowJobs = Callable[[Sequence[JobLine]], None]


@dataclass
class SweepMonitor:
    """Watches over a sweep's jobs: which run, which failed, whether to go on.

    Args:
        folder: the sweep's.
        jobs: all of them.
        left: those that are not done yet.
        show: is handed how far each job is, several times a second.
        keep_going: whether the other jobs go on where one fails.
    """

    folder: RunFolder
    jobs: Sequence[Job[Any]]
    left: Sequence[Job[Any]]
    request: StopRequest
    show: ShowJobs
    keep_going: bool = True
    errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._running: dict[str, Job[Any]] = {}
        # Jobs that an earlier session has finished are done from the beginning.
        self._done = {job.name for job in self.jobs} - {job.name for job in self.left}
        self._lines: dict[str, JobLine] = {}
        for job in self.jobs:
            self._read(job)
        self._failed = ""

    @property
    def stop_file(self) -> Path:
        # Absolute: jobs on other machines have other working folders.
        return (self.folder.path / "stop").resolve()

    @property
    def why(self) -> str:
        return self.request.words if self.request.asked else f"the failure of {self._failed}"

    def stopping(self) -> Stopping:
        if self.request.interrupted or (self._failed and not self.keep_going):
            return Stopping.NOW
        # Jobs that run have the same deadline, and pause by themselves.
        return Stopping.NO_MORE if self.request.over else Stopping.NO

    def began(self, job: Job[Any]) -> None:
        self._running[job.name] = job

    def ended(self, job: Job[Any], error: str) -> None:
        self._running.pop(job.name, None)
        self._done.add(job.name)
        if error:
            self.errors[job.name] = error
        line = self._read(job)
        if error or line.state == "failed":
            self._failed = self._failed or job.name

    def tick(self) -> None:
        # A heartbeat that a full disk has no room for is no reason to take the jobs down.
        with contextlib.suppress(OSError):
            self.folder.status.beat(0)
        for job in self._running.values():
            self._read(job)
        self.show(list(self._lines.values()))

    def _read(self, job: Job[Any]) -> JobLine:
        line = read_line(job, self.folder.jobs / job.name, self.errors.get(job.name, ""))
        self._lines[job.name] = replace(line, done=job.name in self._done)
        return line


def run_sweep(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    layout: Layout,
    show: ShowJobs,
    request: StopRequest,
    stopwatch: Stopwatch,
    start: Start = Start(),  # noqa: B008, a frozen value
) -> dict[str, Any]:
    """Run the jobs of a sweep that are not done yet, and sum all of them up.

    Args:
        loaded: the sweep's settings, and the data.
        layout: how its jobs are executed.
        show: as for SweepMonitor.
        start: whether the sweep was begun before; its finished runs are then taken as they are.

    Returns:
        The content of the sweep's summary.json.
    """
    config = loaded.config
    jobs = plan_jobs(config)
    changed = changed_data_of_jobs(loaded, jobs, folder, force=start.force) if start.again else []
    folder.status.write("running")
    notes = record_environment(config, folder, {"executor": layout.describe()}, start, changed)
    loaded = replace(loaded, notes=(*loaded.notes, *notes))
    folder.jobs.mkdir(exist_ok=True)
    if start.again:
        move_jobs(jobs, folder, dataset_of(config))
    left = jobs_left(jobs, folder.jobs, retry_failed=start.retry_failed)
    shared = layout.threads is None
    work = RunJob(
        folder.jobs.resolve(),
        force=start.force,
        retry_failed=start.retry_failed,
        # Drawing takes longer than a short run does; and the threads of this process would wait for each other.
        plots=not shared,
        shared=loaded if shared else None,
    )
    monitor = SweepMonitor(folder, jobs, left, request, show, getattr(config, "keep_going", True))
    try:
        with stopwatch.part("jobs"):
            layout.make()(left, work, monitor)
        results = collect(jobs, folder.jobs, monitor.errors)
        return _finish(loaded, recipe, folder, results, request, stopwatch)
    except StopNow as stopped:
        _mark_left(folder, stopped)
        raise
    except OSError as error:
        folder.note(traceback.format_exc())
        raise cannot_be_written(folder.path, error) from error


def _mark_left(folder: RunFolder, stopped: StopNow) -> None:
    """Say of the jobs that are about to end with the process that they were interrupted."""
    for job in folder.jobs.iterdir():
        status = read_json(job / "status.json")
        if status.get("state") == "running":
            StatusFile(job / "status.json").write("interrupted", str(stopped), epoch=status.get("epoch", 0))


def _finish(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    results: Sequence[JobResult],
    request: StopRequest,
    stopwatch: Stopwatch,
) -> dict[str, Any]:
    config = loaded.config
    found = with_selection(config, recipe.sweep_results(config, results), results)
    finished = any(result.state == "finished" for result in results)
    if not finished:
        # Of the results there would be nothing but dashes.
        found = replace(found, tables=(runs_table(results), *found.tables[1:]))
    if missing := not_finished(config, results):
        found = replace(found, words=(missing, *found.words))
    drawn = Drawn()
    if finished:
        with stopwatch.part("plots"):
            drawn = draw(lambda: recipe.sweep_figures(config, results), folder.path)
            folder.note(drawn.tracebacks)
    summary = _summarise(config, results, found, request)
    summary["run_dir"] = str(folder.path)
    summary["warnings"] += [*loaded.notes, *drawn.warnings]
    summary["report"] = report_metadata(found.title, loaded.words, found.tables[1:], drawn.pictures)
    summary["seconds"] = stopwatch.rounded()
    for name, text in found.files.items():
        write_text(folder.path / name, text)
    write_text(folder.path / "table.md", found.tables[0].markdown())
    write_run_report(folder, summary)
    epochs = max((result.summary["epochs"] for result in results if result.summary), default=0)
    folder.log(f"{summary['state']}: {summary['finished']} of {counted(len(results), 'run')} finished")
    folder.status.write(summary["state"], summary["reason"], epoch=epochs, outside=_outside(results))
    return summary


def _outside(results: Sequence[JobResult]) -> bool:
    return any(is_left(result.path, retry_failed=False) for result in results)


def _summarise(config: Any, results: Sequence[JobResult], found: SweepResults, request: StopRequest) -> dict[str, Any]:
    finished = sum(result.state == "finished" for result in results)
    failed = sum(result.state in ("failed", "died") for result in results)
    if finished == len(results):
        state, reason = "finished", ""
    elif request.signalled:
        state, reason = "interrupted", request.words
    elif failed:
        state, reason = "failed", f"{failed} of {counted(len(results), 'run')} failed"
    elif request.over:
        state, reason = "paused", request.words
    else:
        # Somebody has stopped a run by itself.
        were = agreeing(len(results) - finished, "was", "were")
        state, reason = "failed", f"{len(results) - finished} of {counted(len(results), 'run')} {were} stopped"
    warnings = config.warnings()
    if state == "paused" and not finished:
        warnings.append(f"{request.words} was spent before any run had finished")
    return {
        "command": config.command,
        "name": config.name,
        "state": state,
        "reason": reason,
        "scale": config.scale,
        "dataset": getattr(config, "dataset", config.command),
        "seed": config.seed,
        "seeds": config.seeds,
        "arm": config.arm,
        "finished": finished,
        "jobs": [_told(result) for result in results],
        **found.summary,
        "table": found.tables[0].for_summary(),
        "conclusions": list(found.words),
        "test_rows_chose": config.validation == "test" and config.checkpoint,
        "warnings": warnings,
    }


def _told(result: JobResult) -> dict[str, Any]:
    summary: Mapping[str, Any] = result.summary or {}
    return {
        "name": result.job.name,
        "arm": result.job.arm,
        "seed": result.job.config.seed,
        "state": result.state,
        "reason": result.reason,
        "epochs": summary.get("epochs", 0),
        "stop": summary.get("stop"),
        "final": summary.get("final"),
        "best": summary.get("best"),
        "train_seconds": training_seconds(summary),
    }
