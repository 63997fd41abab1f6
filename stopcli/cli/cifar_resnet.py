"""`stopcli cifar-resnet`."""

from __future__ import annotations

import typer

from stopcli.cli.option_groups import with_options
from stopcli.cli.options.augmentation import AUGMENTATION
from stopcli.cli.options.checkpoints import CHECKPOINTS
from stopcli.cli.options.data import IMAGE_DATA
from stopcli.cli.options.output import OUTPUT
from stopcli.cli.options.rate import RATE
from stopcli.cli.options.stopping import CYCLE_STOPPING
from stopcli.cli.options.sweep import SWEEP
from stopcli.cli.options.training import RESNET_TRAINING
from stopcli.cli.train import run_from_options
from stopcli.configs.cifar_resnet import CifarResnetConfig


@with_options(
    CifarResnetConfig,
    IMAGE_DATA,
    AUGMENTATION,
    RESNET_TRAINING,
    SWEEP,
    RATE,
    CYCLE_STOPPING,
    CHECKPOINTS,
    OUTPUT,
)
def cifar_resnet(ctx: typer.Context, **settings: object) -> None:
    """Train a ResNet v1 on CIFAR-10 or other images: augmentation, random erasing, learning-rate schedules.

    The published setting is depth 44 for 100 epochs on 50,000 images; without a GPU, the quick scale takes depth 8, 15
    epochs and 5,000 images. Beside the curves, the run leaves a sheet of augmented images, a confusion matrix,
    precision and recall by class, and the images that the model is most wrong about.
    """
    run_from_options(ctx, "cifar-resnet")
