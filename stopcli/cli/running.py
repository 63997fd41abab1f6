"""From a command's options to a run: one config, one folder, one call, one result."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from stopcli.cli.console import Output, RunView
from stopcli.config import RunConfig, resolve, setting_names
from stopcli.recipes.recipe import ModuleRecipe, config_class
from stopcli.report.tables import run_table, seed_table
from stopcli.report.words import why_stopped
from stopcli.runs.folder import RunFolder, runs_root
from stopcli.training.interruption import StopRequest, stop_on_signals
from stopcli.training.pacing import Stopwatch

# The process began a little before this module was imported; what it did until here was Python's own start.
_STARTED = time.perf_counter()


@dataclass(frozen=True)
class Where:
    """Where a run's folder goes."""

    runs_dir: Path | None = None
    run_dir: Path | None = None


def given_settings(ctx: typer.Context, command: str) -> dict[str, Any]:
    """The settings that stand on the command line, by name: those that win over the scale."""
    names = setting_names(config_class(command))
    sources = {name: ctx.get_parameter_source(name) for name in names}
    return {
        name: ctx.params[name]
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    }


def run_from_options(ctx: typer.Context, command: str) -> None:
    """Run a command with the options of its context, print the result, and exit as the run ended."""
    params = ctx.params
    settings = given_settings(ctx, command)
    if str(settings.get("checkpoint_every", "")).lstrip("-").isdigit():
        settings["checkpoint_every"] = int(settings["checkpoint_every"])
    output = Output(params["json"], params["quiet"], params["verbose"])
    config = resolve(config_class(command), settings)
    run_config(config, Where(params["runs_dir"], params["run_dir"]), output)


def run_config(config: RunConfig, where: Where, output: Output) -> None:
    """Run a checked config. Raises typer.Exit with the exit status where it is not 0."""
    for warning in config.warnings():
        output.warn(warning)
    folder = RunFolder.create(
        root=runs_root(where.runs_dir), command=config.command, name=config.name, run_dir=where.run_dir
    )
    with folder, stop_on_signals() as request:
        output.say(f"stopcli {config.command} → {folder.path}", style="bold")
        if config.scale == "quick":
            output.say("Quick scale: a smaller version of the published setting. --scale full runs the published one.")
        summary = _train(config, folder, output, request)
    _tell(config, folder, output, summary)
    status = {"finished": 0, "paused": 0, "failed": 1, "interrupted": request.exit_status}[summary["state"]]
    if status:
        raise typer.Exit(status)


def _train(config: Any, folder: RunFolder, output: Output, request: StopRequest) -> dict[str, Any]:
    stopwatch = Stopwatch()
    with RunView(output) as view:
        first = view.run(config.command)
        first.stage("starting TensorFlow")
        from stopcli.training.tensorflow_setup import start_tensorflow

        said = start_tensorflow()
        if said:
            folder.log(said)
        if request.asked:
            # Nothing is trained yet, so there is nothing to save.
            raise KeyboardInterrupt
        # After TensorFlow, which these import.
        from stopcli.recipes.running import run_one
        from stopcli.recipes.sweeping import run_seeds

        stopwatch.add("startup", time.perf_counter() - _STARTED)
        recipe = ModuleRecipe(config.command)
        if config.seeds == 1:
            return run_one(config, recipe, folder, first, request, stopwatch)
        first.finished("TensorFlow has started")
        watch_job = view.sweep(config.command, config.seeds)
        return run_seeds(config, recipe, folder, watch_job, request, stopwatch)


def _tell(config: Any, folder: RunFolder, output: Output, summary: dict[str, Any]) -> None:
    arm = config.arm.replace("-", " ")
    if config.seeds == 1:
        table = run_table(summary, arm)
        output.result(table, summary)
        output.say(why_stopped(summary))
    else:
        finished = [job for job in summary["jobs"] if job["state"] == "finished"]
        output.result(seed_table(finished, arm), summary)
        for job in summary["jobs"]:
            if job["reason"]:
                output.warn(f"{job['name']} {job['state']}: {job['reason']}")
        output.say(f"{len(finished)} of {config.seeds} runs finished.")
    output.say(f"Report, plots and models: {folder.path}")
