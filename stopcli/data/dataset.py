"""Data sets in memory, and how their rows are split and sampled."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.nest import Nest, leaves, map_nest, replace_leaves
from stopcli.data.row_view import RowView, joined_rows, rows_of
from stopcli.errors import ConfigError, RequestError
from stopcli.quantities import counted
from stopcli.seeding import derive_seed


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and targets, a row for each example.

    Attributes:
        x: shape [rows, …], any dtype that the model takes; a nest of such arrays for a model with several inputs. A
            large array may be a RowView.
        y: shape [rows, …], any dtype that the loss takes; a nest of such arrays for a model with several outputs.
        weight: how much each row counts in the loss, float [rows]; None where all count the same.
    """

    x: Nest
    y: Nest
    weight: NDArray[Any] | None = None

    @property
    def count(self) -> int:
        return len(leaves(self.x)[0])

    @property
    def is_large(self) -> bool:
        """Whether an array is a RowView, so that some rows at a time are passed to TensorFlow."""
        return any(isinstance(array, RowView) for array in (*leaves(self.x), *leaves(self.y)))

    def batches(self, size: int) -> int:
        """Batches of `size` rows that hold all of them; the last may be smaller."""
        return -(-self.count // size)

    def take(self, start: int, stop: int) -> Examples:
        return self._map(lambda array: rows_of(array, slice(start, stop)))

    def at(self, indices: NDArray[Any]) -> Examples:
        return self._map(lambda array: rows_of(array, indices))

    def joined(self, others: Examples) -> Examples:
        """These rows, and others like them behind them. Rows of one large array stay a view of it."""
        weight = None
        if self.weight is not None or others.weight is not None:
            weight = np.concatenate([_weights(self), _weights(others)])
        x, y = (
            replace_leaves(ours, [joined_rows(*pair) for pair in zip(leaves(ours), leaves(theirs), strict=True)])
            for ours, theirs in ((self.x, others.x), (self.y, others.y))
        )
        return Examples(x, y, weight)

    def _map(self, function: Callable[[NDArray[Any]], NDArray[Any]]) -> Examples:
        weight = None if self.weight is None else function(self.weight)
        return Examples(map_nest(function, self.x), map_nest(function, self.y), weight)


def _weights(rows: Examples) -> NDArray[Any]:
    """How much each row counts in the loss; 1 where nobody says it."""
    return np.ones(rows.count, np.float32) if rows.weight is None else rows.weight


@dataclass(frozen=True)
class Splits:
    """A data set in parts.

    Attributes:
        train: what the model is fitted to.
        validation: what stopping rules and checkpoints read; 0 rows where none validate.
        test: what the result is reported on; 0 rows where none test. It may be the validation part itself, as in much
            published work.
        numbers: of parts that were drawn from other rows, by `train`, `validation`, `test`: which of these each row
            was, int [rows].
    """

    train: Examples
    validation: Examples
    test: Examples
    numbers: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def test_is_held_out(self) -> bool:
        """Whether the test rows are untouched by every choice made in training."""
        return self.test is not self.validation

    def evaluated(self) -> dict[str, Examples]:
        """The parts with rows that are measured after every epoch, by the prefix of their metrics' names."""
        parts = {"val": self.validation}
        if self.test_is_held_out:
            parts["test"] = self.test
        return {prefix: rows for prefix, rows in parts.items() if rows.count}


OnProgress = Callable[[str, int, int], None]
"""Reports the progress of something long: what it is, how much is done, of how much."""


def ignore_progress(what: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their classes.

    Attributes:
        name: that of a named data set, or where they were read from.
        train, test: x uint8, [rows, height, width, 3]; y int32, [rows], the class's index.
        classes: the classes' names.
        notes: what the user should know about them, a sentence without a full stop each.
        validation: images of a separate folder that validate, like `test`; None for none.
        suggested: what validates where nobody says it; `validation` of `split_images`.
        left_out: which files were left out and why, a row of a CSV file each.
    """

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    validation: Examples | None = None
    suggested: str = "test"
    left_out: Sequence[Mapping[str, object]] = ()


def fraction_of(rows: int, fraction: float) -> int:
    """A fraction of some rows (≥ 2) in whole rows, at least one and not all."""
    return min(max(math.floor(rows * fraction + 0.5), 1), rows - 1)


def subsample(rows: Examples, limit: int, seed: int, classes: tuple[str, ...], setting: str = "limit") -> Examples:
    """Some of the images in their order, each class in proportion.

    Args:
        limit: how many, from the number of classes to that of the images.
        seed: which ones. The same seed takes the same images.
        setting: of the limit, `limit` (training images) or `test_limit`.

    Raises:
        ConfigError: the limit is out of its range.
    """
    if not len(classes) <= limit <= rows.count:
        kind = "training" if setting == "limit" else "test"
        expected = f"{len(classes)} (one of each class) to {rows.count}, the {kind} images there are"
        raise ConfigError(setting, limit, expected)
    return rows.at(proportional_rows(rows.y, limit, derive_seed(seed, setting)))


def split_images(images: ImageSet, validation: str, fraction: float, seed: int) -> Splits:
    """The images in parts; what validates is

    - `test`: the test images themselves, as in the published work;
    - `split`: a fraction of the training images, drawn by the seed;
    - `holdout`: a fraction of the test images, drawn by the seed, so that as many train as published;
    - `folder`: the images of a separate folder.

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
    source = images.train if validation == "split" else images.test
    counts = np.bincount(source.y, minlength=len(images.classes))
    if counts.min() < 2:
        name = images.classes[int(np.argmin(counts))]
        raise RequestError(
            f"{images.name}: received {counted(int(counts.min()), 'image')} of class {name}, expected 2 or more to "
            f"split some off for validation ({validation})",
            hint="Add images of it. With train/ and test/, --validation test splits nothing off.",
        )
    count = max(len(images.classes), min(round(source.count * fraction), source.count - len(images.classes)))
    indices = proportional_rows(source.y, count, derive_seed(seed, "validation"), leave=1)
    validating, rest = source.at(indices), source.at(np.setdiff1d(np.arange(source.count), indices))
    if validation == "split":
        return Splits(rest, validating, images.test)
    return Splits(images.train, validating, rest)


def no_validation_folder(dataset: str) -> ConfigError:
    """The error of a data set without a folder of images that could validate."""
    return ConfigError("validation", "folder", f"test, split or holdout: {dataset} is no folder of images")


def images_in_both(rows: Examples, others: Examples) -> int:
    """How many images are also among others, pixel by pixel."""
    by_checksum: dict[int, list[NDArray[np.uint8]]] = {}
    for image in others.x:
        by_checksum.setdefault(_checksum(image), []).append(image)
    return sum(any(np.array_equal(image, other) for other in by_checksum.get(_checksum(image), ())) for image in rows.x)


def _checksum(image: NDArray[np.uint8]) -> int:
    """Shared by few images, which are then compared. A hash without collisions would take longer."""
    return zlib.crc32(np.ascontiguousarray(image).data)


def proportional_rows(y: NDArray[Any], count: int, seed: int, *, leave: int = 0) -> NDArray[np.intp]:
    """Indices of some rows, ascending, each class in proportion.

    Args:
        y: the class of each row, whole numbers [rows].
        count: how many, at least one and at most all but `leave` for each class.
        seed: which ones.
        leave: how many rows of each class are not taken, fewer than any class has.
    """
    labels, sizes = np.unique(y, return_counts=True)
    sizes = sizes - leave
    exact = sizes * (count / sizes.sum())
    counts = np.clip(np.floor(exact).astype(int), 1, sizes)
    # What rounding down left over goes to the classes that lost most by it; where 1 was too many, it comes back.
    while counts.sum() != count:
        lacking = exact - counts
        if counts.sum() < count:
            counts[np.argmax(np.where(counts < sizes, lacking, -np.inf))] += 1
        else:
            counts[np.argmin(np.where(counts > 1, lacking, np.inf))] -= 1
    draw = np.random.Generator(np.random.PCG64(seed))
    indices = [draw.permutation(np.flatnonzero(y == label))[:n] for label, n in zip(labels, counts, strict=True)]
    return np.sort(np.concatenate(indices))
