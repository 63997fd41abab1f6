"""`stopcli clr`."""

from __future__ import annotations

import typer

from stopcli.cli.option_groups import with_options, without
from stopcli.cli.options.arms import CLR_ARMS
from stopcli.cli.options.augmentation import AUGMENTATION
from stopcli.cli.options.checkpoints import CHECKPOINTS
from stopcli.cli.options.data import IMAGE_DATA, AnyDataset
from stopcli.cli.options.output import OUTPUT
from stopcli.cli.options.rate import BOUNDS, DECAYS, FROM_RANGE, SHAPE
from stopcli.cli.options.stopping import CYCLE_STOPPING
from stopcli.cli.options.sweep import PLAN, SWEEP
from stopcli.cli.options.training import IMAGE_TRAINING, NETWORKS
from stopcli.cli.train import run_from_options
from stopcli.configs.clr import ClrConfig


@with_options(
    ClrConfig,
    CLR_ARMS,
    PLAN,
    {**BOUNDS, **FROM_RANGE, **SHAPE, **DECAYS},
    {**IMAGE_DATA, "dataset": AnyDataset},
    AUGMENTATION,
    {**NETWORKS, **without(IMAGE_TRAINING, "learning_rate")},
    SWEEP,
    CYCLE_STOPPING,
    CHECKPOINTS,
    OUTPUT,
)
def clr(ctx: typer.Context, **settings: object) -> None:
    """Train under cyclical learning rates, against each other and against a fixed one: which policy ends better?

    --policy and --vs take lists; every policy and every seed is a run of its own. The published setting is
    MiniGoogLeNet on CIFAR-10 for 96 epochs, with 8 epochs from the lowest rate to the highest; without a GPU, the quick
    scale takes a quarter of its width, 2,000 images and 18 epochs with steps of 3. `stopcli lr-range` finds the bounds.
    """
    run_from_options(ctx, "clr")
