"""The settings that every recipe on images has: data, augmentation, learning rate."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from stopcli.config import Count, Natural, NonNegative, Positive, Seed, SweepSettings
from stopcli.errors import ConfigError
from stopcli.recipes.trained import TrainedConfig
from stopcli.schedules.drops import describe_drops, parse_drops, published_drops

Augment = Literal["none", "simple"]
EraseOrder = Literal["before", "after"]
LearningRatePolicy = Literal["step", "constant", "cosine", "plateau", "clr"]
CyclicModeName = Literal["triangular", "triangular2", "exp_range"]
Range = tuple[float, float]
Probability = Annotated[float, Ge(0), Le(1)]

# A share that is split off where the user names none.
DEFAULT_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which images are trained on."""

    dataset: str = "auto"
    image_size: Annotated[int, Ge(8), Le(1024)] | None = None
    limit: Count | None = None
    data_seed: Seed = 0
    subtract_mean: bool = False


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


@dataclass(frozen=True, kw_only=True)
class LearningRateSettings:
    """How the learning rate moves; `learning_rate` is what it starts from (of `clr`: base_lr)."""

    lr_policy: LearningRatePolicy = "step"
    lr_drops: str = "auto"
    lr_min: NonNegative = 0.0
    lr_warmup: Natural = 0
    lr_factor: Annotated[float, Gt(0), Lt(1)] = 0.1
    lr_patience: Count = 10
    base_lr: NonNegative = 1e-7
    max_lr: Positive = 1e-2
    clr_mode: CyclicModeName = "triangular"
    gamma: Annotated[float, Gt(0), Le(1)] = 0.99994
    step_size: Positive = 8.0


# Settings that a policy reads, for those who set one that it does not.
_READ_BY = {
    "learning_rate": ("step", "constant", "cosine", "plateau"),
    "lr_drops": ("step",),
    "lr_min": ("cosine", "plateau"),
    "lr_warmup": ("cosine",),
    "lr_factor": ("plateau",),
    "lr_patience": ("plateau",),
    "base_lr": ("clr",),
    "max_lr": ("clr",),
    "clr_mode": ("clr",),
    "gamma": ("clr",),
    "step_size": ("clr",),
}
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
class ImageConfig(DataSettings, AugmentSettings, LearningRateSettings, SweepSettings, TrainedConfig):
    """Training a classifier of images."""

    mixed_precision: bool = False
    threads: Annotated[int, Ge(1), Le(1024)] | None = None

    @property
    def share(self) -> float:
        """The share of images that validate, where they are split off."""
        return self.validation_share or DEFAULT_SHARE

    @property
    def arm(self) -> str:
        augmentation = [] if self.augment == "simple" else ["no-augmentation"]
        if self.erasing:
            augmentation.append("pixel-erasing" if self.erase_pixel_level else "erasing")
        if self.cutout is not None:
            augmentation.append(f"cutout-{self.cutout}")
        if self.copies > 1:
            augmentation.append(f"m{self.copies}")
        policy = [] if self.lr_policy == "step" else [self.lr_policy]
        rules = super().arm
        return "-".join([*(augmentation or ["simple"]), *policy, *([] if rules == "no-stopping" else [rules])])

    @property
    def cost(self) -> float:
        return float(self.copies * self.epochs)

    @property
    def moves_with_epochs(self) -> str:
        scaled = self.lr_policy == "step" and self.lr_drops == "auto"
        return f"lr_policy {self.lr_policy}" if scaled or self.lr_policy == "cosine" else ""

    def check(self) -> None:
        super().check()
        self.check_augmentation()
        self._check_learning_rate()

    def _check_learning_rate(self) -> None:
        parse_drops(self.lr_drops, self.epochs)
        if self.lr_policy in ("cosine", "plateau") and self.lr_min >= self.learning_rate:
            raise ConfigError("lr_min", self.lr_min, f"less than learning_rate ({self.learning_rate:g})")
        if self.lr_policy == "cosine" and self.lr_warmup >= self.epochs:
            raise ConfigError("lr_warmup", self.lr_warmup, f"less than epochs ({self.epochs})")
        if self.lr_policy == "clr" and self.base_lr >= self.max_lr:
            raise ConfigError("base_lr", self.base_lr, f"less than max_lr ({self.max_lr:g})")

    def warnings(self) -> list[str]:
        told = super().warnings()
        if not self.is_sweep:
            told += [
                f"{name} has no effect on a single run"
                for name in _OF_SWEEPS
                if getattr(self, name) != _defaults()[name]
            ]
        changed = {name for name, default in _defaults().items() if getattr(self, name) != default}
        told += [
            f"{name} has no effect with lr_policy {self.lr_policy}"
            for name, policies in _READ_BY.items()
            if name in changed and self.lr_policy not in policies
        ]
        if not self.erasing:
            told += [f"{name} has no effect without erasing" for name in _READ_BY_ERASING if name in changed]
        if self.copies > 1 and not self.changes_images:
            told.append(
                f"copies {self.copies} are all the same without augmentation: the same updates at a higher cost"
            )
        cycle = 2 * self.step_size
        if self.lr_policy == "clr" and self.epochs % cycle:
            ends = sorted({max(cycle, self.epochs // cycle * cycle), (self.epochs // cycle + 1) * cycle})
            told.append(
                f"training ends within a cycle of the learning rate ({cycle:g} epochs); "
                f"{' or '.join(f'{end:g}' for end in ends)} epochs would end with one"
            )
        return told

    def describe_model(self) -> str:
        """What is trained, in words."""
        raise NotImplementedError

    def describe_learning_rate(self) -> str:
        """How the learning rate moves, in words."""
        start = f"learning rate {self.learning_rate:g}"
        if self.lr_policy == "step":
            words = f"{start}, {describe_drops(parse_drops(self.lr_drops, self.epochs))}"
            scaled = self.lr_drops == "auto" and published_drops(self.epochs) != published_drops(100)
            return f"{words} (the published drops of 100 epochs, scaled to {self.epochs})" if scaled else words
        if self.lr_policy == "cosine":
            warmup = f" after {self.lr_warmup} epochs of warm-up" if self.lr_warmup else ""
            return f"{start} to {self.lr_min:g} along a cosine{warmup}"
        if self.lr_policy == "plateau":
            return f"{start}, ×{self.lr_factor:g} where {self.monitor} has not improved for {self.lr_patience} epochs"
        if self.lr_policy == "clr":
            bounds = f"learning rate {self.base_lr:g} to {self.max_lr:g}"
            return f"{bounds}, {self.clr_mode}, {self.step_size:g} epochs a step"
        return f"{start}, constant"

    def describe_augmentation(self) -> str:
        """What is done to training images, in words."""
        parts = ["shift up to 4 pixels and flip"] if self.augment == "simple" else []
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


def _defaults() -> dict[str, object]:
    return {field.name: field.default for field in fields(ImageConfig)}
