"""Options for how the learning rate moves."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group
from stopcli.recipes.images.rate_settings import CyclicModeName, LearningRatePolicy, StopAt

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
MaxLr = Annotated[float, typer.Option(help="clr, one-cycle: the highest rate, > --base-lr.", rich_help_panel=PANEL)]
ClrMode = Annotated[
    CyclicModeName, typer.Option(help="clr: what becomes of the cycles' height.", rich_help_panel=PANEL)
]
Gamma = Annotated[
    float, typer.Option(help="clr: exp_range's factor of every update, in (0, 1].", rich_help_panel=PANEL)
]
StepSize = Annotated[
    float, typer.Option(help="clr: epochs from the lowest to the highest rate.", rich_help_panel=PANEL)
]
StepSizeIterations = Annotated[
    int | None,
    typer.Option(help="clr: the same in updates, ≥ 1.", show_default="by --step-size", rich_help_panel=PANEL),
]
StepSizeDown = Annotated[
    float | None,
    typer.Option(
        help="clr: the way down, in the same unit as the way up, > 0.", show_default="as up", rich_help_panel=PANEL
    ),
]
CycleMomentum = Annotated[
    bool,
    typer.Option(
        "--cycle-momentum/--no-cycle-momentum",
        help="clr, one-cycle: move sgd's momentum against the rate, from --momentum down to --min-momentum.",
        rich_help_panel=PANEL,
    ),
]
MinMomentum = Annotated[
    float, typer.Option(help="The momentum where the rate is highest, < --momentum.", rich_help_panel=PANEL)
]
StopAtOption = Annotated[
    StopAt,
    typer.Option(
        "--stop-at",
        help="clr: whether rules may stop after any epoch, or only where a cycle ends.",
        rich_help_panel="Stopping",
    ),
]

BOUNDS: Group = {"base_lr": BaseLr, "max_lr": MaxLr}
SHAPE: Group = {
    "gamma": Gamma,
    "step_size": StepSize,
    "step_size_iterations": StepSizeIterations,
    "step_size_down": StepSizeDown,
    "cycle_momentum": CycleMomentum,
    "min_momentum": MinMomentum,
}
CYCLES: Group = {**BOUNDS, "clr_mode": ClrMode, **SHAPE}
DECAYS: Group = {"lr_drops": LrDrops, "lr_min": LrMin, "lr_warmup": LrWarmup}
RATE: Group = {
    "lr_policy": LrPolicy,
    **DECAYS,
    "lr_factor": LrFactor,
    "lr_patience": LrPatience,
    **CYCLES,
}
