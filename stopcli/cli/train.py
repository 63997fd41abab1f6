"""From a command's options to a run: one config, one folder, one call, one result.

What precedes training: whether there is a GPU, TensorFlow's start, and the time that has passed by then.

A sweep from its settings to its summary, or to its plan alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from stopcli.cli.console import Output, RunView, SweepView
from stopcli.cli.list_options import parse_counts, parse_words
from stopcli.config import AnyConfig, RunConfig, resolve, setting_names, to_toml
from stopcli.errors import RequestError
from stopcli.quantities import counted, format_duration, parse_duration
from stopcli.recipes.base import Loaded, ModuleRecipe, Recipe, config_class
from stopcli.recipes.lr_range.bounds import mismatch, read_bounds
from stopcli.report.document import results_table
from stopcli.report.run_report import words_of
from stopcli.runs.files import temporary_files
from stopcli.runs.folder import RunFolder, check_can_be_made, runs_root
from stopcli.signals import StopNow, write_in_handler
from stopcli.sweeps.layout import Layout, plan_layout
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.model_files import check_model_file, model_file
from stopcli.training.session import Observer, Session, Start, StopRequest, Stopwatch, stop_on_signals

_IMPORTED = time.perf_counter()
# Made by the drivers of NVIDIA and AMD.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU. Where the system has no driver for one, TensorFlow is not asked."""
    if not any(Path(device).exists() for device in GPU_DEVICES):
        return False
    from stopcli.training.tf_setup import sees_gpu

    return sees_gpu()


def start_and_log(
    config: RunConfig, folder: RunFolder, observer: Observer, output: Output, request: StopRequest
) -> None:
    """Start TensorFlow, which takes seconds, and keep what it says in the run's log."""
    observer.stage("starting TensorFlow")
    from stopcli.training.tf_setup import start_tensorflow

    said = start_tensorflow(getattr(config, "threads", None))
    if said:
        folder.log("TensorFlow says while it starts:\n" + said)
        output.detail(said.rstrip())
    if request.interrupted:
        # Nothing is trained yet, so there is nothing to save.
        raise request.stop_now


def stopwatch_of(loaded: Loaded) -> Stopwatch:
    """A stopwatch that has run since the process began."""
    stopwatch = Stopwatch(elapsed=process_age())
    stopwatch.move("startup", "data", loaded.seconds)
    return stopwatch


def process_age() -> float:
    """Seconds since the process began; where the system does not tell, since this module was imported."""
    try:
        begun = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - begun
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
) -> dict[str, Any]:
    """Run the jobs of a sweep that are left, with a live table. Returns the content of its summary.json."""
    from stopcli.runner.sweep import run_sweep

    if layout.executor == "in-process":
        with RunView(output) as view:
            start_and_log(loaded.config, folder, view.run(loaded.config.command), output, request)
    with SweepView(output, loaded.config.command) as table:
        return run_sweep(loaded, recipe, folder, layout, table.show, request, stopwatch_of(loaded), start)


def show_plan(loaded: Loaded, layout: Layout, output: Output) -> None:
    """Measure a few steps of each arm of a sweep, and print its plan."""
    for words in loaded.words:
        output.say(words)
    jobs = plan_jobs(loaded.config)
    with RunView(output) as view:
        observer = view.run(loaded.config.command)
        observer.stage("starting TensorFlow")
        from stopcli.training.tf_setup import start_tensorflow

        start_tensorflow(layout.threads)
        # After TensorFlow, which it imports.
        from stopcli.runner.estimate import estimate, plan_summary, plan_table, total_seconds

        arms = estimate(loaded, jobs, process_age(), observer)
    output.result(plan_table(jobs, arms), plan_summary(jobs, arms, layout))
    seconds = format_duration(total_seconds(jobs, arms, layout))
    whole = "in all" if layout.workers else "one after the other; how many at a time is the cluster's to say"
    output.say(f"{counted(len(jobs), 'run')}, {layout.describe()}: about {seconds} {whole}. Nothing was trained.")


@dataclass(frozen=True)
class RunLocation:
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
    if "m" in given:
        given["m"] = parse_counts("m", given["m"])
    for name in {"policy", "vs", "stop"} & given.keys():
        given[name] = parse_words(name, given[name])
    if ctx.params.get("from_range") is not None:
        # Flags that are given win over the run.
        given = {**read_bounds(ctx.params["from_range"]), **given}
    if "init_from" in given:
        given["init_from"] = str(given["init_from"])
    return given


def run_from_options(ctx: typer.Context, command: str) -> None:
    """Run a command with the options of its context, print the result, and exit as the run ended."""
    params = ctx.params
    config = resolve(config_class(command), given_settings(ctx, command), has_gpu)
    output = Output(params["json"], params["quiet"], params["verbose"])
    if params.get("from_range") is not None and (told := mismatch(params["from_range"], config)):
        output.warn(told)
    location = RunLocation(params["runs_dir"], params["run_dir"])
    run_config(config, location, output, params["time_budget"], dry_run=params.get("dry_run", False))


def run_config(
    config: RunConfig, location: RunLocation, output: Output, time_budget: str | None, *, dry_run: bool = False
) -> None:
    """Run a checked config in a new folder. Raises typer.Exit with the exit status where it is not 0.

    Args:
        dry_run: only say what a sweep would run and how long it would take.
    """
    if location.runs_dir is not None and location.run_dir is not None:
        raise RequestError("--runs-dir and --run-dir both say where the run goes; give one of them")
    budget = _budget(time_budget)
    check_can_be_made(runs_root(location.runs_dir), location.run_dir)
    if config.init_from:
        check_model_file(model_file(Path(config.init_from)))
    config, layout = settle_layout(config)
    recipe = ModuleRecipe(config.command)
    for warning in config.warnings():
        output.warn(warning)
    # Until there is a run's folder, which has a place for them.
    with temporary_files(location.run_dir or runs_root(location.runs_dir)):
        loaded = load(config, recipe, output)
        config = loaded.config
        if layout is not None:
            recipe.check_fits(loaded, plan_jobs(config), layout)
        if dry_run and layout is not None:
            show_plan(loaded, layout, output)
            return
        if config.init_from:
            _check_warm_start(loaded)
    folder = RunFolder.create(
        root=runs_root(location.runs_dir),
        command=config.command,
        name=config.name,
        run_dir=location.run_dir,
        config=to_toml(config),
    )
    with folder:
        output.say(f"stopcli {config.command} → {folder.path}", style="bold")
        if config.scale == "quick":
            output.say("Quick scale: a smaller version of the published setting. --scale full runs the published one.")
        output.detail(to_toml(config).rstrip())
        execute(loaded, recipe, folder, Start(), output, budget, layout)


def load(config: RunConfig, recipe: Recipe, output: Output) -> Loaded:
    """Read a config's data, and tell what there is to know of them."""
    start = time.perf_counter()
    with RunView(output) as view:
        loaded = recipe.load(config, view.run(config.command))
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
    budget: float | None,
    layout: Layout | None,
) -> None:
    """Run a config in a folder that is held, print the result, and exit as the run ended.

    Args:
        layout: of a sweep, how its runs are executed.
    """
    for words in loaded.words:
        output.say(words)
    if getattr(loaded.config, "tensorboard", False):
        output.say(f"To watch it: tensorboard --logdir {folder.tensorboard if layout is None else folder.jobs}")
    with stop_on_signals(budget, on_first=lambda: _acknowledge(output)) as request, _told(folder, output):
        if layout is None:
            summary = _train(loaded, recipe, folder, start, output, request)
        else:
            output.say(f"Runs: {len(plan_jobs(loaded.config))}, {layout.describe()}.")
            summary = execute_sweep(loaded, recipe, folder, layout, start, output, request)
    _tell(loaded, folder, output, summary)
    status = {"finished": 0, "paused": 0, "failed": 1, "interrupted": request.exit_status}[summary["state"]]
    if status:
        raise typer.Exit(status)


def _budget(text: str | None) -> float | None:
    return None if text is None else parse_duration("time_budget", text)


def _acknowledge(output: Output) -> None:
    if not output.quiet:
        write_in_handler("\nSaving and leaving; once more leaves at once, without saving.\n")


@contextmanager
def _told(folder: RunFolder, output: Output) -> Iterator[None]:
    """Tell of a run that is left at once, what it leaves."""
    try:
        yield
    except StopNow as stopped:
        stopped.reported = True
        output.say(
            f"Left at once. What was saved is in {folder.path}; stopcli resume {folder.path} goes on from there."
        )
        raise


def _check_warm_start(loaded: Loaded) -> None:
    """Find out whether the named model fits, in every arm, before anything is made."""
    from stopcli.training.tf_setup import start_tensorflow

    start_tensorflow(getattr(loaded.config, "threads", None))
    from stopcli.runner.run import warm_start

    jobs = plan_jobs(loaded.config) if loaded.config.is_sweep else ()
    for config in list({job.arm: job.config for job in jobs}.values()) or [loaded.config]:
        warm_start(config, ModuleRecipe(config.command).build(replace(loaded, config=config)))


def _train(
    loaded: Loaded, recipe: Recipe, folder: RunFolder, start: Start, output: Output, request: StopRequest
) -> dict[str, Any]:
    with RunView(output) as view:
        observer = view.run(loaded.config.command)
        start_and_log(loaded.config, folder, observer, output, request)
        # After TensorFlow, which it imports.
        from stopcli.runner.run import run_one

        return run_one(loaded, recipe, folder, Session(observer, request, stopwatch_of(loaded)), start)


def _tell(loaded: Loaded, folder: RunFolder, output: Output, summary: dict[str, Any]) -> None:
    output.result(results_table(summary), summary)
    for words in words_of(summary):
        output.say(words)
    told_before = {*loaded.config.warnings(), *loaded.notes}
    for warning in summary["warnings"]:
        if warning not in told_before:
            output.warn(warning)
    for job in summary.get("jobs", ()):
        if job["reason"]:
            output.say(f"{job['name']} {job['state']}: {job['reason']}")
    if "jobs" in summary:
        output.say(f"{summary['finished']} of {counted(len(summary['jobs']), 'run')} finished.")
    seconds = "  ".join(f"{part} {spent:.1f}" for part, spent in summary["seconds"].items() if spent >= 0.05)
    output.detail(f"Seconds: {seconds}")
    output.say(f"Report, plots and models: {folder.path}")
    if summary["state"] in ("paused", "interrupted"):
        output.say(f"Go on with: stopcli resume {folder.path}")
