"""What recipes on images share: their data, whether these and their augmentation make sense and fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stopcli.augment.ranges import check_boxes_fit, cutout_fraction, useless_boxes
from stopcli.configs.images import NEAREST_SHARE, SIMPLE_PIXELS, AugmentSettings, DataSettings, ImageConfig
from stopcli.data.dataset import ImageSet, Splits, images_in_both, split_images, subsample
from stopcli.data.load import FolderRules, load_images
from stopcli.data.memory import available_bytes
from stopcli.data.named import DATASET_NAMES
from stopcli.errors import ConfigError, RequestError
from stopcli.quantities import agreeing, counted
from stopcli.recipes.base import LoadedConfig
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job
from stopcli.training.session import Observer

if TYPE_CHECKING:
    from stopcli.augment.base import Augmentation, Step

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


AnyImages = TypeVar("AnyImages", bound=Any)


@dataclass(frozen=True)
class ImageParts:
    """Images to train on.

    Attributes:
        dataset: what they are: `cifar10`, `digits`, or a folder.
        parts: x uint8 [rows, height, width, 3], y int32 [rows].
        classes: the classes' names.
        pixels: whether the rows are images; else they are points, x float32 [rows, 2], y float32 [rows, 1] of 0 and 1.
    """

    dataset: str
    parts: Splits
    classes: tuple[str, ...]
    pixels: bool = True


def load(config: ImageConfig, observer: Observer) -> LoadedConfig:
    """Read, limit and split the images.

    Returns:
        The config with the data set that was found (where it was `auto`) and, at quick scale, no more images than there
        are; the ImageParts.
    """
    config, images, parts, notes = read_parts(config, observer)
    notes += config.notes_on_rows(parts, "image") + config.notes_on_updates(parts.train.batches(config.batch_size))
    return LoadedConfig(
        config, ImageParts(images.name, parts, images.classes), notes, _description(config, images, parts)
    )


def read_parts(config: AnyImages, observer: Observer) -> tuple[AnyImages, ImageSet, Splits, tuple[str, ...]]:
    """The images that settings name: the settings as `load` gives them, what was found, its parts, and notes."""
    images = load_images(
        config.dataset,
        image_size=config.image_size,
        rules=FolderRules(config.validation == "split", config.validation == "folder", config.skip_unreadable),
        on_progress=observer.counted,
    )
    config = replace(config, dataset=_stable_name(images))
    effects = check_effects(config, *images.train.x.shape[1:3])
    parts = split_images(images, config.validation, config.share, config.data_seed)
    quick = type(config).quick if config.scale == "quick" else {}
    # The scale's limits, not the user's, who would want to know that there are fewer.
    for name, rows in (("limit", parts.train), ("test_limit", parts.test)):
        if getattr(config, name) is not None and getattr(config, name) == quick.get(name):
            config = replace(config, **{name: min(getattr(config, name), rows.count)})
    parts = limit_parts(parts, config, images.classes)
    if config.skip_unreadable and images.name in DATASET_NAMES:
        effects.append(f"skip_unreadable has no effect on {images.name}")
    return config, images, parts, (*images.notes, *_images_in_several(parts), *effects)


def limit_parts(parts: Splits, config: DataSettings, classes: tuple[str, ...]) -> Splits:
    """Parts with no more images than the settings say. Images that validate and test stay the same ones."""
    if config.limit is not None:
        parts = replace(parts, train=subsample(parts.train, config.limit, config.data_seed, classes))
    if config.test_limit is not None:
        test = subsample(parts.test, config.test_limit, config.data_seed, classes, setting="test_limit")
        parts = replace(parts, test=test, validation=parts.validation if parts.test_is_held_out else test)
    return parts


def _stable_name(images: ImageSet) -> str:
    """The data set's name for a config that is read again from another folder."""
    return images.name if images.name in DATASET_NAMES else str(Path(images.name).resolve())


def _images_in_several(parts: Splits) -> list[str]:
    """What images stand in two parts, which would then be no strangers to the model or to the rules."""
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


def data_description(images: ImageSet, parts: Splits) -> str:
    """What there is to train on, in words."""
    height, width = parts.train.x.shape[1:3]
    images_to_train = agreeing(images.train.count, "image", "images")
    share = f" of {images.train.count:,}" if parts.train.count < images.train.count else ""
    return (
        f"Data: {images.name}, {len(images.classes)} classes, {height} × {width}: "
        f"{parts.train.count:,}{share} {images_to_train} to train on"
    )


def _description(config: ImageConfig, images: ImageSet, parts: Splits) -> tuple[str, ...]:
    tested = f"{parts.test.count:,} to test"
    if parts.test_is_held_out:
        tested = f"{parts.validation.count:,} to validate, {tested}"
    return (f"{data_description(images, parts)}, {tested}.", *training_description(config, parts))


def training_description(config: ImageConfig, parts: Splits) -> tuple[str, ...]:
    """How a classifier is trained, a line each."""
    steps = parts.train.batches(config.batch_size)
    return (
        f"Training: {config.describe_model()}, {counted(config.epochs, 'epoch')} of {counted(steps, 'step')}, "
        f"batch {config.batch_size}, {config.describe_optimizer()}, {config.describe_learning_rate()}.",
        f"Augmentation: {config.describe_augmentation()}.",
    )


def make_augmentation(settings: AugmentSettings) -> Augmentation | None:
    """What is done to training images in [0, 1]; None for nothing."""
    from stopcli.augment.base import Augmentation
    from stopcli.augment.cutout import CutoutOp
    from stopcli.augment.erasing import ErasingOp
    from stopcli.augment.shift import ShiftAndFlip

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
