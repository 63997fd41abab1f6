"""How a run, a range test or a sweep is loaded and executed, new or resumed.

Imports TensorFlow where it is needed first, which takes seconds.
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.configs.base import AnyConfig, RunConfig
from stopcli.configs.training import TrainingConfig
from stopcli.errors import RequestError, ResourceError, is_out_of_memory
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.runner.precision import is_slow, slow_precision
from stopcli.runner.sweep import run_sweep
from stopcli.runs.folder import RunFolder, cannot_be_written
from stopcli.runs.summary import RangeSummary, RunSummary, TrainingSummary
from stopcli.sweeps.layout import Layout, plan_layout
from stopcli.sweeps.plan import Job, ShowJobs, pending_jobs, plan_jobs, started_jobs
from stopcli.training.session import Observer, Session, Start
from stopcli.training.tf_setup import has_gpu, start_tensorflow

if TYPE_CHECKING:
    pass

_IMPORTED = time.perf_counter()


@dataclass(frozen=True)
class Task:
    """A run, a range test or a sweep whose settings are checked and whose data are in memory; `layout` is None for all
    but a sweep."""

    loaded: LoadedConfig
    layout: Layout | None = None
    start: Start = Start()  # noqa: RUF009, a frozen value

    @property
    def config(self) -> Any:
        """The settings, with what only the data could tell filled in."""
        return self.loaded.config


def settle_layout(config: AnyConfig) -> tuple[AnyConfig, Layout | None]:
    """How a sweep's runs are executed here, and its settings with the threads that each of them computes with. Raises
    RequestError where they cannot be executed as the settings say."""
    if not config.is_sweep:
        return config, None
    layout = plan_layout(config, gpu=has_gpu())
    layout.check()
    if config.layout_is_open:
        # Checked as far as it is known; settled once the data are read.
        return config, layout
    settled: dict[str, Any] = {} if layout.threads is None else {"threads": layout.threads}
    if config.init_from:
        # Jobs on other machines have other working folders.
        settled["init_from"] = str(Path(config.init_from).resolve())
    return replace(config, **settled), layout


def load_task(
    config: RunConfig,
    layout: Layout | None,
    observer: Observer,
    start: Start = Start(),  # noqa: B008, a frozen value
    run: Path | None = None,
) -> Task:
    """Read a config's data, and check that a sweep's jobs have room, those that are left of a `run` that is resumed.
    Raises RequestError where the data are missing, damaged, or not as the config says, or the jobs have no room."""
    recipe, start_time = recipe_for(config), time.perf_counter()
    recipe.resumed = run
    loaded = replace(recipe.load(config, observer), seconds=time.perf_counter() - start_time)
    if layout is not None and config.layout_is_open:
        settled, layout = settle_layout(loaded.config)
        loaded = replace(loaded, config=settled)
    if layout is not None:
        jobs: Sequence[Job[Any]] = plan_jobs(loaded.config)
        if run is not None:
            jobs = started_jobs(loaded.config, run / "jobs")
            jobs = pending_jobs(jobs, run / "jobs", retry_failed=start.retry_failed)
        recipe.check_fits(loaded, jobs, layout)
    return Task(loaded, layout, start)


def check_warm_start(task: Task) -> None:
    """Check that the model that a new run's settings name fits, in every arm, before anything is written."""
    from stopcli.runner.training_run import warm_start

    start_tensorflow(getattr(task.config, "threads", None))
    arms = [task.config] if task.layout is None else {job.arm: job.config for job in plan_jobs(task.config, 1)}.values()
    for config in arms:
        warm_start(config, recipe_for(config).build(replace(task.loaded, config=config)))


def execute(
    task: Task, folder: RunFolder, session: Session, show_jobs: ShowJobs, on_messages: Callable[[str], None]
) -> TrainingSummary:
    """Execute a task in its folder, which this process holds. Sets the folder's status to the state that it ended in.

    Args:
        show_jobs: receives the progress of a sweep's jobs.
        on_messages: receives what TensorFlow printed while it started.

    Returns:
        Its summary.

    Raises:
        StopNow: it was interrupted before anything was trained.
    """
    # Between the process's start and now, the data were read.
    session.stopwatch.move("startup", "data", task.loaded.seconds)
    if task.layout is None or task.layout.executor == "in-process":
        session.observer.stage("starting TensorFlow")
        with session.stopwatch.part("startup"):
            messages = start_tensorflow(getattr(task.config, "threads", None))
        if messages:
            folder.log("TensorFlow's messages while it starts:\n" + messages)
            on_messages(messages.rstrip())
        if session.request.interrupted:
            # Nothing is trained yet, so there is nothing to save.
            raise session.request.stop_now
    if task.layout is None:
        return run_one(task.loaded, folder, session, task.start)
    if is_slow(task.config) and not task.start.resumed:
        session.observer.note(f"{slow_precision(task.config.precision)}; the first run measures what it costs")
    return run_sweep(task.loaded, folder, task.layout, show_jobs, session, task.start)


def process_age() -> float:
    """Seconds since the process started; where the system does not say, since this module was imported."""
    try:
        start_time = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - start_time
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED


def run_one(
    loaded: LoadedConfig,
    folder: RunFolder,
    session: Session,
    start: Start = Start(),  # noqa: B008, a frozen value
    *,
    loop_cache: dict[Any, Any] | None = None,
    plots: bool = True,
) -> RunSummary | RangeSummary:
    """Train, save, evaluate, draw and report one run. Sets the folder's status to the state that the run ended in.

    Args:
        loaded: settings of one run (one seed), whose config.toml is written, and its data.
        start: the position to start from.
        loop_cache: keeps the compiled loop for the next run that can share it.
        plots: whether figures are drawn.

    Returns:
        Its summary.

    Raises:
        RequestError: the run cannot be started like this; the folder is as it was.
        RunError: the run failed; the folder's log and status say why.
    """
    with _failures_logged(folder):
        if isinstance(loaded.config, TrainingConfig):
            from stopcli.runner.training_run import train_run

            return train_run(loaded, folder, session, start, loop_cache, plots=plots)
        from stopcli.runner.range_test import run_range_test

        return run_range_test(loaded, folder, session, start)


@contextlib.contextmanager
def _failures_logged(folder: RunFolder) -> Iterator[None]:
    """Write the traceback of a failure in the block to the folder's log.

    Raises:
        ResourceError: in place of errors of the disk and the memory.
    """
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        folder.note(traceback.format_exc())
        if isinstance(error, OSError):
            raise cannot_be_written(folder.path, error) from error
        if is_out_of_memory(error):
            raise ResourceError(
                "there is not enough memory for this run", hint="Fewer rows or a smaller model need less."
            ) from error
        raise
