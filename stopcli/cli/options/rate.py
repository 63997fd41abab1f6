"""Options for how the learning rate moves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from stopcli.cli.option_groups import Group, WithDefault, in_panel
from stopcli.configs.learning_rate import CyclicModeName, LearningRatePolicy
from stopcli.paths import parse_path

option = in_panel("Learning rate")

LrPolicy = Annotated[LearningRatePolicy, option(help="How the learning rate moves.")]
LrDrops = Annotated[
    str,
    option(
        metavar="auto|EPOCHS:FACTOR,…",
        help="step: after so many epochs the rate is FACTOR times the first; auto: the published drops, scaled.",
    ),
]
LrMin = Annotated[float, option(help="cosine, plateau: the lowest rate, ≥ 0.")]
LrWarmup = Annotated[int, option(help="cosine: epochs over which the rate rises from 0, ≥ 0.")]
LrFactor = Annotated[float, option(help="plateau: the rate is multiplied by this, in (0, 1).")]
LrPatience = Annotated[int, option(help="plateau: epochs without an improvement of --monitor, ≥ 1.")]
BaseLr = Annotated[float, option(help="clr: the lowest rate, ≥ 0.")]
MaxLr = Annotated[float, option(help="clr, one-cycle: the highest rate, > --base-lr.")]
ClrMode = Annotated[CyclicModeName, option(help="clr: what becomes of the cycles' height.")]
Gamma = Annotated[float, option(help="clr: exp_range's factor of every update, in (0, 1].")]
StepSize = Annotated[float, option(help="clr: epochs from the lowest to the highest rate.")]
StepSizeIterations = Annotated[
    int | None,
    option(help="clr: the same in updates, ≥ 1.", show_default="by --step-size"),
]
StepSizeDown = Annotated[
    float | None,
    option(help="clr: the way down, in the same unit as the way up, > 0.", show_default="as up"),
]
CycleMomentum = Annotated[
    bool,
    option(
        "--cycle-momentum/--no-cycle-momentum",
        help="clr, one-cycle: move sgd's momentum against the rate, from --momentum down to --min-momentum.",
    ),
]
MinMomentum = Annotated[float, option(help="The momentum where the rate is highest, < --momentum.")]

FromRange = Annotated[
    Path | None,
    option(
        metavar="RUN",
        parser=parse_path,
        help="Take --base-lr and --max-lr from a run of `stopcli lr-range`.",
        show_default="none",
    ),
]

BOUNDS: Group = {"base_lr": BaseLr, "max_lr": MaxLr}
FROM_RANGE: Group = {"from_range": WithDefault(FromRange, None)}
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
