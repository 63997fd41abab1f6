"""One run from its config to its finished folder."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from stopcli.config import RunConfig, to_toml
from stopcli.errors import RequestError, ResourceError
from stopcli.recipes.beginning import record_environment
from stopcli.recipes.moved_data import changed_data
from stopcli.recipes.recipe import Loaded, Recipe
from stopcli.recipes.reporting import report_metadata, write_run_report
from stopcli.report.drawing import Drawn, draw
from stopcli.report.tables import Table
from stopcli.runs.files import remove_leftovers, write_text
from stopcli.runs.folder import RunFolder, cannot_be_written
from stopcli.runs.metrics import read_metrics
from stopcli.training.conclusion import Conclusion, conclude, devices
from stopcli.training.experiment import Experiment
from stopcli.training.fingerprint import data_fingerprint, settings_fingerprint
from stopcli.training.loop import Loop
from stopcli.training.pacing import SaveCadence, Stopwatch
from stopcli.training.record import Record
from stopcli.training.session import Session, Start
from stopcli.training.trainer import Trainer
from stopcli.training.warm_start import start_from


def run_one(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    session: Session,
    start: Start = Start(),  # noqa: B008, a frozen value
    *,
    loop_cache: dict[str, Any] | None = None,
    plots: bool = True,
) -> dict[str, Any]:
    """Train, save, evaluate, draw and report one run. Leaves the folder's status as the run ended.

    Args:
        loaded: settings of one run (one seed), whose config.toml is written, and its data.
        start: from where to begin.
        loop_cache: where a loop is left for the next run that differs by its seed alone.
        plots: whether figures are drawn.

    Returns:
        The content of summary.json.

    Raises:
        RequestError: the run cannot be begun like this; the folder is as it was.
        RunError: the run could not go on; the folder's log and status say why.
    """
    with _failures_noted(folder):
        if recipe.runs_itself:
            return recipe.run(loaded, folder, session, start)
        return _run_one(loaded, recipe, folder, session, start, loop_cache, plots)


@contextlib.contextmanager
def _failures_noted(folder: RunFolder) -> Iterator[None]:
    """Keep the traceback of what fails in the block in the folder's log.

    Raises:
        ResourceError: in the place of errors of the disk and the memory.
    """
    try:
        yield
    except OSError as error:
        folder.note(traceback.format_exc())
        raise cannot_be_written(folder.path, error) from error
    except RequestError:
        raise
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        folder.note(traceback.format_exc())
        raise ResourceError(
            "there is not enough memory for this run", hint="Fewer rows or a smaller model need less."
        ) from error
    except Exception:
        folder.note(traceback.format_exc())
        raise


def _run_one(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    session: Session,
    start: Start,
    loop_cache: dict[str, Any] | None,
    plots: bool,
) -> dict[str, Any]:
    config, stopwatch = loaded.config, session.stopwatch
    with stopwatch.part("build"):
        experiment = recipe.build(loaded)
    fingerprint = {**settings_fingerprint(config), **data_fingerprint(experiment.parts)}
    changed = changed_data(config, fingerprint, start)
    # A saved state holds all weights: where the first ones came from need not be there any more.
    ancestry = warm_start(config, experiment) if start.point is None else None
    folder.status.write("running", epoch=start.point.epoch if start.point else 0)
    if start.again:
        remove_leftovers(folder.path)
    half = getattr(config, "mixed_precision", False)
    warnings = record_environment(
        config, folder, devices("mixed_float16" if half else "float32"), start, changed, ancestry
    )

    loop = _loop_for(experiment, loop_cache, session)
    record = Record(
        folder,
        loop.columns,
        experiment.steps_per_epoch,
        SaveCadence(config.save_every),
        fingerprint,
        start.point,
        again=start.again,
        log_steps=experiment.log_steps,
        tensorboard=to_toml(config) if config.tensorboard else None,
    )
    session.observer.stage("training")
    with record:
        outcome = Trainer(experiment, loop, folder, record, session, start.point).train()
    session.observer.stage("evaluating")
    conclusion = conclude(config, experiment, loop.model, outcome, folder, stopwatch)
    conclusion.summary["warnings"] += (*loaded.notes, *warnings)
    if experiment.afterwards is not None and conclusion.summary["state"] == "finished":
        with stopwatch.part("evaluate"):
            conclusion.summary.update(experiment.afterwards(loop, folder))
    return _finish(loaded, recipe, experiment, conclusion, folder, stopwatch, plots)


def warm_start(config: RunConfig, experiment: Experiment) -> dict[str, Any] | None:
    """Give the experiment the weights that its config names. Returns their ancestry, None where it names none."""
    if not config.init_from:
        return None
    return start_from(
        experiment.model, experiment.optimizer, Path(config.init_from), with_optimizer=config.init_optimizer
    )


def _loop_for(experiment: Experiment, loop_cache: dict[str, Any] | None, session: Session) -> Loop:
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


def _finish(
    loaded: Loaded,
    recipe: Recipe,
    experiment: Experiment,
    conclusion: Conclusion,
    folder: RunFolder,
    stopwatch: Stopwatch,
    plots: bool,
) -> dict[str, Any]:
    config, summary = loaded.config, conclusion.summary
    drawn, tables = Drawn(), list[Table]()
    if plots:
        with stopwatch.part("plots"):
            metrics = read_metrics(folder.metrics)
            steps = read_metrics(folder.steps) if experiment.log_steps else None
            drawn = draw(lambda: recipe.run_figures(config, experiment, conclusion, metrics, steps), folder.path)
            folder.note(drawn.tracebacks)
            for name, table in recipe.run_tables(config, experiment, conclusion).items():
                tables.append(table)
                write_text(folder.path / f"{name}.csv", table.csv())
    summary["warnings"] += drawn.warnings
    summary["arm"] = config.arm
    title = f"{config.command}: {config.arm.replace('-', ' ')}, seed {config.seed}"
    summary["report"] = report_metadata(title, loaded.words, tables, drawn.pictures)
    summary["seconds"] = stopwatch.rounded()
    write_run_report(folder, summary)
    folder.log(f"{summary['state']}: {summary['stop']}")
    folder.status.write(
        summary["state"], "" if summary["state"] == "finished" else summary["stop"]["rule"], epoch=summary["epochs"]
    )
    return summary
