"""`stopcli list` and `stopcli show`: the runs in a folder."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stopcli.cli.console import Output, print_command, print_result
from stopcli.cli.options import RunPath, RunsDir, in_panel, parse_words
from stopcli.configs.base import Mode
from stopcli.configs.registry import COMMANDS
from stopcli.quantities import agreeing, counted, format_age, format_bytes, parse_duration
from stopcli.report.document import Table
from stopcli.runs.files import dump_json, read_json
from stopcli.runs.folder import RUNS_DIR_VARIABLE, check_is_made_here, runs_root
from stopcli.runs.listing import STATES, BestValue, Order, RunFilter
from stopcli.runs.run import Run, resolve_run, runs_in
from stopcli.stopping.rule import resolve_direction

RunJson = Annotated[bool, typer.Option("--json", help="Print what is known of it as JSON on stdout.")]

_which = in_panel("Which runs")

Commands = Annotated[
    list[str] | None,
    _which("--command", metavar="COMMAND …", help="Only runs of these commands, a list.", show_default="all"),
]
RunName = Annotated[
    str,
    _which("--name", metavar="TEXT", help="Only runs with this in their names; or a pattern, such as '*-night'."),
]
States = Annotated[
    list[str] | None,
    _which("--state", metavar="STATE …", help=f"Only runs in these states, a list: {', '.join(STATES)}."),
]
NewerThan = Annotated[
    str | None, _which(metavar="TIME", help="Only runs that were started, or last resumed, within this time (7d, 12h).")
]
OlderThan = Annotated[
    str | None, _which(metavar="TIME", help="Only runs that were started, or last resumed, before that (30d).")
]
Sort = Annotated[
    str,
    typer.Option(
        metavar="COLUMN",
        help=f"{', '.join(Order.COLUMNS)}, or a metric, such as val_loss: its best epoch, the best run first.",
    ),
]
SortMode = Annotated[
    Mode, typer.Option("--mode", help="Whether a metric is better when lower (min) or higher (max); auto: by its name.")
]
Reverse = Annotated[bool, typer.Option("--reverse", help="The other way round.")]


def list_runs(
    command: Commands = None,
    name: RunName = "",
    state: States = None,
    newer_than: NewerThan = None,
    older_than: OlderThan = None,
    sort: Sort = "started",
    mode: SortMode = "auto",
    reverse: Reverse = False,
    runs_dir: RunsDir = None,
    json: RunJson = False,
) -> None:
    """List the runs, newest last: state, epochs, best value, size on disk, age."""
    run_filter = RunFilter(
        commands=() if command is None else parse_words("command", command),
        name=name,
        states=() if state is None else parse_words("state", state),
        newer_than=None if newer_than is None else parse_duration("newer_than", newer_than),
        older_than=None if older_than is None else parse_duration("older_than", older_than),
    )
    order = Order(sort, reverse, None if mode == "auto" else resolve_direction(sort, mode))
    root, output = runs_root(runs_dir), Output(json)
    runs = runs_in(root)
    rows = order.sort(run_filter.select(runs, COMMANDS))
    if json:
        print(dump_json([{**run.to_dict(), **_sorted_by(order, value)} for run, value in rows]))
        return
    if not rows:
        excluded = f"None of the {counted(len(runs), 'run')} in {root} is of that kind." if runs else ""
        output.say(excluded or f"No runs in {root}; --runs-dir or {RUNS_DIR_VARIABLE} names another folder.")
        return
    for run, _ in rows:
        if run.damage:
            output.warn(f"{run.path}/{run.damage}")
    output.result(_table(rows, order.metric), ())


def _sorted_by(order: Order, value: BestValue | None) -> dict[str, Any]:
    """What the JSON of a run has beside what it always has, where a metric sorts."""
    if not order.metric:
        return {}
    epoch, best = value or (None, None)
    return {"sorted_by": {"metric": order.metric, "epoch": epoch, "value": best}}


def _table(runs: list[tuple[Run, BestValue | None]], metric: str) -> Table:
    """A row for each run, and their size in all. Where all have the same monitor, it is named above its column."""
    monitors = {metric} if metric else {run.results.monitor for run, _ in runs if run.results}
    single = monitors.pop() if len(monitors) == 1 else ""
    rows = []
    for run, value in runs:
        best, monitor = value, ""
        if not metric and run.results and run.results.stop.best_value is not None:
            best = BestValue(run.results.stop.best_epoch, run.results.stop.best_value)
            monitor = "" if single else f"{run.results.monitor} "
        cell = "–" if best is None else f"{monitor}{_number(best.value)} at {best.epoch}"
        age = "–" if run.age_seconds is None else format_age(run.age_seconds)
        rows.append((run.path.name, run.state, run.progress, cell, format_bytes(run.bytes_on_disk), age))
    size = format_bytes(sum(run.bytes_on_disk for run, _ in runs))
    total = (f"total of {counted(len(runs), 'run')}", "", "", "", size, "")
    return Table("Runs", ("run", "state", "epochs", f"best {single}".rstrip(), "size", "age"), (*rows, total), sums=1)


def _number(value: float) -> str:
    """Four decimals, or as many digits of what is very large or small."""
    return f"{value:.4f}" if 0.001 <= abs(value) < 10_000 or not value else f"{value:.5g}"


def show(run: RunPath, runs_dir: RunsDir = None, json: RunJson = False) -> None:
    """Show a run: its state, why it stopped, its results; or what a comparison or a replay found."""
    from stopcli.report.next_steps import next_steps

    folder = resolve_run(run, runs_root(runs_dir), analyses=True)
    check_is_made_here(folder)
    read = Run.read(folder)
    if json:
        print(dump_json({**read.to_dict(), "summary": read_json(folder / "summary.json") or None}))
        return
    results, summary = read.results, read.summary
    epochs = f", {read.progress}" if read.progress != "–" else ""
    # The other summaries name their unit.
    if epochs and (results or summary is None):
        epochs += f" {agreeing(int(read.progress.rpartition('/')[2]), 'epoch', 'epochs')}"
    age = f", started {format_age(read.age_seconds)} ago" if read.age_seconds is not None else ""
    print_result(f"{folder}: {read.state}{epochs}{age}")
    if read.reason:
        print_result(f"Reason: {read.reason}")
    if summary is not None:
        Output().summary(summary, print_result)
    for step in next_steps(folder, read.state, summary):
        print_result(f"{step.purpose}:")
        print_command(step.command, stderr=False)
