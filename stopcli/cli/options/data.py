"""Options for what is trained on."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group
from stopcli.config import ValidationRows

PANEL = "Data"

Samples = Annotated[int, typer.Option(help="Rows in all, ≥ 2.", rich_help_panel=PANEL)]
Noise = Annotated[float, typer.Option(help="Standard deviation of the noise, ≥ 0.", rich_help_panel=PANEL)]
TrainSize = Annotated[
    int, typer.Option(help="Rows that train; the others test. 1 … samples − 1.", rich_help_panel=PANEL)
]
DataSeed = Annotated[int, typer.Option(help="Seed of the data set, ≥ 0.", rich_help_panel=PANEL)]
Validation = Annotated[
    ValidationRows,
    typer.Option(
        help="Rows that rules look at: the test rows (as published), a share split off the training rows, or a share "
        "held out of the test rows, the rest of which choose nothing.",
        rich_help_panel=PANEL,
    ),
]
ValidationShare = Annotated[
    float | None,
    typer.Option(
        help="The share that is split off, in (0, 1).",
        show_default="0.2 for split, 0.5 for holdout",
        rich_help_panel=PANEL,
    ),
]
Dataset = Annotated[
    str,
    typer.Option(
        metavar="auto|cifar10|digits|PATH",
        help="auto: $STOPCLI_DATASET, else CIFAR-10 from Keras's cache or downloaded, else scikit-learn's digits. "
        "PATH: an official CIFAR-10 folder or archive, or a folder of images, train/CLASS/… and test/CLASS/….",
        rich_help_panel=PANEL,
    ),
]
AnyDataset = Annotated[
    str,
    typer.Option(
        "--dataset",
        metavar="auto|cifar10|digits|moons|PATH",
        help="As for `stopcli cifar-resnet`; moons: the two moons of `stopcli moons`, for model mlp.",
        rich_help_panel=PANEL,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(help="Resize images to N × N, 8 … 1024.", show_default="as they are", rich_help_panel=PANEL),
]
Limit = Annotated[
    int | None,
    typer.Option(help="Train on so many images, of every class its share.", show_default="all", rich_help_panel=PANEL),
]
TestLimit = Annotated[
    int | None,
    typer.Option(help="Test on so many images, of every class its share.", show_default="all", rich_help_panel=PANEL),
]
ImageDataSeed = Annotated[
    int, typer.Option("--data-seed", help="Seed of the limits and of what is split off, ≥ 0.", rich_help_panel=PANEL)
]
ImageShare = Annotated[
    float | None,
    typer.Option(
        "--validation-share", help="The share that is split off, in (0, 1).", show_default="0.1", rich_help_panel=PANEL
    ),
]
SubtractMean = Annotated[
    bool,
    typer.Option(
        "--subtract-mean/--no-subtract-mean",
        help="Subtract the training images' mean image, in the model's first layer.",
        rich_help_panel=PANEL,
    ),
]

MOONS_DATA: Group = {
    "samples": Samples,
    "noise": Noise,
    "train_size": TrainSize,
    "data_seed": DataSeed,
    "validation": Validation,
    "validation_share": ValidationShare,
}
IMAGE_DATA: Group = {
    "dataset": Dataset,
    "image_size": ImageSize,
    "limit": Limit,
    "test_limit": TestLimit,
    "data_seed": ImageDataSeed,
    "validation": Validation,
    "validation_share": ImageShare,
    "subtract_mean": SubtractMean,
}
