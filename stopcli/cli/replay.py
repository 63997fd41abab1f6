"""`stopcli replay`: what other stopping rules would have done on runs that are finished."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.console import Output
from stopcli.cli.list_options import parse_counts, parse_numbers, parse_words
from stopcli.cli.option_groups import in_panel
from stopcli.cli.options.output import Json, Name, Quiet, RunDir, RunsDir, Verbose
from stopcli.cli.options.stopping import Baseline, Monitor, MonitorMode, StartFromEpoch
from stopcli.cli.studying import write_and_print
from stopcli.errors import ConfigError, RequestError
from stopcli.paths import parse_path
from stopcli.runs.folder import check_can_be_made, runs_root

option = in_panel("Stopping")

Runs = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folders of runs and sweeps, before the options.", metavar="RUN", parser=parse_path, show_default=False
    ),
]
Patiences = Annotated[
    list[str] | None,
    option("--patience", metavar="N …", help="Patiences, a list, each ≥ 0.", show_default="0 5 10 20 50 100 200"),
]
MinDeltas = Annotated[
    list[str] | None,
    option("--min-delta", metavar="X …", help="Every patience with each of these, a list, each ≥ 0.", show_default="0"),
]
Rules = Annotated[
    list[str] | None,
    option(
        "--rule",
        metavar="RULE …",
        help="Other rules, a list: gl:2, pq:0.75, up:3, threshold:0.3, patience:200.",
        show_default="Prechelt's: gl:1 to 5, pq:0.5 to 3, up:2 to 8",
    ),
]
Select = Annotated[
    str,
    option(help="The metric whose best epoch is kept, such as val_accuracy.", show_default="the monitored one"),
]

_RUNS_FIRST = "Folders stand before lists of values: stopcli replay RUN … --patience 0 50 200"


def replay(
    runs: Runs = None,
    patience: Patiences = None,
    min_delta: MinDeltas = None,
    rule: Rules = None,
    monitor: Monitor = "val_loss",
    mode: MonitorMode = "auto",
    baseline: Baseline = None,
    start_from_epoch: StartFromEpoch = 0,
    select: Select = "",
    name: Name = "",
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find out what other stopping rules would have done on finished runs, without training.

    Each rule stops where it would have stopped live. What it saves in epochs and loses against the best epoch there
    was is summed up over the runs of an experiment (its seeds), with intervals, and drawn as the frontier of cost
    against quality. Without --patience and --rule, a grid of both is replayed.
    """
    if not runs:
        raise RequestError(
            "received no run, expected the folder of one or more",
            hint=_RUNS_FIRST,
        )
    # After parsing: --help need not know how figures and statistics are made.
    from stopcli.studies.replay.asking import ReplayOptions
    from stopcli.studies.replay.replaying import replay as replay_rules
    from stopcli.studies.replay.study import output_of

    root = runs_root(runs_dir)
    check_can_be_made(root, run_dir)
    try:
        options = ReplayOptions(
            patience=None if patience is None else parse_counts("patience", patience),
            min_delta=(0.0,) if min_delta is None else parse_numbers("min_delta", min_delta),
            rules=None if rule is None else parse_words("rule", rule),
            monitor=monitor,
            mode=mode,
            baseline=baseline,
            start_from_epoch=start_from_epoch,
            select=select,
        )
        results = replay_rules(runs, options)
    except ConfigError as error:
        # Not Path.is_dir, which raises where a word is too long for a name.
        if os.path.isdir(str(error.received)):  # noqa: PTH112
            raise ConfigError(error.setting, error.received, error.expected, hint=_RUNS_FIRST) from None
        raise
    output = Output(json, quiet, verbose)
    folder = write_and_print(output_of(results), output, root=root, name=name, run_dir=run_dir)
    output.say(f"Report, figure and tables: {folder}")
