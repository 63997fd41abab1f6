"""`stopcli lr-range`."""

from __future__ import annotations

import typer

from stopcli.cli.option_groups import with_options, without
from stopcli.cli.options.augmentation import AUGMENTATION
from stopcli.cli.options.data import IMAGE_DATA, AnyDataset
from stopcli.cli.options.output import OUTPUT
from stopcli.cli.options.ramp import RAMP
from stopcli.cli.options.sweep import Threads
from stopcli.cli.options.training import NETWORKS, RANGE_TRAINING
from stopcli.cli.train import run_from_options
from stopcli.configs.lr_range import LrRangeConfig


@with_options(
    LrRangeConfig,
    RAMP,
    {**IMAGE_DATA, "dataset": AnyDataset},
    AUGMENTATION,
    {**NETWORKS, **RANGE_TRAINING, "threads": Threads},
    without(OUTPUT, "tensorboard"),
)
def lr_range(ctx: typer.Context, **settings: object) -> None:
    """Find the bounds of a learning rate: train while it rises from update to update, and look at the loss.

    The test takes 100 updates, from 1e-7 to 10, and ends early where the loss runs away. It suggests where the loss
    falls fastest, where its valley is and a tenth of where it is lowest, and from these a lowest and a highest rate for
    cycles: `stopcli clr --from-range RUN` takes them. --seeds 5 shows how much they vary.
    """
    run_from_options(ctx, "lr-range")
