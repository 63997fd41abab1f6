"""From a command's options to a run: one config, one folder, one call, one result."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from stopcli.cli.console import Output, RunView
from stopcli.config import RunConfig, resolve, setting_names, to_toml
from stopcli.durations import parse_duration
from stopcli.errors import RequestError
from stopcli.recipes.recipe import Loaded, ModuleRecipe, Recipe, config_class
from stopcli.report.tables import run_table, seed_table
from stopcli.report.words import why_stopped
from stopcli.runs.folder import RunFolder, check_can_be_made, runs_root
from stopcli.training.interruption import StopNow, StopRequest, stop_on_signals
from stopcli.training.pacing import Stopwatch
from stopcli.training.session import Session, Start

_IMPORTED = time.perf_counter()
# Made by the drivers of NVIDIA and AMD.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


@dataclass(frozen=True)
class Where:
    """Where a run's folder goes: a name under a root, or the folder itself."""

    runs_dir: Path | None = None
    run_dir: Path | None = None


def given_settings(ctx: typer.Context, command: str) -> dict[str, Any]:
    """The settings that stand on the command line, by name: those that win over the scale."""
    names = setting_names(config_class(command))
    sources = {name: ctx.get_parameter_source(name) for name in names}
    given = {
        name: ctx.params[name]
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    }
    if str(given.get("checkpoint_every", "")).lstrip("-").isdigit():
        given["checkpoint_every"] = int(given["checkpoint_every"])
    if "init_from" in given:
        given["init_from"] = str(given["init_from"])
    return given


def run_from_options(ctx: typer.Context, command: str) -> None:
    """Run a command with the options of its context, print the result, and exit as the run ended."""
    params = ctx.params
    config = resolve(config_class(command), given_settings(ctx, command), has_gpu)
    output = Output(params["json"], params["quiet"], params["verbose"])
    run_config(config, Where(params["runs_dir"], params["run_dir"]), output, params["time_budget"])


def run_config(config: RunConfig, where: Where, output: Output, time_budget: str | None) -> None:
    """Run a checked config in a new folder. Raises typer.Exit with the exit status where it is not 0."""
    if where.runs_dir is not None and where.run_dir is not None:
        raise RequestError("--runs-dir and --run-dir both say where the run goes; give one of them")
    budget = _budget(time_budget)
    check_can_be_made(runs_root(where.runs_dir), where.run_dir)
    recipe = ModuleRecipe(config.command)
    for warning in config.warnings():
        output.warn(warning)
    loaded = load(config, recipe, output)
    config = loaded.config
    if config.init_from:
        _check_warm_start(loaded, recipe)
    folder = RunFolder.create(
        root=runs_root(where.runs_dir), command=config.command, name=config.name, run_dir=where.run_dir
    )
    with folder:
        folder.write_config(to_toml(config))
        output.say(f"stopcli {config.command} → {folder.path}", style="bold")
        if config.scale == "quick":
            output.say("Quick scale: a smaller version of the published setting. --scale full runs the published one.")
        output.detail(to_toml(config).rstrip())
        conduct(loaded, recipe, folder, Start(), output, budget)


def load(config: RunConfig, recipe: Recipe, output: Output) -> Loaded:
    """Read a config's data, and tell what there is to know of them."""
    start = time.perf_counter()
    with RunView(output) as view:
        loaded = recipe.load(config, view.run(config.command))
    loaded = replace(loaded, seconds=time.perf_counter() - start)
    for note in loaded.notes:
        output.warn(note)
    return loaded


def conduct(
    loaded: Loaded, recipe: Recipe, folder: RunFolder, start: Start, output: Output, budget: float | None
) -> None:
    """Run a config in a folder that is held, print the result, and exit as the run ended."""
    for words in loaded.words:
        output.say(words)
    with stop_on_signals(budget, on_first=lambda: _acknowledge(output)) as request, _told(folder, output):
        summary = _train(loaded, recipe, folder, start, output, request)
    _tell(loaded.config, folder, output, summary)
    status = {"finished": 0, "paused": 0, "failed": 1, "interrupted": request.exit_status}[summary["state"]]
    if status:
        raise typer.Exit(status)


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU. Where the system has no driver for one, TensorFlow is not started to ask."""
    if not any(Path(device).exists() for device in GPU_DEVICES):
        return False
    from stopcli.training.tensorflow_setup import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _budget(text: str | None) -> float | None:
    return None if text is None else parse_duration("time_budget", text)


def _acknowledge(output: Output) -> None:
    # Through the descriptor: a signal may come while the console is in the middle of a line.
    if not output.quiet:
        os.write(2, b"\nSaving and leaving; once more leaves at once, without saving.\n")


@contextmanager
def _told(folder: RunFolder, output: Output) -> Iterator[None]:
    """Tell of a run that is left at once, what it leaves."""
    try:
        yield
    except StopNow:
        output.say(
            f"Left at once. What was saved is in {folder.path}; stopcli resume {folder.path} goes on from there."
        )
        raise


def _check_warm_start(loaded: Loaded, recipe: Recipe) -> None:
    """Find out whether the named model fits before anything is made."""
    from stopcli.training.tensorflow_setup import start_tensorflow

    start_tensorflow()
    from stopcli.recipes.running import warm_start

    warm_start(loaded.config, recipe.build(loaded))


def _train(
    loaded: Loaded, recipe: Recipe, folder: RunFolder, start: Start, output: Output, request: StopRequest
) -> dict[str, Any]:
    config = loaded.config
    with RunView(output) as view:
        first = view.run(config.command)
        first.stage("starting TensorFlow")
        from stopcli.training.tensorflow_setup import start_tensorflow

        said = start_tensorflow()
        if said:
            folder.log("TensorFlow says while it starts:\n" + said)
            output.detail(said.rstrip())
        if request.interrupted:
            # Nothing is trained yet, so there is nothing to save.
            raise StopNow(request)
        # After TensorFlow, which these import.
        from stopcli.recipes.running import run_one
        from stopcli.recipes.sweeping import run_seeds

        stopwatch = Stopwatch(elapsed=_process_age())
        stopwatch.move("startup", "data", loaded.seconds)
        if config.seeds == 1:
            return run_one(loaded, recipe, folder, Session(first, request, stopwatch), start)
        first.finished("TensorFlow has started")
        watch_job = view.sweep(config.command, config.seeds)
        return run_seeds(loaded, recipe, folder, watch_job, Session(request=request, stopwatch=stopwatch), start)


def _process_age() -> float:
    """Seconds since the process began; where the system does not tell, since this module was imported."""
    try:
        begun = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - begun
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED


def _tell(config: Any, folder: RunFolder, output: Output, summary: dict[str, Any]) -> None:
    arm = config.arm.replace("-", " ")
    if config.seeds == 1:
        output.result(run_table(summary, arm), summary)
        output.say(why_stopped(summary))
    else:
        begun = [job for job in summary["jobs"] if job["final"]]
        output.result(seed_table(begun, arm), summary)
        for job in summary["jobs"]:
            if job["reason"]:
                output.say(f"{job['name']} {job['state']}: {job['reason']}")
        output.say(f"{summary['finished']} of {config.seeds} runs finished.")
    seconds = "  ".join(f"{part} {spent:.1f}" for part, spent in summary["seconds"].items() if spent >= 0.05)
    output.detail(f"Seconds: {seconds}")
    output.say(f"Report, plots and models: {folder.path}")
    if summary["state"] in ("paused", "interrupted"):
        output.say(f"Go on with: stopcli resume {folder.path}")
