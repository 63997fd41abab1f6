"""The images that a config names, in parts, and what the user should know of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from stopcli.data.dataset import ImageSet, Splits, images_in_both, split_images, subsample
from stopcli.data.load import FolderRules, load_images
from stopcli.data.named import DATASET_NAMES
from stopcli.quantities import agreeing, counted
from stopcli.recipes.base import Loaded
from stopcli.recipes.images.effects import check_effects
from stopcli.recipes.images.settings import DataSettings, ImageConfig
from stopcli.training.session import Observer

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


def load(config: ImageConfig, observer: Observer) -> Loaded:
    """Read, limit and split the images.

    Returns:
        The config with the data set that was found (where it was `auto`) and, at quick scale, no more images than there
        are; the ImageParts.
    """
    config, images, parts, notes = read_parts(config, observer)
    notes += config.notes_on_rows(parts, "image") + config.notes_on_updates(parts.train.batches(config.batch_size))
    return Loaded(config, ImageParts(images.name, parts, images.classes), notes, _words(config, images, parts))


def read_parts(config: AnyImages, observer: Observer) -> tuple[AnyImages, ImageSet, Splits, tuple[str, ...]]:
    """The images that settings name: the settings as `load` gives them, what was found, its parts, and notes."""
    images = load_images(
        config.dataset,
        image_size=config.image_size,
        rules=FolderRules(config.validation == "split", config.validation == "folder", config.skip_unreadable),
        tell=observer.counted,
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


def data_words(images: ImageSet, parts: Splits) -> str:
    """What there is to train on, in words."""
    height, width = parts.train.x.shape[1:3]
    images_to_train = agreeing(images.train.count, "image", "images")
    share = f" of {images.train.count:,}" if parts.train.count < images.train.count else ""
    return (
        f"Data: {images.name}, {len(images.classes)} classes, {height} × {width}: "
        f"{parts.train.count:,}{share} {images_to_train} to train on"
    )


def _words(config: ImageConfig, images: ImageSet, parts: Splits) -> tuple[str, ...]:
    tested = f"{parts.test.count:,} to test"
    if parts.test_is_held_out:
        tested = f"{parts.validation.count:,} to validate, {tested}"
    return (f"{data_words(images, parts)}, {tested}.", *training_words(config, parts))


def training_words(config: ImageConfig, parts: Splits) -> tuple[str, ...]:
    """How a classifier is trained, a line each."""
    steps = parts.train.batches(config.batch_size)
    return (
        f"Training: {config.describe_model()}, {counted(config.epochs, 'epoch')} of {counted(steps, 'step')}, "
        f"batch {config.batch_size}, {config.describe_optimizer()}, {config.describe_learning_rate()}.",
        f"Augmentation: {config.describe_augmentation()}.",
    )
