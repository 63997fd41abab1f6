"""One run from its config to its finished folder."""

from __future__ import annotations

import traceback
from typing import Any

from stopcli.config import RunConfig, to_toml
from stopcli.errors import RunError
from stopcli.recipes.recipe import Recipe
from stopcli.report.markdown import run_report
from stopcli.report.tables import run_table
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import write_json, write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.training.conclusion import Conclusion, conclude, devices
from stopcli.training.experiment import Experiment
from stopcli.training.interruption import StopRequest
from stopcli.training.loop import CompiledLoop
from stopcli.training.observer import Observer
from stopcli.training.pacing import Stopwatch
from stopcli.training.trainer import Trainer


def run_one(
    config: Any,
    recipe: Recipe,
    folder: RunFolder,
    observer: Observer,
    request: StopRequest,
    stopwatch: Stopwatch,
    *,
    lane: dict[str, Any] | None = None,
    plots: bool = True,
) -> dict[str, Any]:
    """Train, save, evaluate, draw and report one run. Leaves the folder's status as the run ended.

    Args:
        config: settings of one run (one seed).
        folder: newly made; its status says `running`.
        stopwatch: may hold the seconds that were spent before.
        lane: where a loop is left for the next run that differs by its seed alone.
        plots: whether figures are drawn.

    Returns:
        The content of summary.json.

    Raises:
        RunError: the run could not go on; the folder's log and status say why.
    """
    try:
        return _run_one(config, recipe, folder, observer, request, stopwatch, lane, plots)
    except OSError as error:
        folder.note(traceback.format_exc())
        where = f" ({error.filename})" if error.filename else ""
        raise RunError(
            f"{folder.path}: cannot be written: {error.strerror or error}{where}",
            hint="What was written until then is kept.",
        ) from error
    except Exception:
        folder.note(traceback.format_exc())
        raise


def _run_one(
    config: Any,
    recipe: Recipe,
    folder: RunFolder,
    observer: Observer,
    request: StopRequest,
    stopwatch: Stopwatch,
    lane: dict[str, Any] | None,
    plots: bool,
) -> dict[str, Any]:
    environment = begin(config, folder)
    with stopwatch.part("build"):
        experiment = recipe.build(config)
    loop = _loop_for(experiment, lane, observer, stopwatch)
    observer.stage("training")
    outcome = Trainer(experiment, loop, folder, observer, request, stopwatch).train()
    observer.stage("evaluating")
    conclusion = conclude(config, experiment, loop.model, outcome, folder, stopwatch)
    return _finish(config, recipe, experiment, conclusion, folder, environment, stopwatch, plots)


def begin(config: RunConfig, folder: RunFolder) -> dict[str, Any]:
    """Write down what is going to be run, and with what. Returns the content of environment.json."""
    folder.write_config(to_toml(config))
    environment = describe_environment(devices())
    write_json(folder.environment, environment)
    folder.log(f"begins: {config}")
    for warning in config.warnings():
        folder.log(f"warning: {warning}")
    return environment


def _loop_for(
    experiment: Experiment, lane: dict[str, Any] | None, observer: Observer, stopwatch: Stopwatch
) -> CompiledLoop:
    """A compiled loop in the experiment's initial state: the lane's, or a new one."""
    if lane is not None and "loop" in lane:
        loop: CompiledLoop = lane["loop"]
        loop.reset(experiment.initial_state(), experiment.seed)
        return loop
    observer.stage("compiling")
    with stopwatch.part("compile"):
        loop = experiment.make_loop()
        loop.compile()
    if lane is not None:
        lane["loop"] = loop
    return loop


def _finish(
    config: Any,
    recipe: Recipe,
    experiment: Experiment,
    conclusion: Conclusion,
    folder: RunFolder,
    environment: dict[str, Any],
    stopwatch: Stopwatch,
    plots: bool,
) -> dict[str, Any]:
    summary = conclusion.summary
    if plots:
        from stopcli.report.saving import save_figures

        with stopwatch.part("plots"):
            metrics = read_metrics(folder.metrics)
            figures = recipe.run_figures(config, experiment, conclusion.model, summary, metrics)
            written = [f"plots/{path.name}" for path in save_figures(figures, folder.plots)]
    else:
        written = []
    summary["seconds"] = stopwatch.rounded()
    write_json(folder.summary, summary)
    title = f"{config.command}: {config.arm.replace('-', ' ')}, seed {config.seed}"
    table = run_table(summary, config.arm.replace("-", " "))
    write_text(folder.report, run_report(title, summary, table, to_toml(config), environment, written))
    folder.log(f"{summary['state']}: {summary['stop']}")
    folder.status.write(
        summary["state"], "" if summary["state"] == "finished" else summary["stop"]["rule"], epoch=summary["epochs"]
    )
    return summary
