"""One run, or one range test, from its settings to its finished folder."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from stopcli.config import RunConfig, to_toml
from stopcli.errors import RequestError, ResourceError
from stopcli.recipes.base import Loaded, Recipe
from stopcli.recipes.trained import TrainedConfig
from stopcli.report.document import Table
from stopcli.report.drawing import Figures
from stopcli.runner.provenance import record_environment
from stopcli.runner.report import write_results
from stopcli.runner.resume_changes import changed_data
from stopcli.runs.files import remove_leftovers
from stopcli.runs.folder import RunFolder, cannot_be_written
from stopcli.runs.metrics import read_metrics
from stopcli.runs.summary import RangeSummary, RunSummary
from stopcli.training.evaluate import devices, evaluate_run
from stopcli.training.experiment import Experiment
from stopcli.training.fingerprint import data_fingerprint, settings_fingerprint
from stopcli.training.loop import Loop
from stopcli.training.model_files import start_from
from stopcli.training.run_log import RunLog
from stopcli.training.session import SaveCadence, Session, Start
from stopcli.training.trainer import Trainer


def run_one(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    session: Session,
    start: Start = Start(),  # noqa: B008, a frozen value
    *,
    loop_cache: dict[str, Any] | None = None,
    plots: bool = True,
) -> RunSummary | RangeSummary:
    """Train, save, evaluate, draw and report one run. Sets the folder's status to the state that the run ended in.

    Args:
        loaded: settings of one run (one seed), whose config.toml is written, and its data.
        start: the position to start from.
        loop_cache: keeps the compiled loop for the next run that differs by its seed only.
        plots: whether figures are drawn.

    Returns:
        Its summary.

    Raises:
        RequestError: the run cannot be started like this; the folder is as it was.
        RunError: the run failed; the folder's log and status say why.
    """
    with _failures_logged(folder):
        if isinstance(loaded.config, TrainedConfig):
            return _train(loaded, recipe, folder, session, start, loop_cache, plots)
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
        if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
            raise ResourceError(
                "there is not enough memory for this run", hint="Fewer rows or a smaller model need less."
            ) from error
        raise


def _train(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    session: Session,
    start: Start,
    loop_cache: dict[str, Any] | None,
    plots: bool,
) -> RunSummary:
    config, stopwatch = loaded.config, session.stopwatch
    with stopwatch.part("build"):
        experiment = recipe.build(loaded)
    fingerprint = {**settings_fingerprint(config), **data_fingerprint(experiment.parts)}
    saved = [] if start.state is None else [start.state.fingerprint["data"]]
    changed = changed_data(config, saved, fingerprint["data"], force=start.force)
    # A saved state holds all weights: the model that the first ones came from may be gone by now.
    ancestry = warm_start(config, experiment) if start.state is None else None
    warnings = start_session(config, folder, start, changed, ancestry)
    loop = _compiled_loop(experiment, loop_cache, session)
    record = RunLog(
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
    with record:
        outcome = Trainer(experiment, loop, folder, record, session, start.state).train()
    session.observer.stage("evaluating")
    evaluation = evaluate_run(config, experiment, loop.model, outcome, folder, stopwatch)
    summary = evaluation.summary
    summary = replace(summary, arm=config.arm, warnings=(*summary.warnings, *loaded.notes, *warnings))
    if experiment.afterwards is not None and summary.state == "finished":
        with stopwatch.part("evaluate"):
            summary = replace(summary, **experiment.afterwards(loop, folder))
    evaluation = replace(evaluation, summary=summary)
    tables: dict[str, Table] = {}
    if plots:
        with stopwatch.part("plots"):
            tables = recipe.run_tables(experiment, evaluation)

    def figures() -> Figures:
        steps = read_metrics(folder.steps) if experiment.log_steps else None
        return recipe.run_figures(config, experiment, evaluation, read_metrics(folder.metrics), steps)

    return write_results(
        folder,
        summary,
        loaded,
        stopwatch,
        title=f"{config.command}: {config.arm.replace('-', ' ')}, seed {config.seed}",
        tables=list(tables.values()),
        files={f"{name}.csv": table.csv() for name, table in tables.items()},
        figures=figures if plots else None,
    )


def start_session(
    config: RunConfig,
    folder: RunFolder,
    start: Start,
    changed: Sequence[str] = (),
    ancestry: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """Mark a run's folder as running, and record what it computes with; arguments and result as of
    `record_environment`."""
    folder.status.write("running", epoch=start.state.epoch if start.state else 0)
    if start.resumed:
        remove_leftovers(folder.path)
    precision = "mixed_float16" if getattr(config, "mixed_precision", False) else "float32"
    return record_environment(config, folder, devices(precision), start, changed, ancestry)


def warm_start(config: RunConfig, experiment: Experiment) -> dict[str, Any] | None:
    """Load the weights that a config names into the experiment. Returns their ancestry, None where it names none."""
    if not config.init_from:
        return None
    return start_from(
        experiment.model, experiment.optimizer, Path(config.init_from), with_optimizer=config.init_optimizer
    )


def _compiled_loop(experiment: Experiment, loop_cache: dict[str, Any] | None, session: Session) -> Loop:
    """A compiled loop in the experiment's initial state: the cached one, or a new one."""
    if loop_cache is not None and "loop" in loop_cache:
        loop: Loop = loop_cache["loop"]
        loop.reset(experiment.initial_state(), experiment.seed)
        return loop
    session.observer.stage("compiling")
    with session.stopwatch.part("compile"):
        loop = experiment.make_loop()
        loop.compile()
    if loop_cache is not None:
        loop_cache["loop"] = loop
    return loop
