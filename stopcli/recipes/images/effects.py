"""What the augmentation of some settings comes to on images of a size: whether it does and leaves anything."""

from __future__ import annotations

from stopcli.augment.ranges import check_boxes_fit, cutout_fraction, useless_boxes
from stopcli.errors import ConfigError, RequestError
from stopcli.recipes.images.settings import NEAREST_SHARE, SIMPLE_PIXELS, AugmentSettings

# Of the boxes of erasing, and of an image's pixels under cutout, on average; more are warned about.
_MANY_EMPTY, _MUCH_CUT_OUT = 0.1, 0.5


def check_effects(config: AugmentSettings, height: int, width: int) -> list[str]:
    """What has little effect or too much on images of this size, a sentence each.

    Raises:
        RequestError: of an image nothing may be left, or erasing erases nothing.
    """
    size = f"{height} × {width}"
    return [
        *_of_shifts(config, height, width, size),
        *(_of_erasing(config, height, width, size) if config.erasing else ()),
        *_of_cutout(config, height, width, size),
    ]


def _of_shifts(config: AugmentSettings, height: int, width: int, size: str) -> list[str]:
    if config.augment == "simple" and min(height, width) <= SIMPLE_PIXELS:
        return [f"augment simple moves images by up to {SIMPLE_PIXELS} pixels, so nothing is left of some of {size}"]
    if config.augment == "nearest" and max(height, width) * NEAREST_SHARE < 1:
        return [
            f"augment nearest moves no image of {size}: {NEAREST_SHARE * 100:.0f} % of its sides is less than a pixel"
        ]
    return []


def _of_erasing(config: AugmentSettings, height: int, width: int, size: str) -> list[str]:
    area, aspect, log_aspect = config.erase_area, config.erase_aspect, config.erase_log_aspect
    try:
        check_boxes_fit(area, aspect, log_aspect=log_aspect, height=height, width=width)
    except ValueError as error:
        raise RequestError(f"--erase-area, --erase-aspect: {error}") from None
    empty, whole = useless_boxes(area, aspect, log_aspect=log_aspect, height=height, width=width)
    if empty == 1:
        pixels = " to ".join(f"{share * height * width:.2g}" for share in area)
        expected = (
            f"boxes that have a pixel; of images of {size}, these have an area of {pixels} pixels, and erase nothing"
        )
        raise ConfigError("erase_area", area, expected)
    if whole == 1:
        raise ConfigError("erase_area", area, f"boxes that leave something of images of {size}; these cover all of one")
    if empty > _MANY_EMPTY:
        return [f"erasing erases nothing with {empty * 100:.0f} % of its boxes: in images of {size} they have no pixel"]
    return []


def _of_cutout(config: AugmentSettings, height: int, width: int, size: str) -> list[str]:
    if config.cut_out is None:
        return []
    setting, side = config.cut_out
    if side >= max(height, width):
        raise ConfigError(
            setting,
            side,
            f"less than {max(height, width)}: images are {size}, and such a square can cut out all of one",
            hint=f"A square of half the side, {max(height, width) // 2}, is what was published for CIFAR-10.",
        )
    share = cutout_fraction(side, height, width)
    if share > _MUCH_CUT_OUT:
        return [f"{setting} {side} cuts out {share * 100:.0f} % of an image of {size} on average"]
    return []
