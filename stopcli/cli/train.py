"""`stopcli run`, and what every command that trains does: options to one config, one call, one result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stopcli.cli.console import Output, RunView
from stopcli.cli.list_options import parse_counts, parse_words
from stopcli.cli.options.output import Json, Quiet, RunDir, RunsDir, TimeBudget, Verbose
from stopcli.configs.base import RunConfig, resolve, setting_names, to_toml
from stopcli.configs.lr_range import mismatch, read_bounds
from stopcli.errors import ConfigError, RequestError
from stopcli.paths import parse_path
from stopcli.quantities import counted, format_duration, parse_duration
from stopcli.recipes.base import config_class
from stopcli.report.run_report import results_table, sentences_of
from stopcli.runs.files import read_toml, temporary_files
from stopcli.runs.folder import RunFolder, check_can_be_made, runs_root
from stopcli.runs.summary import SweepSummary, TrainingSummary
from stopcli.signals import StopNow, write_in_handler
from stopcli.training.model_files import check_model_file, model_file
from stopcli.training.session import Session, stop_on_signals
from stopcli.training.tf_setup import has_gpu, start_tensorflow

if TYPE_CHECKING:
    from stopcli.runner.run import Task


ConfigFile = Annotated[
    Path,
    typer.Argument(help="A config.toml: a run's own, or one written by hand.", metavar="CONFIG", parser=parse_path),
]


@dataclass(frozen=True)
class RunLocation:
    """Where a run's folder goes: a name under a root, or the folder itself."""

    runs_dir: Path | None = None
    run_dir: Path | None = None


def settings_from_options(ctx: typer.Context, command: str) -> dict[str, Any]:
    """The settings that were given on the command line, by name: they win over the scale."""
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


def run(
    config_file: ConfigFile,
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    time_budget: TimeBudget = None,
) -> None:
    """Run a config file: `command` and any of its settings, the others at their default."""
    settings = read_toml(config_file)
    if "command" not in settings and "arms" in settings and "config" in settings:
        raise RequestError(
            f"{config_file}: a published result's file, not a run's config", hint=f"stopcli reproduce {config_file}"
        )
    if "command" not in settings:
        raise RequestError(f"{config_file}: has no command", hint='Its first line should be: command = "moons"')
    try:
        config = resolve(config_class(settings.pop("command")), settings, has_gpu)
    except ConfigError as error:
        raise RequestError(f"{config_file}: {error.message}", hint=error.hint) from None
    run_config(config, RunLocation(runs_dir, run_dir), Output(json, quiet, verbose), time_budget)


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
    # After what needs no time to be refused.
    from stopcli.runner.run import check_warm_start, load_task, settle_layout

    config, layout = settle_layout(config)
    for warning in config.warnings():
        output.warn(warning)
    # Until there is a run's folder, which has a place for them.
    with temporary_files(location.run_dir or root):
        with RunView(output, config.command) as view:
            task = load_task(config, layout, view)
        for note in task.loaded.notes:
            output.warn(note)
        if dry_run and layout is not None:
            show_plan(task, output)
            return
        if config.init_from:
            check_warm_start(task)
    config = task.config
    folder = RunFolder.create(
        root=root, command=config.command, name=config.name, run_dir=location.run_dir, config=to_toml(config)
    )
    with folder:
        output.say(f"stopcli {config.command} → {folder.path}", style="bold")
        if config.scale == "quick":
            output.say("Quick scale: a smaller version of the published setting. --scale full runs the published one.")
        output.detail(to_toml(config).rstrip())
        execute_task(task, folder, output, budget_seconds)


def parse_time_budget(text: str | None) -> float | None:
    """The seconds of --time-budget; None where it is not given."""
    return None if text is None else parse_duration("time_budget", text)


def execute_task(task: Task, folder: RunFolder, output: Output, budget_seconds: float | None) -> None:
    """Execute a new or a resumed task in a folder that is held, print the result, and exit as it ended."""
    from stopcli.runner.run import execute, stopwatch_since_start
    from stopcli.sweeps.plan import plan_jobs

    for line in task.loaded.description:
        output.say(line)
    if getattr(task.config, "tensorboard", False):
        output.say(f"To follow it: tensorboard --logdir {folder.jobs if task.layout else folder.tensorboard}")
    if task.layout is not None:
        output.say(f"Runs: {len(plan_jobs(task.config))}, {task.layout.describe()}.")

    def on_first_signal() -> None:
        if not output.quiet:
            write_in_handler("\nSaving. Press Ctrl-C again to quit without saving.\n")

    with stop_on_signals(budget_seconds, on_first_signal) as request:
        try:
            with RunView(output, task.config.command) as view:
                session = Session(view, request, stopwatch_since_start())
                summary = execute(task, folder, session, view.show_jobs, output.detail)
        except StopNow as stopped:
            stopped.reported = True
            output.say(f"Quit without saving. To resume from the last saved state: stopcli resume {folder.path}")
            raise
    _print_result(task, folder, output, summary)
    exit_status = {"finished": 0, "paused": 0, "failed": 1, "interrupted": request.exit_status}[summary.state]
    if exit_status:
        raise typer.Exit(exit_status)


def show_plan(task: Task, output: Output) -> None:
    """Measure a few steps of each arm of a sweep, and print its plan."""
    from stopcli.runner.run import process_age

    layout = task.layout
    assert layout is not None, "only sweeps have a plan"
    for line in task.loaded.description:
        output.say(line)
    with RunView(output, task.config.command) as view:
        view.stage("starting TensorFlow")
        start_tensorflow(layout.threads)
        # After TensorFlow, which it imports.
        from stopcli.runner.estimate import estimate

        plan = estimate(task.loaded, layout, process_age(), view)
    output.result(plan.table(), plan.summary())
    how = "in all" if layout.workers else "one after the other; the cluster decides how many run at a time"
    runs, duration = counted(len(plan.jobs), "run"), format_duration(plan.seconds)
    output.say(f"{runs}, {layout.describe()}: about {duration} {how}. Nothing was trained.")


def _print_result(task: Task, folder: RunFolder, output: Output, summary: TrainingSummary) -> None:
    from stopcli.runner.resume_changes import next_step

    output.result(results_table(summary), summary)
    for sentence in sentences_of(summary):
        output.say(sentence)
    printed = {*task.config.warnings(), *task.loaded.notes}
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
