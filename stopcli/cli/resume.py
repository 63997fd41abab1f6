"""`stopcli resume`, `stopcli list`, `stopcli show`: runs that exist already."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as RichTable

from stopcli.cli.console import Output, stdout_console
from stopcli.cli.list_options import parse_number_or_none, parse_words
from stopcli.cli.option_groups import with_changes
from stopcli.cli.options.output import Json, Quiet, RunsDir, TimeBudget, Verbose
from stopcli.cli.options.stopping import NEW_STOPPING
from stopcli.cli.options.sweep import HOW
from stopcli.cli.train import execute, load, settle_layout
from stopcli.errors import ConfigError, StopcliError
from stopcli.paths import parse_path
from stopcli.quantities import agreeing, format_duration, parse_duration
from stopcli.recipes.base import ModuleRecipe
from stopcli.recipes.trained import TrainedConfig
from stopcli.report.document import results_table
from stopcli.report.run_report import words_of
from stopcli.runner.resume import prepare
from stopcli.runner.resume_changes import how_to_continue, where_else
from stopcli.runs.files import dump_json, read_json, temporary_files
from stopcli.runs.folder import RunFolder, check_is_made_here, runs_root
from stopcli.runs.run import RunLine, read_runs
from stopcli.runs.shapes import missing_in_summary
from stopcli.sweeps.plan import pending_jobs, plan_jobs

Run = Annotated[Path, typer.Argument(help="A run's or a sweep's folder.", metavar="RUN", parser=parse_path)]
MoreEpochs = Annotated[
    int | None, typer.Option("--epochs", help="Train a run that ran all its epochs further, to this epoch.")
]
MovedDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="PATH|cifar10|auto",
        help="Where the data of the run, or of all runs of a sweep, lie now. The same images are the same data.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Go on although settings, versions or data have changed, and record it.")
]

RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Of a sweep, also go on with runs that failed by an error of their own.")
]


@with_changes(HOW, NEW_STOPPING)
def resume(
    run: Run,
    epochs: MoreEpochs = None,
    dataset: MovedDataset = None,
    force: Force = False,
    retry_failed: RetryFailed = False,
    time_budget: TimeBudget = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    **given: Any,
) -> None:
    """Go on with a run that was interrupted, killed, paused, or failed on a fault outside it, exactly where it was.

    A run that a rule has stopped goes on with more patience, or with other rules; `none` takes one away. They are
    replayed over the epochs on record, and the run comes out as if it had had them from its beginning; where they would
    have stopped it earlier, they are refused.
    """
    budget = None if time_budget is None else parse_duration("time_budget", time_budget)
    how = {name: value for name in HOW if (value := given.pop(name)) is not None}
    changes = _changes({"epochs": epochs, "dataset": dataset, **given})
    resumption = prepare(run, changes=changes, force=force, retry_failed=retry_failed, how=how)
    layout = settle_layout(resumption.config)[1]
    output = Output(json, quiet, verbose)
    for warning in resumption.warnings:
        output.warn(warning)
    recipe = ModuleRecipe(resumption.config.command)
    with temporary_files(run), _elsewhere(resumption.config, run, asked=dataset is not None):
        loaded = load(resumption.config, recipe, output)
    if layout is not None:
        left = pending_jobs(plan_jobs(loaded.config), run / "jobs", retry_failed=retry_failed)
        recipe.check_fits(loaded, left, layout)
    with RunFolder.reopen(run) as folder:
        point = resumption.start.point
        for warning in resumption.warnings:
            folder.log(f"warning: {warning}")
        if resumption.config.is_sweep:
            where = "with the runs that have not finished"
        elif not isinstance(resumption.config, TrainedConfig):
            where = "with the seeds that are not done"
        else:
            where = "from its beginning" if point is None else f"after epoch {point.epoch} (step {point.step})"
        output.say(f"stopcli {resumption.config.command} → {run}, resuming {where}", style="bold")
        execute(loaded, recipe, folder, resumption.start, output, budget, layout)


def _changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that options change, by name."""
    changes = {name: value for name, value in options.items() if value is not None}
    for name, kind in (("patience", int), ("baseline", float), ("threshold", float)):
        if name in changes:
            changes[name] = parse_number_or_none(name, changes[name], kind)
    if "stop" in changes:
        changes["stop"] = parse_words("stop", changes["stop"])
    return changes


@contextlib.contextmanager
def _elsewhere(config: Any, run: Path, *, asked: bool) -> Iterator[None]:
    """Say of data that cannot be read any more that their new place can be named."""
    try:
        yield
    except StopcliError as error:
        elsewhere = "" if asked or isinstance(error, ConfigError) else where_else(config, run)
        # What lies at a path may be an empty folder, where a disk is not mounted, or too large for the memory.
        if elsewhere:
            gone = Path(config.dataset).is_absolute() and not os.path.exists(config.dataset)  # noqa: PTH110
            error.hint = elsewhere if gone else f"{error.hint} {elsewhere}".lstrip()
        raise


def list_runs(runs_dir: RunsDir = None, json: Json = False) -> None:
    """List the runs there are, the newest last: state, epochs, best value, age."""
    lines = read_runs(runs_root(runs_dir))
    if json:
        print(dump_json([line.to_dict() for line in lines]))
        return
    for line in lines:
        if line.state == "damaged":
            Output().warn(f"{line.path}/{line.reason}")
    table = RichTable(header_style="bold")
    for column in ("run", "state", "epochs", "best", "age"):
        table.add_column(column, overflow="fold", justify="right" if column in ("epochs", "age") else "left")
    for line in lines:
        table.add_row(line.path.name, line.state, line.epochs, _best(line), _age(line))
    stdout_console().print(table, markup=False)


def _best(line: RunLine) -> str:
    return "–" if line.best_value is None else f"{line.monitor} {line.best_value:.4f} at {line.best_epoch}"


def show(run: Run, json: Json = False) -> None:
    """Show a run: its state, why it stopped, its results; or what a comparison or a replay found."""
    check_is_made_here(run)
    (line,) = read_runs(run.parent, only=run)
    summary = read_json(run / "summary.json")
    if json:
        print(dump_json({**line.to_dict(), "summary": summary or None}))
        return
    unit = "" if "table" in summary and "stop" not in summary else _epochs(line)
    done = f", {line.epochs}{unit}" if line.epochs != "–" else ""
    begun = f", begun {_age(line)} ago" if line.age_seconds is not None else ""
    print(f"{run}: {line.state}{done}{begun}")
    if line.reason:
        print(f"Reason: {line.reason}")
    lacking = missing_in_summary(summary) if summary else ""
    if lacking:
        print(f"Its results cannot be shown: summary.json: {lacking}")
    elif summary:
        _show_summary(summary)
    # A comparison or a replay that was ended is simply made again.
    if line.state in ("died", "paused", "interrupted", "damaged") and (run / "config.toml").is_file():
        print(f"Go on with: stopcli resume {run}")
    if line.state == "finished" and (stop := summary.get("stop")):
        print(f"stopcli resume {run} {how_to_continue(stop)}")


def _age(line: RunLine) -> str:
    return "–" if line.age_seconds is None else format_duration(line.age_seconds)


def _epochs(line: RunLine) -> str:
    return f" {agreeing(int(line.epochs.rpartition('/')[2]), 'epoch', 'epochs')}" if line.epochs != "–" else ""


def _show_summary(summary: dict[str, Any]) -> None:
    output = Output()
    output.result(results_table(summary), summary)
    for words in words_of(summary):
        print(words)
