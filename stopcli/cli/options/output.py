"""Options for a run's folder, and for what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.console import show_tracebacks
from stopcli.cli.option_groups import Group, WithDefault
from stopcli.config import Scale

PANEL = "Run and output"

TimeBudget = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Pause after this time (90s, 45m, 2h30m) with everything saved; `stopcli resume` goes on.",
        show_default="no limit",
        rich_help_panel=PANEL,
    ),
]
Name = Annotated[
    str,
    typer.Option(help="A name for the run, a part of its folder's.", show_default=False, rich_help_panel=PANEL),
]
RunScale = Annotated[
    Scale,
    typer.Option(
        help="full: the published setting; quick: the same, smaller; auto: full where it takes a minute or a GPU is "
        "there. Every other flag wins over it.",
        rich_help_panel=PANEL,
    ),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(help="Folder that holds the runs.", show_default="$STOPCLI_RUNS_DIR or runs", rich_help_panel=PANEL),
]
RunDir = Annotated[
    Path | None,
    typer.Option(help="The run's folder itself; must not exist.", show_default="by time", rich_help_panel=PANEL),
]
Json = Annotated[bool, typer.Option("--json", help="Print summary.json alone on stdout.", rich_help_panel=PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No talk: results and errors alone.", rich_help_panel=PANEL)]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="More talk, and the traceback of errors.",
        rich_help_panel=PANEL,
        callback=show_tracebacks,
    ),
]

OUTPUT: Group = {
    "time_budget": WithDefault(TimeBudget, None),
    "name": Name,
    "scale": RunScale,
    "runs_dir": WithDefault(RunsDir, None),
    "run_dir": WithDefault(RunDir, None),
    "json": WithDefault(Json, False),
    "quiet": WithDefault(Quiet, False),
    "verbose": WithDefault(Verbose, False),
}
