"""Options for how the learning rate moves."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group
from stopcli.recipes.images.settings import CyclicModeName, LearningRatePolicy

PANEL = "Learning rate"

LrPolicy = Annotated[LearningRatePolicy, typer.Option(help="How the learning rate moves.", rich_help_panel=PANEL)]
LrDrops = Annotated[
    str,
    typer.Option(
        metavar="auto|EPOCHS:FACTOR,…",
        help="step: after so many epochs the rate is FACTOR times the first; auto: the published drops, scaled.",
        rich_help_panel=PANEL,
    ),
]
LrMin = Annotated[float, typer.Option(help="cosine, plateau: the lowest rate, ≥ 0.", rich_help_panel=PANEL)]
LrWarmup = Annotated[
    int, typer.Option(help="cosine: epochs over which the rate rises from 0, ≥ 0.", rich_help_panel=PANEL)
]
LrFactor = Annotated[
    float, typer.Option(help="plateau: the rate is multiplied by this, in (0, 1).", rich_help_panel=PANEL)
]
LrPatience = Annotated[
    int, typer.Option(help="plateau: epochs without an improvement of --monitor, ≥ 1.", rich_help_panel=PANEL)
]
BaseLr = Annotated[float, typer.Option(help="clr: the lowest rate, ≥ 0.", rich_help_panel=PANEL)]
MaxLr = Annotated[float, typer.Option(help="clr: the highest rate, > --base-lr.", rich_help_panel=PANEL)]
ClrMode = Annotated[
    CyclicModeName, typer.Option(help="clr: what becomes of the cycles' height.", rich_help_panel=PANEL)
]
Gamma = Annotated[
    float, typer.Option(help="clr: exp_range's factor of every update, in (0, 1].", rich_help_panel=PANEL)
]
StepSize = Annotated[
    float, typer.Option(help="clr: epochs from the lowest to the highest rate.", rich_help_panel=PANEL)
]

CYCLES: Group = {
    "base_lr": BaseLr,
    "max_lr": MaxLr,
    "clr_mode": ClrMode,
    "gamma": Gamma,
    "step_size": StepSize,
}
RATE: Group = {
    "lr_policy": LrPolicy,
    "lr_drops": LrDrops,
    "lr_min": LrMin,
    "lr_warmup": LrWarmup,
    "lr_factor": LrFactor,
    "lr_patience": LrPatience,
    **CYCLES,
}
