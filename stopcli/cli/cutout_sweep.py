"""`stopcli cutout-sweep`."""

from __future__ import annotations

import typer

from stopcli.cli.option_groups import with_options, without
from stopcli.cli.options.arms import CUTOUT_ARMS
from stopcli.cli.options.augmentation import AUGMENTATION
from stopcli.cli.options.checkpoints import CHECKPOINTS
from stopcli.cli.options.data import IMAGE_DATA
from stopcli.cli.options.output import OUTPUT
from stopcli.cli.options.rate import RATE
from stopcli.cli.options.stopping import STOPPING_BESIDE_ARMS
from stopcli.cli.options.sweep import PLAN, SWEEP
from stopcli.cli.options.training import RESNET_TRAINING
from stopcli.cli.train import run_from_options
from stopcli.configs.cutout_sweep import CutoutSweepConfig


@with_options(
    CutoutSweepConfig,
    CUTOUT_ARMS,
    PLAN,
    IMAGE_DATA,
    without(AUGMENTATION, "cutout", "copies"),
    RESNET_TRAINING,
    SWEEP,
    RATE,
    STOPPING_BESIDE_ARMS,
    CHECKPOINTS,
    OUTPUT,
)
def cutout_sweep(ctx: typer.Context, **settings: object) -> None:
    """Train with M cutout copies of every image in a batch, for several M: what do they buy, at what cost?

    M takes a list: --m 2 4 8. The published setting is ResNet-44 for 100 epochs with M = 2, 4, 8, 16 and 32; without a
    GPU, the quick scale takes depth 8, 12 epochs, 2,000 images and M = 2, 4 and 8. The sweep leaves the published
    figure and table with what was measured beside them, error against cost, and a recommendation as far as the runs
    give one.
    """
    run_from_options(ctx, "cutout-sweep")
