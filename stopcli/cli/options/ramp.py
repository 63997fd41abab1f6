"""Options for how the learning rate of a range test rises."""

from __future__ import annotations

from typing import Annotated

from stopcli.cli.option_groups import Group, in_panel
from stopcli.configs.lr_range import Ramp

option = in_panel("Range")

StartLr = Annotated[float, option(help="The first learning rate, > 0.")]
EndLr = Annotated[float, option(help="The last learning rate, > --start-lr.")]
Iterations = Annotated[
    int | None,
    option(help="Updates from the first to the last, ≥ 10.", show_default="100"),
]
RangeEpochs = Annotated[
    float | None,
    option("--epochs", help="The same in epochs, > 0.", show_default="by --iterations"),
]
RampOption = Annotated[Ramp, option("--ramp", help="How the rate rises.")]
Smoothing = Annotated[float, option(help="Weight of the past in the smoothed loss, in [0, 1).")]
StopFactor = Annotated[
    float,
    option(help="Stop where the smoothed loss is so many times its lowest, > 1."),
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
