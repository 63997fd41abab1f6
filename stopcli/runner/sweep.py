"""A sweep from its settings to its finished folder: its jobs, and what they come to together."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stopcli.analysis.decisions import decision_figures, next_round, with_decisions
from stopcli.analysis.refit import with_refit
from stopcli.analysis.sweep import (
    SweepResults,
    headline_of_runs,
    not_finished,
    runs_table,
    seeds_in,
    with_selection,
)
from stopcli.configs.base import to_toml
from stopcli.errors import RecordError, RequestError, RunFolderError, StopcliError, in_a_line
from stopcli.quantities import agreeing, counted
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.recipes.recorded_code import shipped
from stopcli.runner.precision import is_slow, slow_precision, with_factor
from stopcli.runner.provenance import changed_data, changed_model, move_jobs, record_environment
from stopcli.runner.report import write_results
from stopcli.runner.resume import Resumption, prepare
from stopcli.runs.folder import RunFolder, cannot_be_written, is_held
from stopcli.runs.run import Run
from stopcli.runs.status import RunState, StatusFile, read_status
from stopcli.runs.summary import JobSummary, SweepSummary
from stopcli.signals import StopNow
from stopcli.source import Source
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import (
    Job,
    JobContext,
    JobResult,
    ShowJobs,
    SweepMonitor,
    collect,
    needs_run,
    pending_jobs,
    started_jobs,
)
from stopcli.training.session import Session, Start, StopRequest
from stopcli.training.state_file import StateStore, TrainState, data_fingerprint
from stopcli.training.tf_setup import start_tensorflow

# A process whose machine or parent has just gone may still be saving what it has.
LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class RunJob:
    """Runs a job in its folder under `jobs`, which is created, or resumed where it exists. Executors pickle it.

    Attributes:
        jobs: the folder that holds the jobs' folders; absolute, and shared by all machines.
        force: resume a job although settings, versions or data have changed.
        retry_failed: also resume one that failed by an error of its own.
        plots: whether its figures are drawn.
        shared: the data of all jobs, where they are the same and in this process; else each job reads its own.
        source: the user's file, which jobs execute as the sweep has read it; None where there is none.
        rows: the hash of the rows that each arm has to have; empty where nothing but the settings says which.
        measures_precision: the name of the job that measures what a precision costs that is slow here.
    """

    jobs: Path
    force: bool = False
    retry_failed: bool = False
    plots: bool = True
    shared: LoadedConfig | None = None
    source: Source | None = None
    rows: Mapping[str, str] = field(default_factory=dict)
    measures_precision: str = ""

    def __call__(self, job: Job[Any], context: JobContext) -> None:
        with shipped(self.source):
            self._execute(job, context)

    def _execute(self, job: Job[Any], context: JobContext) -> None:
        path, config = self.jobs / job.name, job.config
        _wait_for(path)
        if not path.exists():
            with RunFolder.create(
                root=self.jobs, command=config.command, run_dir=path, config=to_toml(config)
            ) as folder:
                self._run(job, Resumption(config, Start()), folder, context)
        elif needs_run(Run.read(path), retry_failed=self.retry_failed):
            with RunFolder.reopen(path, checked=False) as folder:
                if folder.config.exists():
                    resumption = self._prepare(folder)
                else:
                    # Killed between making the folder and its first file.
                    folder.write_config(to_toml(config))
                    resumption = Resumption(config, Start(resumed=folder.environment.exists()))
                self._run(job, resumption, folder, context)

    def _prepare(self, folder: RunFolder) -> Resumption:
        try:
            return prepare(folder.path, force=self.force)
        except StopcliError as error:
            # A file that was changed can be restored, and the job is then resumed without --retry-failed. Another
            # refusal, such as for other versions, leaves the job as it was; any other error is a failure of its own.
            changed = isinstance(error, RecordError)
            if changed or not isinstance(error, RequestError):
                folder.status.write("failed", in_a_line(error), outside=changed)
            raise

    def _run(self, job: Job[Any], resumption: Resumption, folder: RunFolder, context: JobContext) -> None:
        for warning in resumption.warnings:
            folder.log(f"warning: {warning}")
        config = resumption.config
        # Neither is needed to find out that there is nothing to do.
        start_tensorflow(getattr(config, "threads", None))
        from stopcli.runner.run import run_one

        session = Session(request=context.request, measures_precision=job.name == self.measures_precision)
        with session.stopwatch.part("data"):
            if self.shared:
                loaded = replace(self.shared, config=config)
            else:
                recipe = recipe_for(config)
                recipe.resumed = folder.path if resumption.start.resumed else None
                loaded = recipe.load(config, session.observer)
                self._check_rows(job, loaded)
        loop_cache = context.loop_cache if self.shared else None
        run_one(loaded, folder, session, resumption.start, loop_cache=loop_cache, plots=self.plots)

    def _check_rows(self, job: Job[Any], loaded: LoadedConfig) -> None:
        """Raise RequestError where a job has read other rows than its sweep, so that its runs could not be compared."""
        expected = self.rows.get(job.arm)
        if expected and expected != data_fingerprint(recipe_for(job.config).parts_of(loaded, job.config))["data"]:
            raise RequestError(
                f"{job.name}: data() returned other rows than it did for the sweep",
                hint="Draw from a fixed seed, such as numpy.random.default_rng(0), and leave the files as they are.",
            )


def _wait_for(path: Path) -> None:
    """Wait for another process that is still writing a job's folder, such as one that lost its sweep. Raises
    RunFolderError where it does not end."""
    deadline = time.monotonic() + LOCK_SECONDS
    while is_held(path):
        if time.monotonic() > deadline:
            raise RunFolderError(f"{path} is still being written by another process")
        time.sleep(_POLL_SECONDS)


def run_sweep(
    loaded: LoadedConfig,
    folder: RunFolder,
    layout: Layout,
    show: ShowJobs,
    session: Session,
    start: Start = Start(),  # noqa: B008, a frozen value
) -> SweepSummary:
    """Run the jobs of a sweep that are not done yet, shown as `SweepMonitor` does, and sum all of them up. Of a sweep
    that is resumed, finished runs are kept as they are."""
    config = loaded.config
    jobs = started_jobs(config, folder.jobs)
    shared = layout.threads is None
    # Settings alone say which rows named data have; a file's data() may return others at each call.
    checked = loaded.source is not None and not shared
    rows = _rows_by_arm(loaded, jobs) if start.resumed or checked else {}
    changed = _changed_data(loaded, jobs, rows, folder, start) if start.resumed else []
    folder.status.write("running")
    notes = record_environment(config, folder, {"executor": layout.describe()}, start, changed)
    loaded = replace(loaded, notes=(*loaded.notes, *notes))
    folder.jobs.mkdir(exist_ok=True)
    if start.resumed:
        move_jobs(jobs, folder, config)
    pending = pending_jobs(jobs, folder.jobs, retry_failed=start.retry_failed)
    work = RunJob(
        folder.jobs.resolve(),
        force=start.force,
        retry_failed=start.retry_failed,
        # Drawing takes longer than a short run does; and the threads of this process would wait for each other.
        plots=not shared,
        shared=loaded if shared else None,
        source=loaded.source,
        rows=rows if checked else {},
        # What is resumed is not measured.
        measures_precision=next((job.name for job in pending if not (folder.jobs / job.name).exists()), ""),
    )
    recipe = recipe_for(config)

    def further(results: Sequence[JobResult]) -> Sequence[Job[Any]]:
        return next_round(config, recipe.compared_value(config, results), results)

    monitor = SweepMonitor(folder, jobs, pending, session.request, show, getattr(config, "keep_going", True), further)
    try:
        with session.stopwatch.part("jobs"):
            layout.make()(pending, work, monitor)
        results = collect(monitor.jobs, folder.jobs, monitor.errors)
        return _finish(loaded, folder, results, session)
    except StopNow as stopped:
        _mark_interrupted(folder, stopped)
        raise
    except OSError as error:
        folder.note(traceback.format_exc())
        raise cannot_be_written(folder.path, error) from error


def _rows_by_arm(loaded: LoadedConfig, jobs: Sequence[Job[Any]]) -> dict[str, str]:
    """The hash of each arm's rows."""
    recipe, hashes, by_arm = recipe_for(loaded.config), {}, {}
    for arm, config in {job.arm: job.config for job in jobs}.items():
        parts = recipe.parts_of(loaded, config)
        if id(parts) not in hashes:
            # Arms mostly share their rows, which may be many.
            hashes[id(parts)] = data_fingerprint(parts)["data"]
        by_arm[arm] = hashes[id(parts)]
    return by_arm


def _changed_data(
    loaded: LoadedConfig, jobs: Sequence[Job[Any]], rows: Mapping[str, str], folder: RunFolder, start: Start
) -> list[str]:
    """As `changed_data`, for the runs of a sweep that have saved a state, finished ones too; and as `changed_model`,
    where a user's file has changed.

    Args:
        rows: the hash of each arm's rows as they are now.
    """
    by_data: dict[str, list[str]] = {}
    by_arm: dict[str, tuple[Job[Any], TrainState]] = {}
    for job in jobs:
        state = StateStore(folder.jobs / job.name / "checkpoints" / "resume").load().state
        if state is None:
            continue
        by_data.setdefault(rows[job.arm], []).append(state.fingerprint["data"])
        by_arm.setdefault(job.arm, (job, state))
    changed: list[str] = []
    for now, saved in by_data.items():
        changed += changed_data(loaded.config, saved, now, force=start.force)
    if "code_sha256" in start.changed:
        for job, state in by_arm.values():
            identity = recipe_for(loaded.config).build(replace(loaded, config=job.config)).identity
            changed += changed_model(state.fingerprint, identity, force=start.force)
    return list(dict.fromkeys(changed))


def _mark_interrupted(folder: RunFolder, stopped: StopNow) -> None:
    """Set the status of the jobs that are about to end with the process."""
    for job in folder.jobs.iterdir():
        status = read_status(job)
        if status is not None and status.state == "running":
            StatusFile(job / "status.json").write("interrupted", str(stopped), epoch=status.epoch)


def _finish(loaded: LoadedConfig, folder: RunFolder, results: Sequence[JobResult], session: Session) -> SweepSummary:
    """Sum up what the jobs came to, and write it."""
    config, recipe = loaded.config, recipe_for(loaded.config)
    value = recipe.compared_value(config, results)
    sweep_results = with_refit(config, recipe.sweep_results(config, results), results)
    sweep_results = with_selection(config, sweep_results, results)
    sweep_results = with_decisions(config, value, sweep_results, results)
    finished = any(result.state == "finished" for result in results)
    if not finished:
        # Of the results there would be nothing but dashes.
        sweep_results = replace(sweep_results, tables=(runs_table(results), *sweep_results.tables[1:]))
    if sentence := not_finished(config, results):
        sweep_results = replace(sweep_results, conclusions=(sentence, *sweep_results.conclusions))
    first, *tables = sweep_results.tables
    return write_results(
        folder,
        _summary(
            loaded, folder, results, sweep_results, session.request, is_open=bool(next_round(config, value, results))
        ),
        loaded.description,
        session.stopwatch,
        title=sweep_results.title,
        tables=tables,
        files={**sweep_results.files, "table.md": first.markdown()},
        figures=(lambda: {**recipe.sweep_figures(config, results), **decision_figures(config, value, results)})
        if finished
        else None,
        outside=any(needs_run(result.run, retry_failed=False) for result in results),
    )


def _summary(
    loaded: LoadedConfig,
    folder: RunFolder,
    results: Sequence[JobResult],
    sweep_results: SweepResults,
    request: StopRequest,
    *,
    is_open: bool,
) -> SweepSummary:
    config = loaded.config
    state, reason = _state(results, request, is_open=is_open)
    finished = sum(result.state == "finished" for result in results)
    warnings = config.warnings()
    if is_slow(config):
        measured = with_factor(
            (text for one in results if one.summary for text in one.summary.warnings), config.precision
        )
        warnings.append(measured or slow_precision(config.precision))
    if state == "paused" and not finished:
        warnings.append(f"{request.reason} ran out before any run had finished")
    return SweepSummary(
        command=config.command,
        name=config.name,
        state=state,
        reason=reason,
        scale=config.scale,
        dataset=config.data_name,
        seed=config.seed,
        seeds=seeds_in(results),
        arm=config.arm,
        finished=finished,
        jobs=tuple(map(_job_summary, results)),
        results=sweep_results.summary,
        table=sweep_results.tables[0].for_summary(),
        conclusions=sweep_results.conclusions,
        test_rows_chose=config.validation == "test" and config.checkpoint,
        headline=headline_of_runs([result.summary for result in results if result.summary]),
        warnings=(*warnings, *loaded.notes),
        run_dir=str(folder.path),
    )


def _state(results: Sequence[JobResult], request: StopRequest, *, is_open: bool) -> tuple[RunState, str]:
    """The state that a sweep has ended in, and the reason; empty where it has finished.

    Args:
        is_open: whether another seed would follow, because not everything is decided.
    """
    runs = counted(len(results), "run")
    unfinished = sum(result.state != "finished" for result in results)
    failed = sum(result.state in ("failed", "died") for result in results)
    if not unfinished and not is_open:
        return "finished", ""
    if request.signalled:
        return "interrupted", request.reason
    if failed:
        return "failed", f"{failed} of {runs} failed"
    if request.over:
        return "paused", request.reason
    # Somebody has stopped a run by itself.
    return "failed", f"{unfinished} of {runs} {agreeing(unfinished, 'was', 'were')} stopped"


def _job_summary(result: JobResult) -> JobSummary:
    summary = result.summary
    return JobSummary(
        name=result.name,
        arm=result.job.arm,
        seed=result.job.config.seed,
        state=result.state,
        reason=result.reason,
        epochs=summary.epochs if summary else 0,
        stop=summary.stop if summary else None,
        final=summary.final if summary else None,
        best=summary.best if summary else None,
        refit=summary.refit if summary else None,
        train_seconds=summary.train_seconds if summary else None,
    )
