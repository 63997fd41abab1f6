"""Checks before a run on images starts: whether data and augmentation make sense, and whether batches fit in memory."""

from collections.abc import Sequence
from typing import Any

from stopcli.augment.ranges import check_boxes_fit, cutout_fraction, useless_boxes
from stopcli.configs.images import NEAREST_SHARE, SIMPLE_PIXELS, AugmentSettings
from stopcli.control_groups import available_bytes
from stopcli.data.dataset import Splits, images_in_both
from stopcli.errors import ConfigError, RequestError
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job

# Measured as the peak of a training process, ResNet-8, -20 and -44 on 64 to 2048 images of 32 × 32 and MiniGoogLeNet of
# a quarter and of full width on 64 to 512: what TensorFlow and the data take, and what an image of a batch takes for
# each of its pixels and with each block of a stage of a ResNet, or with the width of a MiniGoogLeNet.
_PROCESS_BYTES = 0.8e9
# Of the memory that is free; the estimate is good to a tenth.
_SHARE = 0.85

AnyImageConfig = Any
"""Settings of a run on images: of ResNets alone, or with a `model`."""


def batch_bytes(config: AnyImageConfig, height: int, width: int) -> float:
    """What training on one batch takes, roughly."""
    per_pixel: float = config.architecture.bytes_per_pixel(config)
    return per_pixel * height * width * float(config.batch_size * config.copies)


def check_batches_fit(jobs: Sequence[Job[Any]], layout: Layout, height: int, width: int) -> None:
    """Raise RequestError where the jobs that run at a time would need more memory than there is.

    On a GPU, and on Ray's machines, the memory that counts is not this machine's.
    """
    free = available_bytes()
    if free is None or layout.gpu or layout.ray_address or not jobs:
        return
    needed = sorted((batch_bytes(job.config, height, width) + _PROCESS_BYTES for job in jobs), reverse=True)
    workers, room = min(layout.workers, len(jobs)), _SHARE * free
    if sum(needed[:workers]) <= room:
        return
    largest = max(jobs, key=lambda job: batch_bytes(job.config, height, width)).config
    one = batch_bytes(largest, height, width) / largest.copies
    fits = [int((room / at_once - _PROCESS_BYTES) / one) for at_once in (workers, 1)]
    images = largest.batch_size * largest.copies
    of_copies = f"M = {largest.copies} with " if largest.copies > 1 else ""
    model = largest.describe_model().removesuffix(" v1")
    raise RequestError(
        f"{of_copies}batch_size {largest.batch_size} trains {model} on {images:,} images at a time; "
        f"{workers} such runs at a time need about {sum(needed[:workers]) / 1e9:.1f} GB of memory, "
        f"and {free / 1e9:.1f} GB are free",
        hint=_what_fits(largest.copies, workers, fits),
    )


def _what_fits(copies: int, workers: int, fits: list[int]) -> str:
    """What would have room.

    Args:
        fits: the most copies, with `workers` runs at a time and with one.
    """
    if copies == 1:
        return "A smaller --batch-size needs less" + (", and so does --jobs 1." if workers > 1 else ".")
    most = f"At most M = {fits[0]} fits" if fits[0] > 0 else "No M fits, but a smaller --batch-size might"
    more = f"; with --jobs 1, M = {fits[1]}" if workers > 1 and fits[1] > max(fits[0], 0) else ""
    return f"{most}{more}."


# Of the boxes of erasing, and of an image's pixels under cutout, on average; more are warned about.
_MANY_EMPTY, _MUCH_CUT_OUT = 0.1, 0.5


def check_effects(config: AugmentSettings, height: int, width: int) -> list[str]:
    """Warnings about augmentation that has little effect, or too much, on images of this size. Raises RequestError
    where of an image nothing may be left, or erasing erases nothing."""
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


def images_in_several_parts(parts: Splits) -> list[str]:
    """Warnings about images that are in two parts, and so are not new to the model or to the rules."""
    pairs = [("test", parts.test, "training", parts.train)]
    if parts.test_is_held_out:
        pairs.append(("validation", parts.validation, "training", parts.train))
        pairs.append(("test", parts.test, "validation", parts.validation))
    counts = [(images_in_both(rows, others), rows.count, name, among) for name, rows, among, others in pairs]
    return [
        f"{count:,} of {of:,} {name} images also stand in the {among} images, pixel by pixel"
        for count, of, name, among in counts
        if count
    ]
