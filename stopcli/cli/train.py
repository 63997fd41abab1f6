"""From a command's options to a run: one config, one folder, one call, one result.

What comes before training: whether there is a GPU, TensorFlow's start, and the time that has passed by then.

A sweep from its settings to its summary, or to its plan alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from stopcli.cli.console import Output, RunView, SweepView
from stopcli.cli.list_options import parse_counts, parse_words
from stopcli.config import AnyConfig, RunConfig, resolve, setting_names, to_toml
from stopcli.errors import RequestError
from stopcli.quantities import counted, format_duration, parse_duration
from stopcli.recipes.base import Loaded, Recipe, config_class, recipe_of
from stopcli.recipes.lr_range.bounds import mismatch, read_bounds
from stopcli.report.document import results_table
from stopcli.report.run_report import words_of
from stopcli.runner.resume_changes import next_step
from stopcli.runs.files import temporary_files
from stopcli.runs.folder import RunFolder, check_can_be_made, runs_root
from stopcli.runs.summary import SweepSummary, TrainingSummary
from stopcli.signals import StopNow, write_in_handler
from stopcli.sweeps.layout import Layout, plan_layout
from stopcli.sweeps.plan import Job, plan_jobs
from stopcli.training.model_files import check_model_file, model_file
from stopcli.training.session import Observer, Session, Start, StopRequest, Stopwatch, stop_on_signals

_IMPORTED = time.perf_counter()
# Made by the drivers of NVIDIA and AMD.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU. Where the system has no driver for one, TensorFlow is not imported."""
    if not any(Path(device).exists() for device in GPU_DEVICES):
        return False
    from stopcli.training.tf_setup import sees_gpu

    return sees_gpu()


def start_and_log(
    config: RunConfig, folder: RunFolder, observer: Observer, output: Output, request: StopRequest
) -> None:
    """Start TensorFlow, which takes seconds, and write its messages to the run's log."""
    observer.stage("starting TensorFlow")
    from stopcli.training.tf_setup import start_tensorflow

    messages = start_tensorflow(getattr(config, "threads", None))
    if messages:
        folder.log("TensorFlow's messages while it starts:\n" + messages)
        output.detail(messages.rstrip())
    if request.interrupted:
        # Nothing is trained yet, so there is nothing to save.
        raise request.stop_now


def stopwatch_of(loaded: Loaded) -> Stopwatch:
    """A stopwatch that has run since the process started."""
    stopwatch = Stopwatch(elapsed=process_age())
    stopwatch.move("startup", "data", loaded.seconds)
    return stopwatch


def process_age() -> float:
    """Seconds since the process started; where the system does not tell, since this module was imported."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - started
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED


def settle_layout(config: AnyConfig) -> tuple[AnyConfig, Layout | None]:
    """How a sweep's runs are executed here, and its settings with the threads that each of them computes with.

    Raises:
        RequestError: they cannot be executed as the settings say.
    """
    if not config.is_sweep:
        return config, None
    layout = plan_layout(config, gpu=has_gpu())
    layout.check()
    settled: dict[str, Any] = {} if layout.threads is None else {"threads": layout.threads}
    if config.init_from:
        # Jobs on other machines have other working folders.
        settled["init_from"] = str(Path(config.init_from).resolve())
    return replace(config, **settled), layout


def execute_sweep(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    layout: Layout,
    start: Start,
    output: Output,
    request: StopRequest,
) -> SweepSummary:
    """Run the pending jobs of a sweep with a live table. Returns its summary."""
    from stopcli.runner.sweep import run_sweep

    output.say(f"Runs: {len(plan_jobs(loaded.config))}, {layout.describe()}.")
    if layout.executor == "in-process":
        with RunView(output, loaded.config.command) as observer:
            start_and_log(loaded.config, folder, observer, output, request)
    with SweepView(output, loaded.config.command) as view:
        return run_sweep(loaded, recipe, folder, layout, view.show, request, stopwatch_of(loaded), start)


def show_plan(loaded: Loaded, layout: Layout, output: Output) -> None:
    """Measure a few steps of each arm of a sweep, and print its plan."""
    for line in loaded.words:
        output.say(line)
    jobs = plan_jobs(loaded.config)
    with RunView(output, loaded.config.command) as observer:
        observer.stage("starting TensorFlow")
        from stopcli.training.tf_setup import start_tensorflow

        start_tensorflow(layout.threads)
        # After TensorFlow, which it imports.
        from stopcli.runner.estimate import estimate

        plan = estimate(loaded, jobs, layout, process_age(), observer)
    output.result(plan.table(), plan.summary())
    how = "in all" if layout.workers else "one after the other; the cluster decides how many run at a time"
    duration = format_duration(plan.seconds)
    output.say(f"{counted(len(jobs), 'run')}, {layout.describe()}: about {duration} {how}. Nothing was trained.")


@dataclass(frozen=True)
class RunLocation:
    """Where a run's folder goes: a name under a root, or the folder itself."""

    runs_dir: Path | None = None
    run_dir: Path | None = None


def settings_from_options(ctx: typer.Context, command: str) -> dict[str, Any]:
    """The settings that stand on the command line, by name: those that win over the scale."""
    settings = {}
    for name in setting_names(config_class(command)):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            settings[name] = ctx.params[name]
    if str(settings.get("checkpoint_every", "")).lstrip("-").isdigit():
        settings["checkpoint_every"] = int(settings["checkpoint_every"])
    if "m" in settings:
        settings["m"] = parse_counts("m", settings["m"])
    for name in {"policy", "vs", "stop"} & settings.keys():
        settings[name] = parse_words(name, settings[name])
    if ctx.params.get("from_range") is not None:
        # Flags win over the bounds of the range test.
        settings = {**read_bounds(ctx.params["from_range"]), **settings}
    if "init_from" in settings:
        settings["init_from"] = str(settings["init_from"])
    return settings


def run_from_options(ctx: typer.Context, command: str) -> None:
    """Run a command with the options of its context, print the result, and exit as the run ended."""
    params = ctx.params
    config = resolve(config_class(command), settings_from_options(ctx, command), has_gpu)
    output = Output(params["json"], params["quiet"], params["verbose"])
    if params.get("from_range") is not None and (warning := mismatch(params["from_range"], config)):
        output.warn(warning)
    location = RunLocation(params["runs_dir"], params["run_dir"])
    run_config(config, location, output, params["time_budget"], dry_run=params.get("dry_run", False))


def run_config(
    config: RunConfig, location: RunLocation, output: Output, time_budget: str | None, *, dry_run: bool = False
) -> None:
    """Run a checked config in a new folder. Raises typer.Exit with the exit status where it is not 0.

    Args:
        dry_run: only print what a sweep would run and how long it would take.
    """
    if location.runs_dir is not None and location.run_dir is not None:
        raise RequestError("--runs-dir and --run-dir both name the run's folder; give one of them")
    budget_seconds, root = parse_time_budget(time_budget), runs_root(location.runs_dir)
    check_can_be_made(root, location.run_dir)
    if config.init_from:
        check_model_file(model_file(Path(config.init_from)))
    config, layout = settle_layout(config)
    recipe = recipe_of(config.command)
    for warning in config.warnings():
        output.warn(warning)
    # Until there is a run's folder, which has a place for them.
    with temporary_files(location.run_dir or root):
        loaded = load(config, recipe, output)
        config = loaded.config
        if layout is not None:
            recipe.check_fits(loaded, plan_jobs(config), layout)
            if dry_run:
                show_plan(loaded, layout, output)
                return
        if config.init_from:
            _check_warm_start(loaded)
    folder = RunFolder.create(
        root=root, command=config.command, name=config.name, run_dir=location.run_dir, config=to_toml(config)
    )
    with folder:
        output.say(f"stopcli {config.command} → {folder.path}", style="bold")
        if config.scale == "quick":
            output.say("Quick scale: a smaller version of the published setting. --scale full runs the published one.")
        output.detail(to_toml(config).rstrip())
        execute(loaded, recipe, folder, Start(), output, budget_seconds, layout)


def parse_time_budget(text: str | None) -> float | None:
    """The seconds of --time-budget; None where it is not given."""
    return None if text is None else parse_duration("time_budget", text)


def load(config: RunConfig, recipe: Recipe, output: Output) -> Loaded:
    """Read a config's data, and print the warnings about them."""
    start = time.perf_counter()
    with RunView(output, config.command) as observer:
        loaded = recipe.load(config, observer)
    loaded = replace(loaded, seconds=time.perf_counter() - start)
    for note in loaded.notes:
        output.warn(note)
    return loaded


def execute(
    loaded: Loaded,
    recipe: Recipe,
    folder: RunFolder,
    start: Start,
    output: Output,
    budget_seconds: float | None,
    layout: Layout | None,
) -> None:
    """Run a config in a folder that is held, new or resumed, print the result, and exit as the run ended.

    Args:
        layout: of a sweep, how its runs are executed.
    """
    for line in loaded.words:
        output.say(line)
    if getattr(loaded.config, "tensorboard", False):
        output.say(f"To follow it: tensorboard --logdir {folder.tensorboard if layout is None else folder.jobs}")

    def on_first_signal() -> None:
        if not output.quiet:
            write_in_handler("\nSaving. Press Ctrl-C again to quit without saving.\n")

    with stop_on_signals(budget_seconds, on_first_signal) as request:
        try:
            if layout is None:
                summary: TrainingSummary = _execute_run(loaded, recipe, folder, start, output, request)
            else:
                summary = execute_sweep(loaded, recipe, folder, layout, start, output, request)
        except StopNow as stopped:
            stopped.reported = True
            output.say(f"Quit without saving. To resume from the last saved state: stopcli resume {folder.path}")
            raise
    _print_result(loaded, folder, output, summary)
    exit_status = {"finished": 0, "paused": 0, "failed": 1, "interrupted": request.exit_status}[summary.state]
    if exit_status:
        raise typer.Exit(exit_status)


def _check_warm_start(loaded: Loaded) -> None:
    """Check that the named model fits, in every arm, before anything is written."""
    from stopcli.training.tf_setup import start_tensorflow

    start_tensorflow(getattr(loaded.config, "threads", None))
    from stopcli.runner.run import warm_start

    jobs: Sequence[Job[Any]] = plan_jobs(loaded.config) if loaded.config.is_sweep else ()
    for config in list({job.arm: job.config for job in jobs}.values()) or [loaded.config]:
        warm_start(config, recipe_of(config.command).build(replace(loaded, config=config)))


def _execute_run(
    loaded: Loaded, recipe: Recipe, folder: RunFolder, start: Start, output: Output, request: StopRequest
) -> TrainingSummary:
    with RunView(output, loaded.config.command) as observer:
        start_and_log(loaded.config, folder, observer, output, request)
        # After TensorFlow, which it imports.
        from stopcli.runner.run import run_one

        return run_one(loaded, recipe, folder, Session(observer, request, stopwatch_of(loaded)), start)


def _print_result(loaded: Loaded, folder: RunFolder, output: Output, summary: TrainingSummary) -> None:
    output.result(results_table(summary), summary)
    for sentence in words_of(summary):
        output.say(sentence)
    printed = {*loaded.config.warnings(), *loaded.notes}
    for warning in summary.warnings:
        if warning not in printed:
            output.warn(warning)
    if isinstance(summary, SweepSummary):
        for job in summary.jobs:
            if job.reason:
                output.say(f"{job.name} {job.state}: {job.reason}")
        output.say(f"{summary.finished} of {counted(len(summary.jobs), 'run')} finished.")
    times = "  ".join(f"{part} {seconds:.1f}" for part, seconds in summary.seconds.items() if seconds >= 0.05)
    output.detail(f"Seconds: {times}")
    output.say(f"Report, plots and models: {folder.path}")
    if summary.state != "finished" and (step := next_step(folder.path, summary.state)):
        output.say(step)
