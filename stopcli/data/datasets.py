"""Image sets by the names that a command line gives them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from stopcli.data import cifar10, keras_cache
from stopcli.data.image_cache import cache_file, read_cached, write_cached
from stopcli.data.image_folder import Listing, decode, list_part
from stopcli.data.images import ImageSet, Tell, tell_nobody
from stopcli.data.memory import check_fits
from stopcli.data.rows import Rows
from stopcli.data.subsets import split_images
from stopcli.errors import RequestError, RunError

DATASET_VARIABLE = "STOPCLI_DATASET"
# What is set apart to test where a folder has no test images, and the seed of that.
_TEST_SHARE, _TEST_SEED = 0.2, 0


def load_images(
    dataset: str,
    *,
    image_size: int | None = None,
    single_ok: bool = False,
    tell: Tell = tell_nobody,
) -> ImageSet:
    """Images in memory.

    Args:
        dataset: `auto` (what STOPCLI_DATASET names, else CIFAR-10, else digits), `cifar10` (from Keras's cache, else
            downloaded there), `digits` (scikit-learn's), or a path: an official CIFAR-10 folder or archive, or a folder
            of images.
        image_size: the side that images are resized to; None to take them as they are.
        single_ok: whether a folder without train/ and test/ will do; a fifth of its images then test.

    Raises:
        RequestError: they are missing, damaged, or not what they should be.
        RunError: they cannot be downloaded.
    """
    named = os.environ.get(DATASET_VARIABLE)
    if dataset == "auto" and named and named != "auto":
        try:
            return load_images(named, image_size=image_size, single_ok=single_ok, tell=tell)
        except RequestError as error:
            raise RequestError(f"{DATASET_VARIABLE}: {error.message}", hint=error.hint) from None
    if dataset in ("auto", "cifar10"):
        return _resized(_cifar10_or_digits(dataset, tell), image_size)
    if dataset == "digits":
        from stopcli.data.digits import digits

        return _resized(digits(), image_size)
    try:
        # Absolute, so that a folder that is called `digits` is not taken for the data set of that name later.
        path = Path(dataset).expanduser().resolve()
        return _from_path(path, image_size, single_ok, tell)
    # What the system refuses (a folder without permission, a user without a home) is not damage and not a bug.
    except (OSError, RuntimeError) as error:
        raise RequestError(f"{dataset}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _from_path(path: Path, image_size: int | None, single_ok: bool, tell: Tell) -> ImageSet:
    if cifar10.is_archive(path):
        return _resized(cifar10.read_archive(path), image_size)
    if not path.is_dir():
        what = "is neither a folder nor an archive (.tar.gz)" if path.exists() else "no such folder"
        raise RequestError(f"{path}: {what}", hint="--dataset takes auto, cifar10, digits, or a path.")
    official = cifar10.official_folder(path)
    if official is not None:
        return _resized(cifar10.read_folder(official), image_size)
    return _folder(path, image_size, single_ok, tell)


def _cifar10_or_digits(dataset: str, tell: Tell) -> ImageSet:
    images = keras_cache.cached()
    if images is not None:
        return images
    try:
        return keras_cache.downloaded(tell)
    except RunError as error:
        if dataset == "cifar10":
            raise
        from stopcli.data.digits import digits

        note = f"{error.message}; the run takes scikit-learn's small handwritten digits instead. {error.hint}"
        return replace(digits(), notes=(note.rstrip("."),))


def _folder(path: Path, image_size: int | None, single_ok: bool, tell: Tell) -> ImageSet:
    parts = [path / "train", path / "test"]
    there = [part for part in parts if part.is_dir()]
    if there and len(there) < 2:
        raise RequestError(f"{path}: has {there[0].name}/ and no {'test' if there[0] == parts[0] else 'train'}/")
    if not there and not single_ok:
        if not any(entry.is_dir() for entry in path.iterdir()):
            raise RequestError(f"{path}: no images; expected train/CLASS/… and test/CLASS/…, or CIFAR-10's files")
        raise RequestError(
            f"{path}: has no train/ and test/",
            hint="--validation split takes a folder of classes alone, and sets a fifth of it apart to test.",
        )
    listings = [list_part(part) for part in there or [path]]
    _check_same_classes(path, listings)
    rows, notes = _rows(path, listings, image_size, tell)
    classes = listings[0].classes
    if there:
        return ImageSet(str(path), rows[0], rows[1], classes, notes)
    apart = split_images(ImageSet(str(path), rows[0], rows[0], classes), "split", _TEST_SHARE, _TEST_SEED)
    notes += (f"{path} has no test images, so {apart.validation.count:,} of its images were set apart to test",)
    return ImageSet(str(path), apart.train, apart.validation, classes, notes)


def _check_same_classes(path: Path, listings: list[Listing]) -> None:
    first, last = set(listings[0].classes), set(listings[-1].classes)
    if first != last:
        parts = [
            f"{', '.join(sorted(names))} only in {part}/"
            for part, names in (("train", first - last), ("test", last - first))
            if names
        ]
        raise RequestError(f"{path}: train/ and test/ have different classes: {'; '.join(parts)}")


def _rows(
    path: Path, listings: list[Listing], image_size: int | None, tell: Tell
) -> tuple[list[Rows], tuple[str, ...]]:
    """The images of each part, from the cache where they are there, and what there is to say of them."""
    files = [file for listing in listings for file in listing.files]
    cache = cache_file(path, files, image_size)
    decoded, notes = read_cached(cache), []
    if decoded is None or len(decoded.x) != len(files):
        decoded = decode(files, image_size, tell)
        problem = write_cached(cache, decoded)
        if problem:
            notes.append(f"decoded images cannot be kept in {cache.parent} ({problem}), so they are decoded each time")
    if decoded.converted:
        notes.append(f"{decoded.converted:,} images were not RGB and were converted")
    passed_over = sum(listing.passed_over for listing in listings)
    if passed_over:
        notes.append(f"{passed_over:,} files in the class folders are no JPEG or PNG and were passed over")
    ends = np.cumsum([len(listing.files) for listing in listings])
    parts = np.split(decoded.x, ends[:-1])
    return [Rows(x, listing.labels) for x, listing in zip(parts, listings, strict=True)], tuple(notes)


def _resized(images: ImageSet, image_size: int | None) -> ImageSet:
    if image_size is None or images.train.x.shape[1:3] == (image_size, image_size):
        return images

    def resize(rows: Rows) -> Rows:
        size = (image_size, image_size)
        x = np.empty((rows.count, image_size, image_size, 3), np.uint8)
        for place, image in enumerate(rows.x):
            x[place] = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        return Rows(x, rows.y)

    check_fits(images.train.count + images.test.count, image_size, image_size, images.name)

    return replace(images, train=resize(images.train), test=resize(images.test))
