"""Image sets by the names that a command line gives them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from stopcli.control_groups import check_fits
from stopcli.data import cifar10
from stopcli.data.dataset import Examples, ImageSet, OnProgress, ignore_progress, no_validation_folder, split_images
from stopcli.data.image_files import (
    DAMAGED,
    VALIDATION_FOLDERS,
    LeftOut,
    Listing,
    list_part,
    unused_beside,
)
from stopcli.data.image_folder import (
    DecodedImages,
    cache_file,
    content_digest,
    damaged_error,
    decode,
    read_cached,
    write_cached,
)
from stopcli.data.named import DATASET_NAMES, named_datasets
from stopcli.errors import RequestError, RunError, did_you_mean, printable, system_words
from stopcli.paths import check_is_text
from stopcli.quantities import agreeing, counted, first_few

DATASET_VARIABLE = "STOPCLI_DATASET"
_EXPECTED = ", ".join(("auto", *DATASET_NAMES, "or a path"))
# The fraction of images that test where a folder has no test images, and the seed that chooses them.
_TEST_SHARE, _TEST_SEED = 0.2, 0


@dataclass(frozen=True)
class FolderRules:
    """How a folder of images is read.

    Attributes:
        validation: what is to validate: `test`, `split`, `holdout`, `folder` (the images of val/), or `auto`: what the
            folder suggests. A folder of classes, without train/ and test/, will do for `split` and `auto`; a fifth of
            its images then test.
        skip_unreadable: whether what cannot be read is left out and counted, instead of refused.
    """

    validation: str = "test"
    skip_unreadable: bool = False


def load_images(
    dataset: str,
    *,
    image_size: int | None = None,
    rules: FolderRules = FolderRules(),
    on_progress: OnProgress = ignore_progress,
) -> ImageSet:
    """Images in memory.

    Args:
        dataset: `auto` (what STOPCLI_DATASET names, else CIFAR-10, else digits), `cifar10` (from Keras's cache, else
            downloaded there), `digits` (scikit-learn's), another named data set, or a path: an official CIFAR-10 folder
            or archive, or a folder of images.
        image_size: the side that images are resized to; None to take them as they are.
        rules: how a folder of images is read.

    Raises:
        RequestError: they are missing, damaged, or not what they should be.
        RunError: they cannot be downloaded.
    """
    named = os.environ.get(DATASET_VARIABLE)
    if dataset == "auto" and named and named != "auto":
        try:
            return load_images(named, image_size=image_size, rules=rules, on_progress=on_progress)
        except RequestError as error:
            raise RequestError(f"{DATASET_VARIABLE}: {error.message}", hint=error.hint) from None
    if rules.validation == "folder" and dataset in ("auto", *DATASET_NAMES):
        # Before a download, which would be for nothing.
        raise no_validation_folder(dataset)
    if dataset == "auto":
        return _resized(_cifar10_or_digits(on_progress), image_size)
    if dataset in DATASET_NAMES:
        return _resized(named_datasets()[dataset].load(on_progress), image_size)
    if not dataset:
        raise RequestError(f"dataset: received '', expected {_EXPECTED}")
    try:
        # Absolute, so that a folder that is called `digits` is not taken for the data set of that name later.
        path = Path(dataset).expanduser().resolve()
        check_is_text(path)
        return _from_path(path, image_size, rules, on_progress)
    # What the system refuses (a folder without permission, a user without a home) is not damage and not a bug.
    except (OSError, RuntimeError, ValueError) as error:
        raise RequestError(f"{dataset}: cannot be read ({system_words(error)})") from None


def _from_path(path: Path, image_size: int | None, rules: FolderRules, on_progress: OnProgress) -> ImageSet:
    if cifar10.is_archive(path):
        return _resized(cifar10.read_archive(path), image_size)
    if not path.is_dir():
        what = "is neither a folder nor an archive (.tar.gz)" if path.exists() else "no such folder"
        near = did_you_mean(path.name, DATASET_NAMES)
        raise RequestError(f"{path}: {what}", hint=f"{near or 'Check the path.'} --dataset takes {_EXPECTED}.")
    official = cifar10.official_folder(path)
    if official is not None:
        return _resized(cifar10.read_folder(official), image_size)
    return _folder(path, image_size, rules, on_progress)


def _cifar10_or_digits(on_progress: OnProgress) -> ImageSet:
    try:
        return named_datasets()["cifar10"].load(on_progress)
    except RunError as error:
        note = f"{error.message}; the run takes scikit-learn's small handwritten digits instead. {error.hint}"
        return replace(named_datasets()["digits"].load(on_progress), notes=(note.rstrip("."),))


def _folder(path: Path, image_size: int | None, rules: FolderRules, on_progress: OnProgress) -> ImageSet:
    parts = _parts(path, rules.validation)
    left_out = LeftOut(path)
    listings = [list_part(path / part, left_out) for part in parts or [""]]
    if not rules.skip_unreadable:
        left_out.check()
    for listing in listings:
        listing.check()
    _check_same_classes(path, dict(zip(parts, listings, strict=False)))
    decoded, notes = _decoded(listings, image_size, rules, left_out, on_progress)
    rows = _rows(listings, decoded)
    skipped = sum(listing.skipped for listing in listings)
    if skipped:
        are = agreeing(skipped, "is not a JPEG or PNG and was", "are not JPEG or PNG and were")
        notes.append(f"{counted(skipped, 'file')} in the class folders {are} skipped")
    stray = [image for listing in listings for image in listing.stray]
    if stray:
        paths = first_few([printable(image.relative_to(path)) for image in stray])
        notes.append(f"images beside the class folders, of no class and not used: {len(stray):,} ({paths})")
    images = ImageSet(str(path), rows[0], rows[0], listings[0].classes, left_out=left_out.rows())
    if parts:
        notes += unused_beside(path, parts)
        if parts[1] != "test":
            notes.append(
                f"{path} has no test/, so the images of {parts[1]}/ test, and validate unless --validation split or "
                "holdout sets others apart"
            )
        images = replace(images, test=rows[1])
        if len(rows) > 2:
            images = replace(images, validation=rows[2], suggested="folder")
    else:
        apart = split_images(images, "split", _TEST_SHARE, _TEST_SEED)
        notes.append(
            f"{path} has no test images, so {apart.validation.count:,} of its images are set aside for testing"
        )
        images = replace(images, train=apart.train, test=apart.validation, suggested="split")
    return replace(images, notes=tuple(notes))


def _parts(path: Path, validation: str) -> list[str]:
    """The folders with the parts: of the images that train, those that test, and where other ones validate, those; none
    where the path itself has the classes.

    Args:
        validation: as in `FolderRules`.
    """
    train, test = ((path / part).is_dir() for part in ("train", "test"))
    beside = [name for name in VALIDATION_FOLDERS if (path / name).is_dir()]
    if not train and not test:
        if not any(entry.is_dir() for entry in path.iterdir()):
            raise RequestError(f"{path}: no images; expected train/CLASS/… and test/CLASS/…, or CIFAR-10's files")
        if validation not in ("auto", "split"):
            raise RequestError(
                f"{path}: has no train/ and test/, which --validation {validation} expects",
                hint="Without it, or with --validation split, a fifth of the images in such a folder are for testing.",
            )
        return []
    if not train:
        raise RequestError(f"{path}: has test/ and no train/; expected train/CLASS/… and test/CLASS/…")
    if test and (validation not in ("auto", "folder") or (validation == "auto" and not beside)):
        return ["train", "test"]
    if len(beside) == 1 and (test or validation != "folder"):
        return ["train", *(["test"] if test else []), *beside]
    names = "val/, valid/ or validation/"
    there = " and ".join(f"{name}/" for name in ["train", *(["test"] if test else []), *beside])
    if not test and validation != "folder":
        raise RequestError(f"{path}: received {there}, expected train/ and test/, or one of {names} in place of test/")
    raise RequestError(
        f"{path}: received {there}, expected train/, test/ and one of {names} to validate on",
        hint="--validation test, split or holdout takes none of them." if test else "",
    )


def _check_same_classes(path: Path, listings: dict[str, Listing]) -> None:
    """Raise RequestError where another part has other classes than train/."""
    for part, listing in listings.items():
        first, other = set(listings["train"].classes), set(listing.classes)
        if first != other:
            only = [
                f"{', '.join(map(printable, sorted(names)))} only in {where}/"
                for where, names in (("train", first - other), (part, other - first))
                if names
            ]
            hint = f"--validation test leaves {part}/ out." if part in VALIDATION_FOLDERS and "test" in listings else ""
            raise RequestError(f"{path}: train/ and {part}/ have different classes: {'; '.join(only)}", hint=hint)


def _decoded(
    listings: Sequence[Listing], image_size: int | None, rules: FolderRules, left_out: LeftOut, on_progress: OnProgress
) -> tuple[DecodedImages, list[str]]:
    """The images of all parts, from the cache if they are there, and notes on them. Raises RequestError where some
    cannot be read, and are not to be skipped."""
    files = [file for listing in listings for file in listing.all_files]
    notes = []
    digest = content_digest(files)
    cached = read_cached(cache_file(digest, image_size)) if digest else None
    if cached is not None and len(cached.x) + len(cached.unreadable) != len(files):
        cached = None
    decoded = decode(files, image_size, on_progress) if cached is None else cached
    if decoded.unreadable and not rules.skip_unreadable:
        raise damaged_error(files, decoded.unreadable)
    if cached is None and decoded.lasting:
        cache = cache_file(decoded.digest, image_size)
        problem = write_cached(cache, decoded)
        if problem:
            where = f" in {cache.parent}" if cache else ""
            notes.append(f"decoded images cannot be saved{where} ({problem}), so they are decoded each time")
    if decoded.converted:
        were = agreeing(decoded.converted, "was not RGB and was", "were not RGB and were")
        notes.append(f"{counted(decoded.converted, 'image')} {were} converted")
    for index, reason in decoded.unreadable.items():
        left_out.add(DAMAGED, files[index], reason)
    return decoded, notes + left_out.notes()


def _rows(listings: Sequence[Listing], decoded: DecodedImages) -> list[Examples]:
    """The images of each part that could be read. Raises RequestError where a class has none."""
    labels = np.concatenate([listing.labels for listing in listings])
    part = np.repeat(np.arange(len(listings)), [len(listing.all_files) for listing in listings])
    read = np.delete(np.arange(len(labels)), [*decoded.unreadable])
    labels, part = labels[read], part[read]
    for index, listing in enumerate(listings):
        counts = np.bincount(labels[part == index], minlength=len(listing.classes)).tolist()
        empty = [name for name, count in zip(listing.classes, counts, strict=True) if not count]
        if empty:
            files = counted(len(listing.files[empty[0]]), "image")
            raise RequestError(
                f"{printable(listing.folder / empty[0])}: no image of this class can be read; {files} received, "
                "expected a readable one"
            )
    ends = np.searchsorted(part, np.arange(1, len(listings)))
    return [Examples(x, y) for x, y in zip(np.split(decoded.x, ends), np.split(labels, ends), strict=True)]


def _resized(images: ImageSet, image_size: int | None) -> ImageSet:
    if image_size is None or images.train.x.shape[1:3] == (image_size, image_size):
        return images

    def resize(rows: Examples) -> Examples:
        size = (image_size, image_size)
        x = np.empty((rows.count, image_size, image_size, 3), np.uint8)
        for index, image in enumerate(rows.x):
            x[index] = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        return Examples(x, rows.y)

    check_fits(images.train.count + images.test.count, image_size, image_size, images.name)

    return replace(images, train=resize(images.train), test=resize(images.test))
