"""Options for when training stops."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group, WithDefault
from stopcli.config import Mode

PANEL = "Stopping"

Patience = Annotated[
    int | None,
    typer.Option(
        help="Stop after so many epochs without an improvement, ≥ 0. Without it, all epochs run.",
        show_default="no stopping",
        rich_help_panel=PANEL,
    ),
]
Monitor = Annotated[str, typer.Option(help="The metric that stopping watches.", rich_help_panel=PANEL)]
MonitorMode = Annotated[
    Mode, typer.Option(help="Whether lower or higher is better; auto: by the metric.", rich_help_panel=PANEL)
]
MinDelta = Annotated[
    float, typer.Option(help="A change of no more than this is no improvement, ≥ 0.", rich_help_panel=PANEL)
]
Baseline = Annotated[
    float | None,
    typer.Option(
        help="Only improvements beyond this value reset the wait.", show_default="none", rich_help_panel=PANEL
    ),
]
StopBaseline = Annotated[
    float | None,
    typer.Option(
        "--stop-baseline",
        help="Only improvements beyond this value reset the wait (`--baseline` of the other commands).",
        show_default="none",
        rich_help_panel=PANEL,
    ),
]
StartFromEpoch = Annotated[
    int, typer.Option(help="Epochs at the beginning that are not watched, ≥ 0.", rich_help_panel=PANEL)
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Stop at the first epoch whose monitored metric reaches this value.",
        show_default="none",
        rich_help_panel=PANEL,
    ),
]
StopRules = Annotated[
    list[str] | None,
    typer.Option(
        "--stop",
        metavar="RULE …",
        help="Also stop by Prechelt's rules, a list; the first that fires counts. gl:2 (generalization loss, %), "
        "pq:0.75 (progress quotient), up:3 (strips of 5 epochs that rise).",
        show_default="none",
        rich_help_panel=PANEL,
    ),
]
RestoreBest = Annotated[
    bool,
    typer.Option(
        "--restore-best/--no-restore-best",
        help="End with the model of the best monitored epoch, not of the last.",
        rich_help_panel=PANEL,
    ),
]

STOPPING: Group = {
    "patience": Patience,
    "monitor": Monitor,
    "mode": MonitorMode,
    "min_delta": MinDelta,
    "baseline": Baseline,
    "start_from_epoch": StartFromEpoch,
    "threshold": Threshold,
    "stop": WithDefault(StopRules, None),
    "restore_best": RestoreBest,
}
# Where --baseline is an arm.
STOPPING_BESIDE_ARMS: Group = {**STOPPING, "baseline": StopBaseline}
