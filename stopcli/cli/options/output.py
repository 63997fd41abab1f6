"""Options for a run's folder, and for what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from stopcli.cli.console import show_tracebacks
from stopcli.cli.option_groups import Group, WithDefault, in_panel
from stopcli.configs.base import Scale
from stopcli.paths import parse_path

option = in_panel("Run and output")

TimeBudget = Annotated[
    str | None,
    option(
        metavar="TIME",
        help="Pause after this time (90s, 45m, 2h30m) with everything saved; `stopcli resume` continues.",
        show_default="no limit",
    ),
]
Name = Annotated[
    str,
    option(help="A name for the run, which becomes part of its folder's name.", show_default=False),
]
RunScale = Annotated[
    Scale,
    option(
        help="full: the published setting; quick: the same, smaller; auto: full where it takes a minute or a GPU is "
        "there. Every other flag wins over it."
    ),
]
TensorBoard = Annotated[
    bool,
    option(
        "--tensorboard",
        help="Also write each run's curves to its tensorboard/, while it trains, for TensorBoard to show.",
    ),
]
RunsDir = Annotated[
    Path | None,
    option(
        help="Folder that holds the runs.",
        metavar="<path>",
        parser=parse_path,
        show_default="$STOPCLI_RUNS_DIR or runs",
    ),
]
RunDir = Annotated[
    Path | None,
    option(
        help="The run's folder itself; must not exist.", metavar="<path>", parser=parse_path, show_default="by time"
    ),
]
Json = Annotated[bool, option("--json", help="Print only summary.json on stdout.")]
Quiet = Annotated[bool, option("--quiet", "-q", help="Print only results and errors.")]
Verbose = Annotated[
    bool,
    option(
        "--verbose",
        "-v",
        help="Print more, and the traceback of errors.",
        callback=show_tracebacks,
    ),
]

OUTPUT: Group = {
    "time_budget": WithDefault(TimeBudget, None),
    "name": Name,
    "scale": RunScale,
    "tensorboard": TensorBoard,
    "runs_dir": WithDefault(RunsDir, None),
    "run_dir": WithDefault(RunDir, None),
    "json": WithDefault(Json, False),
    "quiet": WithDefault(Quiet, False),
    "verbose": WithDefault(Verbose, False),
}
