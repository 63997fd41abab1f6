"""`stopcli verify-resume`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.console import Output
from stopcli.cli.options import Quiet
from stopcli.errors import ConfigError, RequestError
from stopcli.quantities import counted
from stopcli.signals import StopNow

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
Kills = Annotated[int, typer.Option(help="How often to kill, ≥ 1.")]
MomentSeed = Annotated[int, typer.Option("--seed", help="Seed of the moments at which to kill.")]
Json = Annotated[bool, typer.Option("--json", help="Print only the kills and what differs, as JSON on stdout.")]


def verify_resume(
    command: Command = None, kills: Kills = 10, seed: MomentSeed = 0, json: Json = False, quiet: Quiet = False
) -> None:
    """Check on this machine that killed runs come out the same: kill, resume, compare to the bit.

    Trains a command without interruption, then again under SIGKILLs at random moments (many of them while a state is
    being saved), resumed each time, until there were enough kills. Weights, optimizer slots, metrics, rules and every
    saved model are compared. After the options comes the command, with its own options; without one, a small `moons`.
    """
    if kills < 1:
        raise ConfigError("kills", kills, "1 or more")
    argv = command or SMALL.split()
    reserved = {"--run-dir", "--runs-dir", "--seeds"} & set(argv)
    if reserved:
        raise RequestError(
            f"{sorted(reserved)[0]}: not allowed here; verify-resume trains single runs in its own folder"
        )
    if not hasattr(os, "fork"):
        raise RequestError("verify-resume needs an operating system that can fork processes")
    from stopcli.runner.verify import Verification, Verifier

    output = Output(json, quiet)
    output.say(f"Command: stopcli {' '.join(argv)}")
    folder, result = _temporary_folder(), Verification()
    try:
        with contextlib.closing(Verifier(argv, run_quietly, folder, seed).verify(kills)) as results:
            for result in results:
                runs = f"{counted(len(result.differences), 'run')} ended, {sum(map(bool, result.differences))} differ"
                output.say(f"{len(result.kills)} of {counted(kills, 'kill')}, {runs}")
    except StopNow:
        if any(result.differences):
            output.say(f"The runs are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
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
