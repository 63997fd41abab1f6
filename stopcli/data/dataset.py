"""Rows of a data set, in memory, and the parts that they are split into.

Sets of images in memory.

Shares of rows as whole rows.

Parts of image sets in which every class has its share.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import ConfigError, RequestError
from stopcli.seeding import derive_seed


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and targets with one row an example.

    Attributes:
        x: shape [rows, …], any dtype that the model takes.
        y: shape [rows, …], any dtype that the loss takes.
    """

    x: NDArray[Any]
    y: NDArray[Any]

    @property
    def count(self) -> int:
        return len(self.x)

    def batches(self, size: int) -> int:
        """Batches of `size` rows that hold all of them; the last may be smaller."""
        return -(-self.count // size)

    def take(self, start: int, stop: int) -> Examples:
        return Examples(self.x[start:stop], self.y[start:stop])


@dataclass(frozen=True)
class Splits:
    """A data set in parts.

    Attributes:
        train: what the model is fitted to.
        validation: what stopping rules and checkpoints look at.
        test: what the result is reported on. It may be the validation part itself, as in much published work.
    """

    train: Examples
    validation: Examples
    test: Examples

    @property
    def test_is_held_out(self) -> bool:
        """Whether the test rows are untouched by every choice made in training."""
        return self.test is not self.validation

    def evaluated(self) -> dict[str, Examples]:
        """The parts that are measured after every epoch, by the prefix of their metrics' names."""
        parts = {"val": self.validation}
        if self.test_is_held_out:
            parts["test"] = self.test
        return parts


Tell = Callable[[str, int, int], None]
"""Is told of something long: what it is, how much is done, of how much."""


def tell_nobody(what: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their classes.

    Attributes:
        name: `cifar10`, `digits`, or where they were read from.
        train, test: x uint8, [rows, height, width, 3]; y int32, [rows], the class's index.
        classes: the classes' names.
        notes: what the user should know of them, a sentence without a full stop each.
        validation: images of a folder of their own that validate, like `test`; None where there are none, or none are
            asked for.
    """

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    validation: Examples | None = None


def fraction_of(rows: int, fraction: float) -> int:
    """How many of some rows a share of them is, at least one and not all (`rows` ≥ 2)."""
    return min(max(math.floor(rows * fraction + 0.5), 1), rows - 1)


def subsample(rows: Examples, limit: int, seed: int, classes: tuple[str, ...], setting: str = "limit") -> Examples:
    """Some of the images, of every class its share, in the order in which they stand.

    Args:
        limit: how many, from the number of classes to that of the images.
        seed: which ones. The same seed takes the same images.
        setting: the limit's name in the user's words, `limit` (training images) or `test_limit`.

    Raises:
        ConfigError: the limit is out of its range.
    """
    if not len(classes) <= limit <= rows.count:
        kind = "training" if setting == "limit" else "test"
        expected = f"{len(classes)} (one of each class) to {rows.count}, the {kind} images there are"
        raise ConfigError(setting, limit, expected)
    return _at(rows, _chosen(rows.y, limit, derive_seed(seed, setting)))


def split_images(images: ImageSet, validation: str, fraction: float, seed: int) -> Splits:
    """The images in parts; what validates is

    - `test`: the test images themselves, as in the published work;
    - `split`: a share of the training images, drawn by the seed;
    - `holdout`: a share of the test images, drawn by the seed, so that as many train as published;
    - `folder`: images of a folder of their own.

    Args:
        fraction: in (0, 1).

    Raises:
        RequestError: a class has too few images to be split, or there is no such folder.
    """
    if validation == "folder":
        if images.validation is None:
            raise no_validation_folder(images.name)
        return Splits(images.train, images.validation, images.test)
    if validation == "test":
        return Splits(images.train, images.test, images.test)
    of = images.train if validation == "split" else images.test
    counts = np.bincount(of.y, minlength=len(images.classes))
    if counts.min() < 2:
        name = images.classes[int(np.argmin(counts))]
        raise RequestError(f"{images.name}: class {name} has {counts.min()} images, too few to split some off")
    wanted = max(len(images.classes), min(round(of.count * fraction), of.count - len(images.classes)))
    taken = _chosen(of.y, wanted, derive_seed(seed, "validation"), leave=1)
    others = np.setdiff1d(np.arange(of.count), taken)
    if validation == "split":
        return Splits(_at(images.train, others), _at(images.train, taken), images.test)
    return Splits(images.train, _at(images.test, taken), _at(images.test, others))


def no_validation_folder(dataset: str) -> ConfigError:
    """The error that a data set has no folder of images that could validate."""
    return ConfigError("validation", "folder", f"test, split or holdout: {dataset} is no folder of images")


def images_in_both(rows: Examples, others: Examples) -> int:
    """How many images also stand among others, pixel by pixel."""
    indices: dict[int, list[int]] = {}
    for index, image in enumerate(others.x):
        indices.setdefault(_checksum(image), []).append(index)
    return sum(
        any(np.array_equal(image, others.x[index]) for index in indices.get(_checksum(image), ())) for image in rows.x
    )


def _checksum(image: NDArray[np.uint8]) -> int:
    """Of few images the same; those are compared. A hash that has no collisions would take longer."""
    return zlib.crc32(np.ascontiguousarray(image).data)


def _at(rows: Examples, indices: NDArray[np.intp]) -> Examples:
    return Examples(rows.x[indices], rows.y[indices])


def _chosen(y: NDArray[np.int32], count: int, seed: int, *, leave: int = 0) -> NDArray[np.intp]:
    """Places of `count` rows, of every class its share, at least one of each, with `leave` of each left over."""
    labels, sizes = np.unique(y, return_counts=True)
    sizes = sizes - leave
    exact = sizes * (count / sizes.sum())
    taken = np.clip(np.floor(exact).astype(int), 1, sizes)
    # What rounding down left over goes to the classes that lost most by it; where 1 was too many, it comes back.
    while taken.sum() != count:
        lacking = exact - taken
        if taken.sum() < count:
            taken[np.argmax(np.where(taken < sizes, lacking, -np.inf))] += 1
        else:
            taken[np.argmin(np.where(taken > 1, lacking, np.inf))] -= 1
    draw = np.random.Generator(np.random.PCG64(seed))
    indices = [draw.permutation(np.flatnonzero(y == label))[:n] for label, n in zip(labels, taken, strict=True)]
    return np.sort(np.concatenate(indices))
