"""`stopcli resume` and `stopcli verify-resume`."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from stopcli.cli.console import Output
from stopcli.cli.live import RunView
from stopcli.cli.options import (
    CodePath,
    Json,
    Quiet,
    RunPath,
    RunsDir,
    TimeBudget,
    Verbose,
    in_panel,
    setting_value,
    with_changes,
)
from stopcli.configs.base import settings_with
from stopcli.configs.images import ImageConfig
from stopcli.configs.registry import COMMANDS, config_class
from stopcli.errors import ConfigError, RequestError, RunFolderError, StopcliError, did_you_mean, shown
from stopcli.quantities import counted
from stopcli.runs.files import temporary_files
from stopcli.runs.folder import RunFolder, runs_root
from stopcli.runs.run import resolve_run
from stopcli.signals import StopNow, stop_signals_held

MoreEpochs = Annotated[
    int | None, typer.Option("--epochs", help="For a run that trained all its epochs: train on, to this epoch.")
]
MovedDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="PATH|cifar10|auto",
        help="Where the data are now, if they were moved. They must be the same images.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Resume although settings, versions or data have changed, and record the change."),
]
MaxSeeds = Annotated[
    int | None,
    in_panel("Sweep")(help="Of a sweep with --seeds auto: most seeds of each arm."),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="In a sweep, also resume the runs that failed.")]


@with_changes(ImageConfig, "layout", "stopping")
def resume(
    run: RunPath,
    epochs: MoreEpochs = None,
    dataset: MovedDataset = None,
    code: CodePath = None,
    force: Force = False,
    retry_failed: RetryFailed = False,
    max_seeds: MaxSeeds = None,
    time_budget: TimeBudget = None,
    runs_dir: RunsDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    **options: Any,
) -> None:
    """Resume a run that was interrupted, killed or paused, or failed for an outside reason, where it stopped.

    A run that a rule has stopped continues with more patience, or with other rules; `none` takes one away. They are
    replayed over its recorded epochs, and the run comes out as if it had had them from its start; rules that would have
    stopped it earlier are refused.
    """
    # After parsing: --help need not know how runs are resumed.
    from stopcli.cli.execute import execute_task, parse_time_budget
    from stopcli.recipes.recorded_code import hinting_at_folder
    from stopcli.runner.resume import prepare
    from stopcli.runner.run import load_task, settle_layout

    budget_seconds = parse_time_budget(time_budget)
    run = resolve_run(run, runs_root(runs_dir))
    options = {name: setting_value(ImageConfig, name, value) for name, value in options.items() if value is not None}
    layout_names = settings_with(ImageConfig, "layout")
    how = {name: options.pop(name) for name in list(options) if name in layout_names}
    how |= {} if max_seeds is None else {"max_seeds": max_seeds}
    named = {"epochs": epochs, "dataset": dataset}
    changes = {**{name: value for name, value in named.items() if value is not None}, **options}
    position = _position(run)
    resumption = prepare(run, changes=changes, force=force, retry_failed=retry_failed, how=how, code=code)
    config, start = resumption.config, resumption.start
    layout = settle_layout(config)[1]
    output = Output(json, quiet, verbose)
    for warning in resumption.warnings:
        output.warn(warning)
    with (
        temporary_files(run),
        _hint_at_moved_data(config, run, named=dataset is not None),
        hinting_at_folder(run),
        RunView(output, config.command) as view,
    ):
        task = load_task(config, layout, view, start, run)
    for note in task.loaded.notes:
        output.warn(note)
    with RunFolder.reopen(run) as folder:
        if _position(run) != position:
            # Another process held it until now, and has trained on from where this one would begin.
            raise RunFolderError(f"{run} has gone on while its data were read", hint="Resume it again.")
        for warning in resumption.warnings:
            folder.log(f"warning: {warning}")
        output.say(f"stopcli {config.command} → {run}, resuming {resumption.where}", style="bold")
        execute_task(task, folder, output, budget_seconds)


def _position(run: Path) -> tuple[bytes, list[str]]:
    """How far a run is: what its status.json says, and the names of its saved states."""
    from stopcli.training.state_file import StateStore

    status = run / "status.json"
    states = StateStore(run / "checkpoints" / "resume").files()
    return status.read_bytes() if status.is_file() else b"", [path.name for path in states]


@contextlib.contextmanager
def _hint_at_moved_data(config: Any, run: Path, *, named: bool) -> Iterator[None]:
    """Add to errors of reading the data how their new place can be named.

    Args:
        named: whether it was named already.
    """
    try:
        yield
    except StopcliError as error:
        from stopcli.runner.provenance import where_else

        hint = "" if named or isinstance(error, ConfigError) else where_else(config, run)
        # What lies at a path may be an empty folder, where a disk is not mounted, or too large for the memory.
        if hint:
            path = Path(getattr(config, config.data_setting))
            gone = path.is_absolute() and not path.exists()
            error.hint = hint if gone else f"{error.hint} {hint}".lstrip()
        raise


# Several batches an epoch, patience with min_delta, kept epochs, and a state every thousand epochs: about two seconds
# of training with some thirty saves in them.
SMALL = (
    "moons --batch-size 8 --epochs 40000 --patience 30000 --min-delta 0.001 --checkpoint-every 10000 --save-every 1000 "
    "--quiet"
)

Command = Annotated[
    list[str] | None,
    typer.Argument(help="A command that trains, with its options.", metavar="COMMAND", show_default="a small moons"),
]
Kills = Annotated[int, typer.Option(help="Number of kills, ≥ 1.")]
MomentSeed = Annotated[int, typer.Option("--seed", help="Seed of the random moments of the kills.")]
VerifyJson = Annotated[bool, typer.Option("--json", help="Print only the kills and what differs, as JSON on stdout.")]


def verify_resume(
    command: Command = None, kills: Kills = 10, seed: MomentSeed = 0, json: VerifyJson = False, quiet: Quiet = False
) -> None:
    """Check on this machine that killed and resumed runs end the same: kill, resume, compare to the bit.

    Trains a command without interruption, then again under SIGKILLs at random moments (many of them while a state is
    being saved), resumed each time, until there were enough kills. Weights, optimizer slots, metrics, rules and every
    saved model are compared. After the options comes the command, with its own options; without one, a small `moons`.
    """
    if kills < 1:
        raise ConfigError("kills", kills, "1 or more")
    argv, output = command or SMALL.split(), Output(json, quiet)
    _check_trains_single_run(argv, output)
    if not hasattr(os, "fork"):
        raise RequestError("verify-resume needs an operating system that can fork processes")
    from stopcli.runner.verify import Verification, Verifier

    output.say(f"Command: stopcli {shlex.join(argv)}")
    folder: Path | None = None
    result = Verification()
    try:
        # A signal that comes as soon as the folder exists is handled below, which takes it away.
        with stop_signals_held():
            folder = _temporary_folder()
        with contextlib.closing(Verifier(argv, run_quietly, folder, seed).verify(kills)) as results:
            for result in results:
                runs = f"{counted(len(result.differences), 'run')} ended, {sum(map(bool, result.differences))} differ"
                output.say(f"{len(result.kills)} of {counted(kills, 'kill')}, {runs}")
    except RequestError:
        # Nothing was trained.
        _remove(folder)
        raise
    except StopNow:
        if any(result.differences):
            output.say(f"The runs are kept in {folder}")
        else:
            _remove(folder)
        raise
    # Runs that differ are kept so that they can be looked at.
    runs_dir = None if result.identical else str(folder)
    output.result(
        result.table(), {"command": "verify-resume", "verified": argv, **result.to_dict(), "runs_dir": runs_dir}
    )
    if not json:
        for number, names in enumerate(result.differences, start=1):
            print(f"run {number}: " + (f"DIFFERS in {', '.join(names)}" if names else "identical"))
        total = f"{counted(len(result.kills), 'kill')}, {counted(len(result.differences), 'run')}"
        print(f"The runs are kept in {folder}" if runs_dir else f"{total}: every result is identical to the bit.")
    if runs_dir:
        raise typer.Exit(1)
    shutil.rmtree(folder)


def _check_trains_single_run(argv: list[str], output: Output) -> None:
    """Raise RequestError where a command line is not that of a run, as far as that is known without its data."""
    from stopcli.cli.app import load_command
    from stopcli.cli.train import config_file_of, config_from_file, config_from_options

    reserved = {word.partition("=")[0] for word in argv} & {"--run-dir", "--runs-dir", "--seeds"}
    if reserved:
        raise RequestError(f"{min(reserved)}: not allowed here; verify-resume trains single runs in its own folder")
    name, *options = argv
    commands = [*(training for training, classes in COMMANDS.items() if classes.summary), "run"]
    if name not in commands:
        raise RequestError(
            f"received {shown(name)}, expected a command that trains a single run: moons, cifar-resnet, fit or run",
            hint=did_you_mean(name, commands),
        )
    context: Any = load_command(name).make_context(f"stopcli {name}", options)
    if name == "run":
        root, file = runs_root(None), context.params["config_file"]
        config = config_from_file(config_file_of(file, root, output), context.params["settings"] or (), root)
    else:
        config = config_from_options(context, config_class(name), output)
    if config.is_sweep or config.command == "lr-range":
        raise RequestError(f"{shlex.join(argv)}: not a single training run, which verify-resume kills and resumes")


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="stopcli-verify-resume-"))
    except FileNotFoundError:
        raise RequestError(
            "verify-resume needs a folder for temporary files, and the system has none", hint="TMPDIR can name one."
        ) from None


def run_quietly(argv: list[str], log: Path) -> None:
    """Run the program with its output in a file. Called in a process of its own."""
    from stopcli.cli.main import main

    if not log.parent.is_dir():
        # verify-resume was interrupted before the server that starts this process had imported TensorFlow.
        return
    # The descriptors: TensorFlow writes to them directly.
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.argv = ["stopcli", *argv]
    main()
