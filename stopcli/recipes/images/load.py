"""The images that a config names, in parts, and what the user should know of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from stopcli.augment.ranges import check_boxes_fit
from stopcli.data.datasets import load_images
from stopcli.data.images import ImageSet
from stopcli.data.rows import Parts
from stopcli.data.subsets import limited, split_images
from stopcli.errors import RequestError
from stopcli.recipes.images.settings import ImageConfig
from stopcli.recipes.recipe import Loaded
from stopcli.training.observer import Observer
from stopcli.training.tensorflow_setup import start_tensorflow


@dataclass(frozen=True)
class ImageParts:
    """Images to train on.

    Attributes:
        dataset: what they are: `cifar10`, `digits`, or a folder.
        parts: x uint8 [rows, height, width, 3], y int32 [rows].
        classes: the classes' names.
    """

    dataset: str
    parts: Parts
    classes: tuple[str, ...]


def load(config: ImageConfig, observer: Observer) -> Loaded:
    """Read, limit and split the images.

    Returns:
        The config with the data set that was found (where it was `auto`) and, at quick scale, no more images than there
        are; the ImageParts.
    """
    images = load_images(
        config.dataset,
        image_size=config.image_size,
        single_ok=config.validation == "split",
        tell=observer.counted,
        before_download=start_tensorflow,
    )
    config = replace(config, dataset=_stable_name(images))
    if config.erasing:
        _check_boxes(config, images)
    parts = split_images(images, config.validation, config.share, config.data_seed)
    if config.limit is not None and config.scale == "quick" and config.limit == type(config).quick.get("limit"):
        # The scale's limit, not the user's, who would want to know that there are fewer.
        config = replace(config, limit=min(config.limit, parts.train.count))
    if config.limit is not None:
        parts = replace(parts, train=limited(parts.train, config.limit, config.data_seed, images.classes))
    return Loaded(config, ImageParts(images.name, parts, images.classes), images.notes, _words(config, images, parts))


def _stable_name(images: ImageSet) -> str:
    """The data set's name for a config that is read again from another folder."""
    return images.name if images.name in ("cifar10", "digits") else str(Path(images.name).resolve())


def _check_boxes(config: ImageConfig, images: ImageSet) -> None:
    height, width = images.train.x.shape[1:3]
    try:
        check_boxes_fit(
            config.erase_area, config.erase_aspect, log_aspect=config.erase_log_aspect, height=height, width=width
        )
    except ValueError as error:
        raise RequestError(f"--erase-area, --erase-aspect: {error}") from None


def _words(config: ImageConfig, images: ImageSet, parts: Parts) -> tuple[str, ...]:
    height, width = parts.train.x.shape[1:3]
    share = f" of {images.train.count:,}" if parts.train.count < images.train.count else ""
    tested = f"{parts.test.count:,} to test"
    if parts.test_is_held_out:
        tested = f"{parts.validation.count:,} to validate, {tested}"
    steps = -(-parts.train.count // config.batch_size)
    return (
        f"Data: {images.name}, {len(images.classes)} classes, {height} × {width}: "
        f"{parts.train.count:,}{share} images to train on, {tested}.",
        f"Training: {config.describe_model()}, {config.epochs} epochs of {steps} steps, batch {config.batch_size}, "
        f"{config.optimizer}, {config.describe_learning_rate()}.",
        f"Augmentation: {config.describe_augmentation()}.",
    )
