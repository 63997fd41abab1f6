"""Options for how the learning rate of a range test rises."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group
from stopcli.recipes.lr_range.config import Ramp

PANEL = "Range"

StartLr = Annotated[float, typer.Option(help="The first learning rate, > 0.", rich_help_panel=PANEL)]
EndLr = Annotated[float, typer.Option(help="The last learning rate, > --start-lr.", rich_help_panel=PANEL)]
Iterations = Annotated[
    int | None,
    typer.Option(help="Updates from the first to the last, ≥ 10.", show_default="100", rich_help_panel=PANEL),
]
RangeEpochs = Annotated[
    float | None,
    typer.Option("--epochs", help="The same in epochs, > 0.", show_default="by --iterations", rich_help_panel=PANEL),
]
RampOption = Annotated[Ramp, typer.Option("--ramp", help="How the rate rises.", rich_help_panel=PANEL)]
Smoothing = Annotated[
    float, typer.Option(help="Weight of the past in the smoothed loss, in [0, 1).", rich_help_panel=PANEL)
]
StopFactor = Annotated[
    float,
    typer.Option(help="Stop where the smoothed loss is so many times its lowest, > 1.", rich_help_panel=PANEL),
]

RAMP: Group = {
    "start_lr": StartLr,
    "end_lr": EndLr,
    "iterations": Iterations,
    "epochs": RangeEpochs,
    "ramp": RampOption,
    "smoothing": Smoothing,
    "stop_factor": StopFactor,
}
