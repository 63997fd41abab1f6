"""`stopcli compare`: runs and sweeps side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.console import Output
from stopcli.cli.options.output import Json, Name, Quiet, RunDir, RunsDir, Verbose
from stopcli.cli.studying import write_and_print
from stopcli.paths import parse_path
from stopcli.runs.folder import check_can_be_made, runs_root

Runs = Annotated[
    list[Path], typer.Argument(help="Folders of runs and sweeps.", metavar="RUN", parser=parse_path, show_default=False)
]
Baseline = Annotated[
    str,
    typer.Option(help="What the others are compared with: its label, or its folder.", show_default="the first"),
]
Metric = Annotated[
    str,
    typer.Option(
        help="What is compared: test_accuracy, test_loss, train_accuracy, train_loss (of the final and the saved "
        "model), epochs, updates, rows, train_seconds, or a column of metrics.csv (of the last and its best epoch)."
    ),
]


def compare(
    runs: Runs,
    baseline: Baseline = "",
    metric: Metric = "test_accuracy",
    name: Name = "",
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Set runs and sweeps side by side: settings that differ, curves overlaid, paired statistics, cost.

    Runs that differ by their seed alone stand together, as one thing that is compared; a sweep has as many as it has
    arms. Nothing is trained, and nothing of the runs is changed.
    """
    root = runs_root(runs_dir)
    check_can_be_made(root, run_dir)
    # After parsing: --help need not know how figures and statistics are made.
    from stopcli.studies.compare.comparison import compare as compare_runs
    from stopcli.studies.compare.study import output_of

    output = Output(json, quiet, verbose)
    analysis = output_of(compare_runs(runs, baseline, metric))
    folder = write_and_print(analysis, output, root=root, name=name, run_dir=run_dir)
    output.say(f"Report, figures and tables: {folder}")
