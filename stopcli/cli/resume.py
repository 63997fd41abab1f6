"""`stopcli resume`, `stopcli list`, `stopcli show`: runs that already exist."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as RichTable

from stopcli.cli.console import Output, RunView, console
from stopcli.cli.options import Json, Quiet, RunsDir, TimeBudget, Verbose, setting_value, with_changes
from stopcli.configs.images import ImageConfig
from stopcli.configs.options import settings_with
from stopcli.errors import ConfigError, StopcliError
from stopcli.paths import parse_path
from stopcli.quantities import agreeing, format_duration
from stopcli.runs.files import dump_json, read_json, temporary_files
from stopcli.runs.folder import RunFolder, check_is_made_here, runs_root
from stopcli.runs.run import Run, runs_in

RunPath = Annotated[Path, typer.Argument(help="A run's or a sweep's folder.", metavar="RUN", parser=parse_path)]
MoreEpochs = Annotated[
    int | None, typer.Option("--epochs", help="Train a run that trained all its epochs further, to this epoch.")
]
MovedDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="PATH|cifar10|auto",
        help="Where the data of the run, or of all runs of a sweep, are now. The same images are the same data.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Resume although settings, versions or data have changed, and record the change."),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Of a sweep, also resume runs that failed by an error of their own.")
]


@with_changes(ImageConfig, "layout", "stopping")
def resume(
    run: RunPath,
    epochs: MoreEpochs = None,
    dataset: MovedDataset = None,
    force: Force = False,
    retry_failed: RetryFailed = False,
    time_budget: TimeBudget = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Resume a run that was interrupted, killed, paused, or failed for a reason outside it, exactly where it was.

    A run that a rule has stopped continues with more patience, or with other rules; `none` takes one away. They are
    replayed over its recorded epochs, and the run comes out as if it had had them from its start; rules that would have
    stopped it earlier are refused.
    """
    # After parsing: --help need not know how runs are resumed.
    from stopcli.cli.execute import execute_task, parse_time_budget
    from stopcli.runner.resume import prepare
    from stopcli.runner.run import load_task, settle_layout

    budget_seconds = parse_time_budget(time_budget)
    options = {name: setting_value(ImageConfig, name, value) for name, value in options.items() if value is not None}
    layout_names = settings_with(ImageConfig, "layout")
    how = {name: options.pop(name) for name in list(options) if name in layout_names}
    named = {"epochs": epochs, "dataset": dataset}
    changes = {**{name: value for name, value in named.items() if value is not None}, **options}
    resumption = prepare(run, changes=changes, force=force, retry_failed=retry_failed, how=how)
    config, start = resumption.config, resumption.start
    layout = settle_layout(config)[1]
    output = Output(json, quiet, verbose)
    for warning in resumption.warnings:
        output.warn(warning)
    with (
        temporary_files(run),
        _hint_at_moved_data(config, run, named=dataset is not None),
        RunView(output, config.command) as view,
    ):
        task = load_task(config, layout, view, start, run)
    for note in task.loaded.notes:
        output.warn(note)
    with RunFolder.reopen(run) as folder:
        for warning in resumption.warnings:
            folder.log(f"warning: {warning}")
        output.say(f"stopcli {config.command} → {run}, resuming {resumption.where}", style="bold")
        execute_task(task, folder, output, budget_seconds)


@contextlib.contextmanager
def _hint_at_moved_data(config: Any, run: Path, *, named: bool) -> Iterator[None]:
    """Add to errors of reading the data how their new place can be named.

    Args:
        named: whether it was named already.
    """
    try:
        yield
    except StopcliError as error:
        from stopcli.runner.resume_changes import where_else

        hint = "" if named or isinstance(error, ConfigError) else where_else(config, run)
        # What lies at a path may be an empty folder, where a disk is not mounted, or too large for the memory.
        if hint:
            gone = Path(config.dataset).is_absolute() and not os.path.exists(config.dataset)  # noqa: PTH110
            error.hint = hint if gone else f"{error.hint} {hint}".lstrip()
        raise


def list_runs(runs_dir: RunsDir = None, json: Json = False) -> None:
    """List the runs there are, the newest last: state, epochs, best value, age."""
    runs = runs_in(runs_root(runs_dir))
    if json:
        print(dump_json([run.to_dict() for run in runs]))
        return
    table = RichTable(header_style="bold")
    for column in ("run", "state", "epochs", "best", "age"):
        table.add_column(column, overflow="fold", justify="right" if column in ("epochs", "age") else "left")
    for run in runs:
        if run.damage:
            Output().warn(f"{run.path}/{run.damage}")
        stop, best = run.results and run.results.stop, "–"
        if run.results and stop and stop.best_value is not None:
            best = f"{run.results.monitor} {stop.best_value:.4f} at {stop.best_epoch}"
        table.add_row(run.path.name, run.state, run.progress, best, _age(run))
    console(stderr=False).print(table, markup=False)


def show(folder: RunPath, json: Json = False) -> None:
    """Show a run: its state, why it stopped, its results; or what a comparison or a replay found."""
    from stopcli.report.run_report import results_table, sentences_of
    from stopcli.runner.resume_changes import next_step

    check_is_made_here(folder)
    run = Run.read(folder)
    if json:
        print(dump_json({**run.to_dict(), "summary": read_json(folder / "summary.json") or None}))
        return
    results, summary = run.results, run.summary
    epochs = f", {run.progress}" if run.progress != "–" else ""
    # The other summaries name their unit.
    if epochs and (results or summary is None):
        epochs += f" {agreeing(int(run.progress.rpartition('/')[2]), 'epoch', 'epochs')}"
    age = f", started {_age(run)} ago" if run.age_seconds is not None else ""
    print(f"{folder}: {run.state}{epochs}{age}")
    if run.reason:
        print(f"Reason: {run.reason}")
    if summary is not None:
        Output().result(results_table(summary), summary)
        for sentence in sentences_of(summary):
            print(sentence)
    # A comparison or a replay that was ended is simply made again.
    if (folder / "config.toml").is_file() and (step := next_step(folder, run.state, results.stop if results else None)):
        print(step)


def _age(run: Run) -> str:
    return "–" if run.age_seconds is None else format_duration(run.age_seconds)
