"""`stopcli verify-resume`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stopcli.cli.console import Output
from stopcli.cli.options.output import Quiet
from stopcli.counts import counted
from stopcli.errors import ConfigError, RequestError
from stopcli.report.tables import Table
from stopcli.signals import StopNow

if TYPE_CHECKING:
    from stopcli.recipes.verifying import Verification

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
Json = Annotated[bool, typer.Option("--json", help="Print the kills and what differs as JSON alone on stdout.")]


def verify_resume(
    command: Command = None, kills: Kills = 10, seed: MomentSeed = 0, json: Json = False, quiet: Quiet = False
) -> None:
    """Find out on this machine whether killed runs come out the same: kill, resume, compare to the bit.

    Trains a command uninterrupted, then again under SIGKILLs at random moments (many of them while a state is being
    saved), resumed each time, until there were enough kills. Weights, optimizer slots, metrics, rules and every saved
    model are compared. After the options comes the command, with its own options; without one, a small `moons`.
    """
    if kills < 1:
        raise ConfigError("kills", kills, "1 or more")
    words = command or SMALL.split()
    taken = {"--run-dir", "--runs-dir", "--seeds"} & set(words)
    if taken:
        raise RequestError(
            f"{sorted(taken)[0]} cannot be used here: verify-resume chooses the folders, one run at a time"
        )
    if not hasattr(os, "fork"):
        raise RequestError("verify-resume needs an operating system that can fork processes")
    from stopcli.recipes.verifying import Verifier

    output = Output(json, quiet)
    output.say(f"Command: stopcli {' '.join(words)}")
    try:
        folder = Path(tempfile.mkdtemp(prefix="stopcli-verify-resume-"))
    except FileNotFoundError:
        raise RequestError(
            "verify-resume needs a folder for temporary files, and the system has none", hint="TMPDIR can name one."
        ) from None
    result = None
    try:
        with contextlib.closing(Verifier(words, run_quietly, folder, seed).verify(kills)) as results:
            for result in results:
                differing = sum(map(bool, result.differences))
                ended = f"{counted(len(result.differences), 'run')} ended, {differing} differ"
                output.say(f"{len(result.kills)} of {counted(kills, 'kill')}, {ended}")
    except StopNow:
        if result is None or not any(result.differences):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            output.say(f"The runs are kept in {folder}")
        raise
    assert result is not None, "kills ≥ 1"
    output.result(_kills_table(result), _summary(words, result, folder))
    if not json:
        _print_runs(result, folder)
    if not result.identical:
        raise typer.Exit(1)
    shutil.rmtree(folder)


def _print_runs(result: Verification, folder: Path) -> None:
    for number, differences in enumerate(result.differences, start=1):
        print(f"run {number}: " + ("identical" if not differences else "DIFFERS in " + ", ".join(differences)))
    if result.identical:
        of = f"{counted(len(result.kills), 'kill')}, {counted(len(result.differences), 'run')}"
        print(f"{of}: every result is identical to the bit.")
    else:
        print(f"The runs are kept in {folder}")


def _kills_table(result: Verification) -> Table:
    rows = []
    for i, kill in enumerate(result.kills, start=1):
        position = (str(kill.epoch), str(kill.step)) if kill.step else ("(begun again)", "")
        rows.append((str(i), str(kill.run), kill.moment, *position))
    return Table("Kills", ("kill", "run", "while", "resumed after epoch", "after step"), tuple(rows))


def _summary(words: list[str], result: Verification, folder: Path) -> dict[str, Any]:
    """What --json prints."""
    return {
        "command": "verify-resume",
        "verified": words,
        "identical": result.identical,
        "kills": [asdict(kill) for kill in result.kills],
        "runs": [
            {"run": number, "differences": differences}
            for number, differences in enumerate(result.differences, start=1)
        ],
        # Where runs differ, they are kept to be looked at.
        "runs_dir": None if result.identical else str(folder),
    }


def run_quietly(words: list[str], log: Path) -> None:
    """Run the program with what it says in a file. Called in a process of its own."""
    from stopcli.cli.main import main

    if not log.parent.is_dir():
        # verify-resume was interrupted before the server that begins this process had imported TensorFlow.
        return
    # The descriptors: TensorFlow writes to them directly.
    with log.open("ab") as said:
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
    sys.argv = ["stopcli", *words]
    main()
