"""From the settings of augmentation to what is done to a batch."""

from __future__ import annotations

from stopcli.augment.base import Augmentation, Step
from stopcli.augment.cutout import CutoutOp
from stopcli.augment.erasing import ErasingOp
from stopcli.augment.shift import ShiftAndFlip
from stopcli.recipes.images.settings import NEAREST_SHARE, SIMPLE_PIXELS, AugmentSettings


def make_augmentation(settings: AugmentSettings) -> Augmentation | None:
    """What is done to training images in [0, 1]; None for nothing."""
    shifts: dict[str, list[Step]] = {
        "none": [],
        "simple": [ShiftAndFlip(SIMPLE_PIXELS)],
        "nearest": [ShiftAndFlip(fill="nearest", fraction=NEAREST_SHARE)],
    }
    steps = shifts[settings.augment]
    if settings.erasing:
        erase = ErasingOp(
            settings.erase_p,
            settings.erase_area,
            settings.erase_aspect,
            settings.erase_value,
            settings.erase_pixel_level,
            settings.erase_log_aspect,
        )
        steps.insert(0 if settings.erase_order == "before" else len(steps), erase)
    if settings.cutout is not None:
        steps.append(CutoutOp(settings.cutout))
    return Augmentation(tuple(steps)) if steps else None
