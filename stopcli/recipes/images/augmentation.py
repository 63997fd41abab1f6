"""From the settings of augmentation to what is done to a batch."""

from __future__ import annotations

from stopcli.augment.pipeline import Augmentation, CutoutStep, ErasingStep, FlipStep, ShiftStep, Step
from stopcli.recipes.images.settings import AugmentSettings

# He et al. 2015, section 4.2.
SHIFT_PIXELS, FLIP_PROBABILITY = 4, 0.5


def make_augmentation(settings: AugmentSettings) -> Augmentation | None:
    """What is done to training images in [0, 1]; None for nothing."""
    steps: list[Step] = []
    if settings.augment == "simple":
        steps += [ShiftStep(SHIFT_PIXELS), FlipStep(FLIP_PROBABILITY)]
    if settings.erasing:
        erasing = ErasingStep(
            settings.erase_p,
            settings.erase_area,
            settings.erase_aspect,
            settings.erase_value,
            pixel_level=settings.erase_pixel_level,
            log_aspect=settings.erase_log_aspect,
        )
        steps.insert(0 if settings.erase_order == "before" else len(steps), erasing)
    if settings.cutout is not None:
        steps.append(CutoutStep(settings.cutout))
    return Augmentation(tuple(steps)) if steps else None
