"""The settings of runs on images: data and augmentation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from stopcli.configs.base import Count, Option, Seed, Share
from stopcli.configs.learning_rate import LearningRateConfig
from stopcli.configs.training import SweepSettings
from stopcli.data.named import DATASET_NAMES
from stopcli.errors import ConfigError
from stopcli.models.architecture import Architecture

Augment = Literal["none", "simple", "nearest"]
EraseOrder = Literal["before", "after"]
Range = tuple[float, float]
Probability = Annotated[float, Ge(0), Le(1)]

# `folder`: the images of a folder beside train/ and test/ validate. `auto` is settled when the images are read.
ImageValidation = Literal["auto", "test", "split", "holdout", "folder"]

VALIDATION = (
    "Images used for validation. test: the test images (as published); split: a share of the training images; "
    "holdout: a share of the test images; folder: those of val/CLASS/…, as auto does where there are val/ and "
    "test/; else auto is test. The remaining test images stay untouched."
)
ValidationImages = Annotated[ImageValidation, Option(VALIDATION, "Data")]
ImageShare = Annotated[Share | None, Option("The share set aside for validation, in (0, 1).", "Data", default="0.1")]
Threads = Annotated[
    Annotated[int, Ge(1), Le(1024)] | None,
    Option(
        "Threads that each run computes with, ≥ 1. Its numbers depend on it in the last digits.",
        "Sweep",
        ("execution",),
        default="all cores; in a sweep its share of them",
    ),
]

# A share that is split off where the user names none.
DEFAULT_SHARE = 0.1
# How far the augmentations shift images: in pixels, and as a share of height and width, as in A. Rosebrock's
# experiment.
SIMPLE_PIXELS, NEAREST_SHARE = 4, 0.1


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which images are trained on."""

    dataset: Annotated[
        str,
        Option(
            "auto: $STOPCLI_DATASET, else CIFAR-10 from Keras's cache or downloaded, else scikit-learn's digits. "
            "PATH: an official CIFAR-10 folder or archive, or a folder of images: train/CLASS/…, test/CLASS/… and, "
            "where other images validate, val/CLASS/…; or only CLASS/…, of which a fifth tests.",
            "Data",
            ("test-rows", "range", "network"),
            metavar="|".join(("auto", *DATASET_NAMES, "PATH")),
            common=True,
        ),
    ] = "auto"
    image_size: Annotated[
        Annotated[int, Ge(8), Le(1024)] | None,
        Option(
            "Resize images to N × N, 8 … 1024.",
            "Data",
            ("test-rows", "images", "network"),
            default="as they are",
        ),
    ] = None
    limit: Annotated[
        Count | None,
        Option(
            "Train on only this many images, the same share of each class.",
            "Data",
            ("images", "network"),
            default="all",
        ),
    ] = None
    test_limit: Annotated[
        Count | None,
        Option(
            "Test on only this many images, the same share of each class.",
            "Data",
            ("test-rows", "images", "network"),
            default="all",
        ),
    ] = None
    data_seed: Annotated[
        Seed,
        Option(
            "Seed of the limits and of what is split off, ≥ 0.",
            "Data",
            ("test-rows", "images"),
        ),
    ] = 0
    subtract_mean: Annotated[
        bool,
        Option("Subtract the training images' mean image, in the model's first layer.", "Data", ("images", "network")),
    ] = False
    skip_unreadable: Annotated[
        bool,
        Option(
            "Leave out, and count, images of a folder that cannot be read, lie in a subfolder of their class, or are "
            "links to nothing.",
            "Data",
            ("free", "images", "network"),
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """What is done to training images; the defaults are those of the sources (Zhong et al. 2017, He et al. 2015)."""

    augment: Annotated[
        Augment,
        Option(
            "simple: shift up to 4 pixels both ways, filled with 0, and flip half of them; nearest: shift up to 10 %, "
            "filled with the nearest pixels, and flip.",
            "Augmentation",
            ("images", "network"),
            common=True,
        ),
    ] = "simple"
    erasing: Annotated[
        bool, Option("Random erasing (Zhong et al.).", "Augmentation", ("images", "network"), common=True)
    ] = False
    erase_p: Annotated[
        Probability, Option("Probability of erasing an image, 0 … 1.", "Augmentation", used_with="erasing")
    ] = 0.5
    erase_area: Annotated[
        Range,
        Option("The box's share of the image, in (0, 1].", "Augmentation", used_with="erasing", metavar="LOW HIGH"),
    ] = (0.02, 0.4)
    erase_aspect: Annotated[
        Range, Option("The box's height / width, > 0.", "Augmentation", used_with="erasing", metavar="LOW HIGH")
    ] = (0.3, 1 / 0.3)
    erase_log_aspect: Annotated[
        bool,
        Option(
            "Draw the aspect's logarithm uniformly, as later implementations do.",
            "Augmentation",
            used_with="erasing",
        ),
    ] = False
    erase_value: Annotated[
        Range,
        Option("What the box is filled with, in [0, 1].", "Augmentation", used_with="erasing", metavar="LOW HIGH"),
    ] = (0.0, 1.0)
    erase_pixel_level: Annotated[
        bool, Option("Fill every pixel and channel with a value of its own.", "Augmentation", used_with="erasing")
    ] = False
    erase_order: Annotated[
        EraseOrder, Option("Erase before or after the augmentation.", "Augmentation", used_with="erasing")
    ] = "before"
    cutout: Annotated[
        Count | None,
        Option(
            "Cut a square of PX pixels out of every image.",
            "Augmentation",
            ("images", "network"),
            metavar="PX",
            default="none",
        ),
    ] = None
    copies: Annotated[
        Annotated[int, Ge(1), Le(1024)],
        Option(
            "Repeat every image of a batch M times, each copy with its own augmentation, in one update.",
            "Augmentation",
            ("images", "network"),
            metavar="M",
        ),
    ] = 1

    @property
    def changes_images(self) -> bool:
        """Whether anything is done to training images at all."""
        return self.augment != "none" or self.erasing or self.cutout is not None

    @property
    def cut_out(self) -> tuple[str, int] | None:
        """The side of the square that cutout cuts out, behind the name of its setting; None for no cutout."""
        return None if self.cutout is None else ("cutout", self.cutout)

    def check_augmentation(self) -> None:
        """Raise ConfigError where a range is out of order or out of what images can have."""
        low, high = self.erase_area
        if not 0 < low <= high <= 1:
            raise ConfigError("erase_area", self.erase_area, "two shares of the image with 0 < LOW ≤ HIGH ≤ 1")
        low, high = self.erase_aspect
        if not 0 < low <= high < float("inf"):
            raise ConfigError("erase_aspect", self.erase_aspect, "two ratios of height to width with 0 < LOW ≤ HIGH")
        low, high = self.erase_value
        if low <= high <= 255 and high > 1:
            hint = "Divide by 255: --erase-value 0 255 is --erase-value 0 1 here."
            raise ConfigError(
                "erase_value", self.erase_value, "values in [0, 1], the scale that images are trained in", hint=hint
            )
        if not 0 <= low <= high <= 1:
            raise ConfigError("erase_value", self.erase_value, "two values of pixels with 0 ≤ LOW ≤ HIGH ≤ 1")

    def describe_augmentation(self) -> str:
        """What is done to training images, in words."""
        parts = {
            "none": [],
            "simple": [f"shift up to {SIMPLE_PIXELS} pixels and flip"],
            "nearest": [f"shift up to {NEAREST_SHARE * 100:g} % filled with the nearest pixels, and flip"],
        }[self.augment]
        if self.erasing:
            what = "each pixel anew" if self.erase_pixel_level else "one value a box"
            parts.insert(
                0 if self.erase_order == "before" else len(parts),
                f"random erasing (p = {self.erase_p:g}, {self.erase_area[0]:g} to {self.erase_area[1]:g} of the image, "
                f"{what})",
            )
        if self.cutout is not None:
            parts.append(f"cutout of {self.cutout} × {self.cutout} pixels")
        text = ", then ".join(parts) or "no augmentation"
        return (
            text if self.copies == 1 else f"{self.copies} copies of every image in a batch, each with its own: {text}"
        )


@dataclass(frozen=True, kw_only=True)
class ImageConfig(DataSettings, AugmentSettings, SweepSettings, LearningRateConfig):
    """Training a classifier of images."""

    validation: ValidationImages = "auto"  # type: ignore[assignment]
    validation_share: ImageShare = None
    threads: Threads = None

    @property
    def share(self) -> float:
        """The share of images that validate, where they are split off."""
        return self.validation_share or DEFAULT_SHARE

    @property
    def arm(self) -> str:
        policy = [] if self.lr_policy == "step" else [self.lr_policy]
        rules = [] if self.rules == "no-stopping" else [self.rules]
        return "-".join([*(self.augmentation_parts() or ["simple"]), *policy, *rules])

    def augmentation_parts(self) -> list[str]:
        """What of the augmentation is not as usual, in words that can be parts of a folder's name."""
        usual = {field.name: field.default for field in fields(self)}["augment"]
        parts = [] if self.augment == usual else [f"{self.augment.replace('none', 'no')}-augmentation"]
        if self.erasing:
            parts.append("pixel-erasing" if self.erase_pixel_level else "erasing")
        if self.cutout is not None:
            parts.append(f"cutout-{self.cutout}")
        if self.copies > 1:
            parts.append(f"m{self.copies}")
        return parts

    @property
    def cost(self) -> float:
        return float(self.copies * self.epochs)

    def check(self) -> None:
        super().check()
        self.check_augmentation()

    def warnings(self) -> list[str]:
        return [*super().warnings(), *augmentation_warnings(self)]

    @property
    def architecture(self) -> Architecture:
        """The kind of network that is trained."""
        raise NotImplementedError

    def describe_model(self) -> str:
        """The network, in words."""
        return self.architecture.describe(self)


def augmentation_warnings(config: Any) -> list[str]:
    """What of the augmentation of a config (with AugmentSettings) has no effect."""
    warnings = []
    if config.erasing and not config.erase_p:
        warnings.append("erase_p 0 erases nothing")
    if config.copies > 1 and not config.changes_images:
        copies = f"copies {config.copies} are all the same without augmentation"
        warnings.append(f"{copies}: the same updates at a higher cost")
    return warnings
