"""What every command that trains does: one config, one folder, one call, one result.

Imports what trains and reports; the commands import it once their options are read.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path

import typer

from stopcli.cli.console import Output
from stopcli.cli.live import RunView
from stopcli.cli.options import options_text
from stopcli.configs.base import RunConfig, to_toml
from stopcli.errors import RequestError
from stopcli.quantities import counted, format_duration, parse_duration
from stopcli.report.next_steps import next_steps
from stopcli.runner.estimate import estimate
from stopcli.runner.precision import ComparisonError, planned_cost
from stopcli.runner.run import Task, check_warm_start, execute, load_task, process_age, settle_layout
from stopcli.runs.files import temporary_files
from stopcli.runs.folder import RunFolder, check_can_be_made, runs_root
from stopcli.runs.run import run_argument
from stopcli.runs.summary import SweepSummary, TrainingSummary
from stopcli.signals import StopNow
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.model_files import check_model_file, model_file
from stopcli.training.session import Session, Stopwatch, stop_on_signals
from stopcli.training.tf_setup import start_tensorflow


def run_config(
    config: RunConfig,
    runs_dir: Path | None,
    run_dir: Path | None,
    output: Output,
    time_budget: str | None,
    *,
    dry_run: bool = False,
) -> None:
    """Run a checked config in a new folder. Raises typer.Exit with the exit status where it is not 0.

    Args:
        runs_dir, run_dir: the root that the folder's name is under, or the folder itself; None where not given.
        dry_run: only print what would be run and how long it would take.
    """
    if runs_dir is not None and run_dir is not None:
        raise RequestError("--runs-dir and --run-dir both name the run's folder; give one of them")
    budget_seconds, root = parse_time_budget(time_budget), runs_root(runs_dir)
    check_can_be_made(root, run_dir)
    if config.init_from:
        check_model_file(model_file(Path(config.init_from)))
    requested = config
    config, layout = settle_layout(config)
    for warning in config.warnings():
        output.warn(warning)
    # Until there is a run's folder, which has a place for them.
    with temporary_files(run_dir or root):
        with RunView(output, config.command) as view:
            task = load_task(config, layout, view)
        # Of the settings that the data filled in too.
        for note in dict.fromkeys((*task.config.warnings(), *task.loaded.notes)):
            if note not in config.warnings():
                output.warn(note)
        if dry_run:
            show_plan(task, output, requested, budget_seconds)
            return
        if config.init_from:
            check_warm_start(task)
    config = task.config
    folder = RunFolder.create(
        root=root, command=config.command, name=config.name, run_dir=run_dir, config=to_toml(config)
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
    for line in task.loaded.description:
        output.say(line)
    if getattr(task.config, "tensorboard", False):
        output.say(f"To follow it: tensorboard --logdir {folder.jobs if task.layout else folder.tensorboard}")
    if task.layout is not None:
        output.say(f"Runs: {_number_of_runs(task.config)}, {task.layout.describe()}.")

    view = RunView(output, task.config.command)
    with stop_on_signals(budget_seconds, view.saving) as request:
        try:
            with view:
                session = Session(view, request, Stopwatch(elapsed=process_age()))
                summary = execute(task, folder, session, view.show_jobs, output.detail)
        except StopNow as stopped:
            stopped.reported = True
            output.say("Quit without saving. To resume from the last saved state:")
            output.command(f"stopcli resume {shlex.quote(run_argument(folder.path))}")
            raise
    _print_result(task, folder, output, summary)
    exit_status = {"finished": 0, "paused": 0, "failed": 1, "interrupted": request.exit_status}[summary.state]
    if exit_status:
        raise typer.Exit(exit_status)


def _number_of_runs(config: RunConfig) -> str:
    """Of a sweep, in words."""
    most = len(plan_jobs(config))
    if not config.auto_seeds:
        return str(most)
    first = len(plan_jobs(config, config.first_round))
    return f"{first} in the first round, then a seed of each arm at a time until all is decided, at most {most}"


def show_plan(task: Task, output: Output, requested: RunConfig, budget_seconds: float | None) -> None:
    """Measure a few steps of each arm of a sweep, or of a run, and print its plan, after what of it fits into a time
    budget.

    Args:
        requested: the settings before the machine filled any in, for the command that runs what fits.
    """
    # A single run is that of one arm.
    layout = task.layout or Layout("in-process", 1, getattr(task.config, "threads", None))
    with RunView(output, task.config.command) as view:
        view.stage("starting TensorFlow")
        start_tensorflow(layout.threads)
        plan = estimate(task.loaded, layout, process_age(), view)
        cost = None
        try:
            cost = planned_cost(plan, task.loaded)
        except ComparisonError as error:
            view.note(str(error))
    summary = plan.summary(budget_seconds)
    if cost is not None:
        summary["precision"] = asdict(cost)
    if budget_seconds is None:
        output.result(plan.table(), summary)
    else:
        fits = plan.fits(budget_seconds)
        output.say(plan.answer(fits, budget_seconds), style="bold")
        fit = plan.choice(fits)
        if fit is not None:
            fitting = plan.config_of(fit)
            names = [name for name in ("m", "seeds") if hasattr(requested, name)]
            chosen = replace(requested, **{name: getattr(fitting, name) for name in names})
            budget = format_duration(budget_seconds)
            summary["budget"]["command"] = shlex.join(
                ["stopcli", *options_text(chosen, names), "--time-budget", budget]
            )
            output.say("Train just these:")
            output.command(summary["budget"]["command"])
        output.results([plan.budget_table(fits, budget_seconds), plan.table()], summary)
    for line in task.loaded.description:
        output.say(line)
    total = "at most" if task.config.auto_seeds else "in all"
    how = total if layout.workers else "one after the other; the cluster decides how many run at a time"
    runs, duration = counted(len(plan.jobs), "run"), format_duration(plan.seconds)
    output.say(f"{runs}, {layout.describe()}: about {duration} {how}. Nothing was trained.")
    if cost is not None:
        output.say(f"{cost.sentence[0].upper()}{cost.sentence[1:]}.")


def _print_result(task: Task, folder: RunFolder, output: Output, summary: TrainingSummary) -> None:
    output.summary(summary, output.say)
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
    output.suggest(next_steps(folder.path, summary.state, summary))
