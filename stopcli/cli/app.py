"""The commands of the `stopcli` program, and how their errors leave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from stopcli import __version__
from stopcli.cli.analyse import compare, replay, report
from stopcli.cli.cifar_resnet import cifar_resnet
from stopcli.cli.clr import clr
from stopcli.cli.console import print_error, print_traceback
from stopcli.cli.cutout_sweep import cutout_sweep
from stopcli.cli.list_options import listing
from stopcli.cli.lr_range import lr_range
from stopcli.cli.moons import moons
from stopcli.cli.reproduce import reproduce
from stopcli.cli.resume import list_runs, resume, show
from stopcli.cli.train import run
from stopcli.cli.verify import verify_resume
from stopcli.errors import ConfigError, StopcliError

app = typer.Typer(
    help="Learn when to stop training, which checkpoint to keep, and what a regulariser buys for its cost.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # A bug stays Python's own traceback, which people can paste into a report.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=listing("--stop"))(moons)
app.command("cifar-resnet", cls=listing("--stop"))(cifar_resnet)
app.command("cutout-sweep", cls=listing("--m", "--stop"))(cutout_sweep)
app.command(cls=listing("--policy", "--vs", "--stop"))(clr)
app.command("lr-range")(lr_range)
app.command()(run)
app.command()(reproduce)
app.command(cls=listing("--stop"))(resume)
app.command("list")(list_runs)
app.command()(show)
app.command()(compare)
app.command()(report)
app.command(cls=listing("--patience", "--min-delta", "--rule"))(replay)
app.command(
    "verify-resume",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)(verify_resume)


def _version(version: bool) -> None:
    if version:
        print(f"stopcli {__version__}")
        raise typer.Exit


@app.callback()
def stopcli(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Learn when to stop training, which checkpoint to keep, and what a regulariser buys for its cost.

    Every command leaves a run folder with its metrics, plots, models and a report.
    """


def run_program(args: Sequence[str]) -> int:
    """Run a command line, and print its error where there is one. Returns the exit status."""
    try:
        app(args=list(args), prog_name="stopcli")
    except StopcliError as error:
        message = error.as_flag() if isinstance(error, ConfigError) else error.message
        print_error(message, error.hint)
        print_traceback()
        return error.exit_status
    except SystemExit as exited:
        return int(exited.code or 0)
    return 0
