"""The settings that every recipe on images has: data and augmentation."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from stopcli.config import Count, Seed, SweepSettings
from stopcli.errors import ConfigError
from stopcli.models.architecture import Architecture
from stopcli.recipes.images.rate_settings import CyclicModeName as CyclicModeName
from stopcli.recipes.images.rate_settings import LearningRateConfig
from stopcli.recipes.images.rate_settings import LearningRatePolicy as LearningRatePolicy

Augment = Literal["none", "simple", "nearest"]
EraseOrder = Literal["before", "after"]
Range = tuple[float, float]
Probability = Annotated[float, Ge(0), Le(1)]

# `folder`: the images of a folder beside train/ and test/ validate.
ImageValidation = Literal["test", "split", "holdout", "folder"]

# A share that is split off where the user names none.
DEFAULT_SHARE = 0.1
# How far the augmentations shift images: in pixels, and as a share of height and width, as in A. Rosebrock's
# experiment.
SIMPLE_PIXELS, NEAREST_SHARE = 4, 0.1


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which images are trained on."""

    dataset: str = "auto"
    image_size: Annotated[int, Ge(8), Le(1024)] | None = None
    limit: Count | None = None
    test_limit: Count | None = None
    data_seed: Seed = 0
    subtract_mean: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """What is done to training images; the defaults are those of the sources (Zhong et al. 2017, He et al. 2015)."""

    augment: Augment = "simple"
    erasing: bool = False
    erase_p: Probability = 0.5
    erase_area: Range = (0.02, 0.4)
    erase_aspect: Range = (0.3, 1 / 0.3)
    erase_log_aspect: bool = False
    erase_value: Range = (0.0, 1.0)
    erase_pixel_level: bool = False
    erase_order: EraseOrder = "before"
    cutout: Count | None = None
    copies: Annotated[int, Ge(1), Le(1024)] = 1

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
        told = ", then ".join(parts) or "no augmentation"
        return (
            told if self.copies == 1 else f"{self.copies} copies of every image in a batch, each with its own: {told}"
        )


# What points of a plane have nothing of.
OF_IMAGES = (
    "image_size",
    "limit",
    "test_limit",
    "data_seed",
    "subtract_mean",
    "skip_unreadable",
    "augment",
    "erasing",
    "cutout",
    "copies",
    "mixed_precision",
)
_OF_SWEEPS = ("executor", "jobs", "ray_address", "keep_going")
_READ_BY_ERASING = (
    "erase_p",
    "erase_area",
    "erase_aspect",
    "erase_log_aspect",
    "erase_value",
    "erase_pixel_level",
    "erase_order",
)


@dataclass(frozen=True, kw_only=True)
class ImageConfig(DataSettings, AugmentSettings, SweepSettings, LearningRateConfig):
    """Training a classifier of images."""

    validation: ImageValidation = "test"  # type: ignore[assignment]
    mixed_precision: bool = False
    threads: Annotated[int, Ge(1), Le(1024)] | None = None

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
        told = super().warnings()
        if not self.is_sweep:
            told += [f"{name} has no effect on a single run" for name in self.chosen(*_OF_SWEEPS)]
        return [*told, *augmentation_warnings(self)]

    @property
    def architecture(self) -> Architecture:
        """The kind of network that is trained."""
        raise NotImplementedError

    def describe_model(self) -> str:
        """The network, in words."""
        return self.architecture.describe(self)


def augmentation_warnings(config: Any) -> list[str]:
    """What of the augmentation of a config (with AugmentSettings) has no effect."""
    told = []
    if not config.erasing:
        told += [f"{name} has no effect without erasing" for name in config.chosen(*_READ_BY_ERASING)]
    elif not config.erase_p:
        told.append("erase_p 0 erases nothing")
    if config.copies > 1 and not config.changes_images:
        told.append(f"copies {config.copies} are all the same without augmentation: the same updates at a higher cost")
    return told
