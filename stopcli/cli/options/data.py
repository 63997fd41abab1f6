"""Options for what is trained on."""

from __future__ import annotations

from typing import Annotated

from stopcli.cli.option_groups import Group, in_panel
from stopcli.configs.images import ImageValidation as ImageValidationRows
from stopcli.configs.training import ValidationRows
from stopcli.data.named import DATASET_NAMES

option = in_panel("Data")

Samples = Annotated[int, option(help="Rows in all, ≥ 2.")]
Noise = Annotated[float, option(help="Standard deviation of the noise, ≥ 0.")]
TrainSize = Annotated[int, option(help="Rows that train; the others test. 1 … samples − 1.")]
DataSeed = Annotated[int, option(help="Seed of the data set, ≥ 0.")]
Validation = Annotated[
    ValidationRows,
    option(
        help="Rows that rules look at: the test rows (as published), a share split off the training rows, or a share "
        "held out of the test rows, the rest of which choose nothing."
    ),
]
ImageValidation = Annotated[
    ImageValidationRows,
    option(
        "--validation",
        help="Images that rules look at: the test images (as published), a share split off the training images, a "
        "share held out of the test images, the rest of which choose nothing, or those of a folder, val/CLASS/….",
    ),
]
ValidationShare = Annotated[
    float | None,
    option(help="The share that is split off, in (0, 1).", show_default="0.2 for split, 0.5 for holdout"),
]
Dataset = Annotated[
    str,
    option(
        metavar="|".join(("auto", *DATASET_NAMES, "PATH")),
        help="auto: $STOPCLI_DATASET, else CIFAR-10 from Keras's cache or downloaded, else scikit-learn's digits. "
        "PATH: an official CIFAR-10 folder or archive, or a folder of images, train/CLASS/… and test/CLASS/….",
    ),
]
AnyDataset = Annotated[
    str,
    option(
        "--dataset",
        metavar="|".join(("auto", *DATASET_NAMES, "moons", "PATH")),
        help="As for `stopcli cifar-resnet`; moons: the two moons of `stopcli moons`, for model mlp.",
    ),
]
ImageSize = Annotated[
    int | None,
    option(help="Resize images to N × N, 8 … 1024.", show_default="as they are"),
]
Limit = Annotated[
    int | None,
    option(help="Train on so many images, of every class its share.", show_default="all"),
]
TestLimit = Annotated[
    int | None,
    option(help="Test on so many images, of every class its share.", show_default="all"),
]
ImageDataSeed = Annotated[int, option("--data-seed", help="Seed of the limits and of what is split off, ≥ 0.")]
ImageShare = Annotated[
    float | None,
    option("--validation-share", help="The share that is split off, in (0, 1).", show_default="0.1"),
]
SubtractMean = Annotated[
    bool,
    option(
        "--subtract-mean/--no-subtract-mean",
        help="Subtract the training images' mean image, in the model's first layer.",
    ),
]

SkipUnreadable = Annotated[
    bool,
    option(
        "--skip-unreadable/--no-skip-unreadable",
        help="Leave out, and count, images of a folder that cannot be read, lie in a subfolder of their class, or are "
        "links to nothing.",
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
    "validation": ImageValidation,
    "validation_share": ImageShare,
    "subtract_mean": SubtractMean,
    "skip_unreadable": SkipUnreadable,
}
