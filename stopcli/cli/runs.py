"""`stopcli list`, `stopcli show`, `stopcli rm` and `stopcli prune`: the runs in a folder, as people keep them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stopcli.cli.console import Output, print_command, print_error, print_result
from stopcli.cli.options import Quiet, RunPath, RunPaths, RunsDir, Verbose, in_panel, parse_words
from stopcli.configs.base import Mode
from stopcli.configs.registry import COMMANDS
from stopcli.errors import ConfigError, RequestError, RunFolderError, StopcliError, printable
from stopcli.paths import quoted
from stopcli.quantities import agreeing, counted, format_age, format_bytes, parse_duration
from stopcli.report.document import Table
from stopcli.report.run_list import list_table
from stopcli.runs.ancestry import ancestry_text, recorded_ancestors
from stopcli.runs.files import dump_json, read_json
from stopcli.runs.folder import RUNS_DIR_VARIABLE, check_is_made_here, runs_root
from stopcli.runs.listing import STATES, BestValue, Order, RunFilter
from stopcli.runs.removal import (
    Kind,
    Removal,
    empty_trash,
    plan_pruning,
    plan_removal,
    remove,
    run_to_remove,
    started_from,
    sweep_around,
)
from stopcli.runs.run import Run, resolve_run, runs_in
from stopcli.signals import StopNow, stop_signals_held
from stopcli.stopping.rule import resolve_direction

RunJson = Annotated[bool, typer.Option("--json", help="Print what is known of it as JSON on stdout.")]

_which = in_panel("Which runs")

Commands = Annotated[
    list[str] | None,
    _which("--command", metavar="COMMAND …", help="Only runs of these commands, a list.", show_default="all"),
]
RunName = Annotated[
    str | None,
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
    name: RunName = None,
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
    run_filter = _filter(command, name, older_than, state, newer_than)
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
    output.result(list_table(rows, order.metric), ())
    output.say("stopcli rm RUN deletes a run, stopcli prune what finished runs need no more.")


def _filter(
    command: Sequence[str] | None,
    name: str | None,
    older_than: str | None,
    state: Sequence[str] | None = None,
    newer_than: str | None = None,
) -> RunFilter:
    """The filter of some options."""
    if name == "":
        # Such as of a variable that is not set: of all runs, `prune` would delete more than was meant.
        raise ConfigError("name", name, "a part of the runs' names, or a pattern")
    # Of a list, the word none is an empty one, which would select all.
    return RunFilter(
        commands=() if command is None else parse_words("command", command) or ("none",),
        name=name or "",
        states=() if state is None else parse_words("state", state) or ("none",),
        newer_than=None if newer_than is None else parse_duration("newer_than", newer_than),
        older_than=None if older_than is None else parse_duration("older_than", older_than),
    )


def _sorted_by(order: Order, value: BestValue | None) -> dict[str, Any]:
    """What the JSON of a run has beside what it always has, where a metric sorts."""
    if not order.metric:
        return {}
    epoch, best = value or (None, None)
    return {"sorted_by": {"metric": order.metric, "epoch": epoch, "value": best}}


def show(run: RunPath, runs_dir: RunsDir = None, json: RunJson = False) -> None:
    """Show a run: its state, why it stopped, its results; or what an analysis of runs found."""
    from stopcli.report.next_steps import next_steps

    folder = resolve_run(run, runs_root(runs_dir), analyses=True)
    check_is_made_here(folder)
    read = Run.read(folder)
    if json:
        ancestors = recorded_ancestors(read.environment)
        known = {**read.to_dict(), **({"ancestors": ancestors} if ancestors else {})}
        print(dump_json({**known, "summary": read_json(folder / "summary.json") or None}))
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
    if ancestry := ancestry_text(read.environment):
        print_result(f"Started from {ancestry}")
    if summary is not None:
        Output().summary(summary, print_result)
    for step in next_steps(folder, read.state, summary):
        print_result(f"{step.purpose}:")
        print_command(step.command, stderr=False)


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")]
RemovalJson = Annotated[bool, typer.Option("--json", help="Print what was deleted as JSON on stdout.")]


def rm(
    runs: RunPaths,
    yes: Yes = False,
    dry_run: DryRun = False,
    runs_dir: RunsDir = None,
    json: RemovalJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delete runs, sweeps and analyses of runs: the whole folder, once you have seen what goes and said yes.

    Only folders in the runs folder are deleted, and none that a process is writing. A run of a sweep is not deleted by
    itself. With --yes, the beginning of a name is not enough.
    """
    root = runs_root(runs_dir)
    removals = [plan_removal(run) for run in dict.fromkeys(run_to_remove(run, root, asks=not yes) for run in runs)]
    _delete(removals, root, Output(json, quiet, verbose), yes=yes, dry_run=dry_run)


_what = in_panel("What is deleted")

PruneStates = Annotated[
    bool,
    _what("--states", help="The saved states of finished runs, from which they are trained further. The default."),
]
PruneEpochModels = Annotated[
    bool, _what("--epoch-models", help="The models that --checkpoint-every has saved of finished runs.")
]
PruneFailed = Annotated[bool, _what("--failed", help="Whole runs that have failed, and would again.")]
PruneAnalyses = Annotated[bool, _what("--analyses", help="Whole folders of comparisons, replays and recommendations.")]
PruneRuns = Annotated[
    bool,
    _what("--runs", help="Whole runs that have finished or failed; with --older-than, --keep, --name or --command."),
]
Keep = Annotated[
    int | None, _which("--keep", help="Leave the N newest of the runs that would lose something as they are, ≥ 0.")
]


def prune(
    states: PruneStates = False,
    epoch_models: PruneEpochModels = False,
    failed: PruneFailed = False,
    analyses: PruneAnalyses = False,
    whole_runs: PruneRuns = False,
    command: Commands = None,
    name: RunName = None,
    older_than: OlderThan = None,
    keep: Keep = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    runs_dir: RunsDir = None,
    json: RemovalJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delete what runs need no more, once you have seen what goes and said yes: the saved states of finished runs.

    Such a run is listed, shown, compared and replayed as before; it can no longer be trained further. Runs that can be
    resumed, and those that a process is writing, stay as they are.
    """
    if keep is not None and keep < 0:
        raise ConfigError("keep", keep, "0 or more")
    if whole_runs and not (command or name or older_than or keep is not None):
        raise RequestError(
            "--runs: deletes whole runs, finished ones too, and nothing says which",
            hint="--older-than 30d, --keep 20, --name or --command says it.",
        )
    root = runs_root(runs_dir)
    if sweep := sweep_around(root):
        raise RunFolderError(
            f"{root}: the runs of a sweep, of which none is pruned by itself",
            hint=f"--runs-dir {quoted(sweep.parent)} names the folder that the sweep is in.",
        )
    runs = _filter(command, name, older_than).select(runs_in(root), COMMANDS)
    kinds: dict[Kind, bool] = {
        "states": states,
        "epoch-models": epoch_models,
        "failed": failed,
        "analyses": analyses,
        "runs": whole_runs,
    }
    flags = {kind for kind, is_set in kinds.items() if is_set} or {"states"}
    removals, in_use = plan_pruning(runs, flags)
    removals = removals[: max(len(removals) - (keep or 0), 0)]
    output = Output(json, quiet, verbose)
    if in_use:
        output.say(f"In use, and left as they are: {', '.join(path.name for path in in_use)}.")
    _delete(removals, root, output, yes=yes, dry_run=dry_run)


def _delete(removals: Sequence[Removal], root: Path, output: Output, *, yes: bool, dry_run: bool) -> None:
    """Show what is planned, ask, delete it run by run, and print what was deleted.

    Raises:
        RequestError: there is nobody to ask.
        typer.Exit: something could not be deleted; the status is 1.
    """
    asks = bool(removals) and not yes and not dry_run
    if asks and output.json:
        raise RequestError(
            "--json: nothing is asked where the output is for a program",
            hint="--dry-run shows what would be deleted; --yes deletes it.",
        )
    if asks and (sys.stdin is None or not sys.stdin.isatty()):
        raise RequestError(
            "nothing is deleted without asking, and stdin is not a terminal",
            hint="--dry-run shows what would be deleted; --yes deletes it.",
        )
    if removals and not output.json:
        output.result(_removal_table(removals), ())
    weights = [path for removal in removals for path in removal.weights]
    for warning in started_from(weights, root) if weights else ():
        output.warn(warning)
    if asks and not _confirmed(removals):
        output.say("Nothing was deleted.")
        return
    done: list[Removal] = []
    errors: dict[Path, StopcliError] = {}
    try:
        if not dry_run and (leftover := empty_trash(root)):
            output.say(f"{leftover}.")
        for removal in () if dry_run else removals:
            # Between two runs is time enough to stop.
            with stop_signals_held():
                try:
                    if remove(removal):
                        done.append(removal)
                except StopcliError as error:
                    errors[removal.run] = error
    except StopNow as stopped:
        stopped.reported = True
        output.say(f"Interrupted by {stopped}. {_sentence(done, removals)}")
        raise
    for failure in errors.values():
        print_error(failure.message, failure.hint)
    if output.json:
        print(dump_json(_removal_document(removals if dry_run else done, errors, dry_run=dry_run)))
    output.say("Nothing was deleted (--dry-run)." if dry_run else _sentence(done, removals))
    if errors:
        raise typer.Exit(1)


def _size(removals: Sequence[Removal]) -> int:
    return sum(removal.size for removal in removals)


def _removal_table(removals: Sequence[Removal]) -> Table:
    rows = [
        (printable(removal.run.name), removal.state, removal.what, format_bytes(removal.size)) for removal in removals
    ]
    total = (f"total of {counted(len(rows), 'run')}", "", "", format_bytes(_size(removals)))
    return Table("To be deleted", ("run", "state", "what is deleted", "size"), (*rows, total), sums=1)


def _sentence(done: Sequence[Removal], removals: Sequence[Removal]) -> str:
    if not removals:
        return "There is nothing to delete."
    number = counted(len(removals), "run")
    share = f"{len(done):,} of {number}" if len(done) < len(removals) else number
    return f"Deleted {format_bytes(_size(done))} ({share})."


def _removal_document(removals: Sequence[Removal], errors: Mapping[Path, StopcliError], *, dry_run: bool) -> Any:
    """What `--json` prints of rm and prune."""
    return {
        "dry_run": dry_run,
        "deleted": [{"path": str(r.run), "what": r.what, "bytes": r.size} for r in removals],
        "bytes": _size(removals),
        "errors": [{"path": str(run), "error": error.message} for run, error in errors.items()],
    }


def _confirmed(removals: Sequence[Removal]) -> bool:
    """Whether the user says yes on the terminal."""
    number, size = counted(len(removals), "run"), format_bytes(_size(removals))
    print(f"Delete this, {size} of {number}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
