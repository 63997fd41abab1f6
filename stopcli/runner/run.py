"""How a run, a range test or a sweep is loaded and executed, new or resumed, and one run from its start to its results.

Imports TensorFlow where it is needed first, which takes seconds.
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.configs.base import AnyConfig, RunConfig, to_toml
from stopcli.configs.training import TrainingConfig
from stopcli.errors import RequestError, ResourceError
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.recipes.recorded_code import keep_earlier_copies
from stopcli.report.drawing import Figures
from stopcli.runner.provenance import changed_data, changed_model, record_environment
from stopcli.runner.report import write_results
from stopcli.runner.sweep import run_sweep
from stopcli.runs.ancestry import ancestors_of
from stopcli.runs.files import remove_leftovers, write_whole
from stopcli.runs.folder import RunFolder, cannot_be_written
from stopcli.runs.metrics import read_metrics
from stopcli.runs.summary import RangeSummary, RunSummary, TrainingSummary
from stopcli.sweeps.layout import Layout, plan_layout
from stopcli.sweeps.plan import Job, ShowJobs, pending_jobs, plan_jobs
from stopcli.training.session import Observer, SaveCadence, Session, Start
from stopcli.training.state_file import data_fingerprint, settings_fingerprint
from stopcli.training.tf_setup import has_gpu, start_tensorflow

if TYPE_CHECKING:
    from stopcli.runs.summary import Before
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.loop import Loop
    from stopcli.training.trainer import Experiment, Outcome

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
            jobs = pending_jobs(jobs, run / "jobs", retry_failed=start.retry_failed)
        recipe.check_fits(loaded, jobs, layout)
    return Task(loaded, layout, start)


def check_warm_start(task: Task) -> None:
    """Check that the model that a new run's settings name fits, in every arm, before anything is written."""
    start_tensorflow(getattr(task.config, "threads", None))
    arms = [task.config] if task.layout is None else {job.arm: job.config for job in plan_jobs(task.config)}.values()
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
            return _train(loaded, folder, session, start, loop_cache, plots)
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
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            raise ResourceError(
                "there is not enough memory for this run", hint="Fewer rows or a smaller model need less."
            ) from error
        raise


def _train(
    loaded: LoadedConfig,
    folder: RunFolder,
    session: Session,
    start: Start,
    loop_cache: dict[Any, Any] | None,
    plots: bool,
) -> RunSummary:
    from stopcli.training.evaluate import evaluate_run
    from stopcli.training.run_log import RunLog
    from stopcli.training.trainer import Trainer

    config, stopwatch = loaded.config, session.stopwatch
    recipe = recipe_for(config)
    with stopwatch.part("build"):
        experiment = recipe.build(loaded)
    fingerprint = {**settings_fingerprint(config), **data_fingerprint(experiment.parts), **experiment.identity}
    changed: list[str] = []
    if start.state is not None:
        before = start.state.fingerprint
        changed = changed_data(config, [before["data"]], fingerprint["data"], force=start.force)
        changed += changed_model(before, experiment.identity, force=start.force)
    # A saved state holds all weights: the model that the first ones came from may be gone by now.
    ancestry = warm_start(config, experiment, folder) if start.state is None else None
    if ancestry is not None and getattr(config, "refit", False):
        from stopcli.runner.refit import keep_start

        keep_start(folder, experiment.initial_state(), fingerprint)
    warnings = start_session(loaded, folder, start, changed, ancestry)
    beside_start = _measured_start(config, experiment, folder, session)
    loop = _compiled_loop(experiment, loop_cache, session)
    run_log = RunLog(
        folder,
        loop.columns,
        experiment.steps_per_epoch,
        SaveCadence(config.save_every),
        fingerprint,
        start.state,
        resumed=start.resumed,
        log_steps=experiment.log_steps,
        tensorboard=to_toml(config) if config.tensorboard else None,
    )
    session.observer.stage("training")
    with run_log:
        outcome = Trainer(experiment, loop, folder, run_log, session, start.state).train()
    session.observer.stage("evaluating")
    evaluation = evaluate_run(config, experiment, loop.model, outcome, folder, stopwatch)
    if getattr(config, "refit", False):
        with stopwatch.part("refit"):
            evaluation = _refit(loaded, experiment, outcome, evaluation, folder, session, fingerprint, loop_cache)
    summary = evaluation.summary
    summary = replace(summary, arm=config.arm, warnings=(*summary.warnings, *loaded.notes, *warnings))
    if beside_start is not None:
        summary = replace(summary, before=beside_start(evaluation))
    if experiment.afterwards is not None and summary.state == "finished":
        with stopwatch.part("evaluate"):
            summary = replace(summary, **experiment.afterwards(loop, folder))
    evaluation = replace(evaluation, summary=summary)
    if summary.state == "finished":
        if experiment.table is not None:
            session.observer.stage("comparing with simpler answers")
        with stopwatch.part("evaluate"):
            evaluation = replace(evaluation, summary=recipe.run_summary(loaded, experiment, evaluation))
            failures = recipe.run_after(loaded, evaluation, folder)
            summary = replace(evaluation.summary, warnings=(*evaluation.summary.warnings, *failures))
    evaluation = replace(evaluation, summary=summary)
    with stopwatch.part("plots"):
        tables = recipe.run_tables(experiment, evaluation)

    def figures() -> Figures:
        steps = read_metrics(folder.steps) if experiment.log_steps else None
        return recipe.run_figures(config, experiment, evaluation, read_metrics(folder.metrics), steps)

    what = f"{config.command} {experiment.dataset}" if config.is_code else config.command
    return write_results(
        folder,
        summary,
        loaded.description,
        stopwatch,
        title=f"{what}: {config.arm.replace('-', ' ')}, seed {config.seed}",
        tables=list(tables.values()),
        files={f"{name}.csv": table.csv() for name, table in tables.items()},
        figures=figures if plots else None,
    )


def _measured_start(
    config: Any, experiment: Experiment, folder: RunFolder, session: Session
) -> Callable[[Evaluation], Before] | None:
    """Measure the model that a run of a table starts from, before it is trained. Returns what compares it with the
    run's; None where the run starts from drawn weights, or no rows test."""
    if not (config.init_from and getattr(config, "table", "")):
        return None
    from stopcli.training.model_files import model_file
    from stopcli.training.start_model import before_and_after, keep_start, measure_start

    if not folder.start_model.exists():
        keep_start(model_file(Path(config.init_from)), folder)
    session.observer.stage("measuring the model that it starts from")
    with session.stopwatch.part("evaluate"):
        start = measure_start(experiment, folder)
    if start is None:
        return None
    return lambda evaluation: before_and_after(start, config.init_from, experiment, evaluation)


def _refit(
    loaded: LoadedConfig,
    experiment: Experiment,
    outcome: Outcome,
    evaluation: Evaluation,
    folder: RunFolder,
    session: Session,
    fingerprint: Mapping[str, Any],
    loop_cache: dict[Any, Any] | None,
) -> Evaluation:
    """A run's results with those of its refit; as they are where its training has not ended, or no model was saved."""
    from stopcli.runner.refit import plan_refit, refit, with_refit

    summary = evaluation.summary
    if summary.state != "finished" or summary.best is None:
        # That of an earlier session is of another number of updates.
        folder.refit_model.unlink(missing_ok=True)
        return evaluation
    config = loaded.config
    fresh = recipe_for(config).build(loaded)
    plan = plan_refit(experiment, fresh, outcome.best.epoch)
    result, warnings = refit(
        config, plan, folder, session, fingerprint, lambda of, session: _compiled_loop(of, loop_cache, session, "refit")
    )
    session.observer.stage("evaluating the refit")
    summary = with_refit(evaluation, experiment, plan, folder, result)
    return replace(evaluation, summary=replace(summary, warnings=(*summary.warnings, *warnings)))


def start_session(
    loaded: LoadedConfig,
    folder: RunFolder,
    start: Start,
    changed: Sequence[str] = (),
    ancestry: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """Mark a run's folder as running, record what it computes with, and write the files of its data; arguments and
    result as of `record_environment`."""
    from stopcli.training.evaluate import devices

    config = loaded.config
    folder.status.write("running", epoch=start.state.epoch if start.state else 0)
    if start.resumed:
        remove_leftovers(folder.path)
        if loaded.source is not None:
            keep_earlier_copies(folder.path, loaded.source)
    for name, content in loaded.files.items():
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder.path / name, content)
    precision = "mixed_float16" if getattr(config, "mixed_precision", False) else "float32"
    return record_environment(config, folder, devices(precision), start, changed, ancestry)


def warm_start(config: RunConfig, experiment: Experiment, folder: RunFolder | None = None) -> dict[str, Any] | None:
    """Load the weights that a config names into the experiment. Returns their ancestry, None where it names none.

    Args:
        folder: of the run, which may have a copy of them.
    """
    if not config.init_from:
        return None
    from stopcli.training.model_files import model_file, start_from

    source = Path(config.init_from)
    own = None if folder is None or not folder.start_model.exists() else folder.start_model
    path = model_file(own or source)
    experiment.check_start(path)
    ancestry = start_from(
        experiment.whole(experiment.model), experiment.optimizer, path, with_optimizer=config.init_optimizer
    )
    return {**ancestry, "ancestors": ancestors_of(source)}


def _compiled_loop(
    experiment: Experiment, loop_cache: dict[Any, Any] | None, session: Session, stage: str = "run"
) -> Loop:
    """A compiled loop in the experiment's initial state: the cached one, or a new one.

    Args:
        stage: of the run; the cache has one loop for each.
    """
    key = experiment.loop_key
    if loop_cache is not None and key is not None and loop_cache.get(stage, (None,))[0] == key:
        loop: Loop = loop_cache[stage][1]
        loop.reset(experiment.initial_state(), experiment.seed)
        return loop
    if loop_cache is not None:
        # One at a time: it holds the data on its device.
        loop_cache.pop(stage, None)
    session.observer.stage("compiling")
    with session.stopwatch.part("compile"):
        loop = experiment.make_loop()
        loop.compile()
    if loop_cache is not None and key is not None:
        loop_cache[stage] = (key, loop)
    return loop
