"""CIFAR-10 as Keras keeps it: in its cache, or downloaded there from its address, with its hash and file names.

Keras's own loader is not used: importing Keras starts TensorFlow, whose number of threads a process chooses once, and
which is not needed to read data.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from stopcli.data.cifar10 import official_folder, read_archive, read_folder, unpack
from stopcli.data.download import download
from stopcli.data.images import ImageSet, Tell
from stopcli.errors import RequestError, RunError, system_words

# As in keras.datasets.cifar10 (Keras 3.15), which finds there what was downloaded here.
_NAME = "cifar-10-batches-py-target"
_ARCHIVE = f"{_NAME}_archive"
_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_TRAIN, _TEST = 50_000, 10_000
_MEGABYTE = 1_000_000

_REMOVE = "Remove it, and it is downloaded again."
_HINT = "--dataset PATH takes CIFAR-10 from a folder or an archive that you have; --dataset digits needs none."


def cached() -> ImageSet | None:
    """CIFAR-10 from Keras's cache; None where it is not there, or where there is no cache that can be read.

    Raises:
        RequestError: it is there and damaged or incomplete.
    """
    cache = _cache()
    # Not Path.is_dir, which raises where a folder above may not be entered.
    if cache is None or not os.path.isdir(cache):  # noqa: PTH112
        return None
    try:
        # Another run may be unpacking it; half of it would be taken for damage.
        with _alone(cache):
            return _read_cached(cache)
    except OSError:
        # It may not be entered.
        return None


def _read_cached(cache: Path) -> ImageSet | None:
    for path in (cache / _NAME, cache):
        folder = official_folder(path)
        if folder is not None:
            try:
                images = read_folder(folder)
            except RequestError as error:
                raise RequestError(error.message, hint=_REMOVE) from None
            return _whole(images, folder)
    return None


def _whole(images: ImageSet, where: Path) -> ImageSet:
    if (images.train.count, images.test.count) != (_TRAIN, _TEST):
        raise RequestError(
            f"{where}: {images.train.count} and {images.test.count} images, expected {_TRAIN} and {_TEST}",
            hint=_REMOVE,
        )
    return replace(images, name="cifar10")


def downloaded(tell: Tell) -> ImageSet:
    """CIFAR-10, downloaded into Keras's cache; where that cannot be written, for this once.

    Raises:
        RunError: it cannot be had.
    """
    cache = _cache()
    if cache is None:
        return _for_once("there is no home directory for a cache", tell)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Two runs that begin at once download it once.
        with _alone(cache):
            found = _read_cached(cache)
            if found is None:
                _fetch(cache / _ARCHIVE, tell)
                _unpack(cache / _ARCHIVE, cache / _NAME)
                found = _read_cached(cache)
    except OSError as error:
        return _for_once(f"{cache} cannot be written: {system_words(error)}", tell)
    if found is None:
        raise RunError(f"CIFAR-10 is not in {cache} although it was downloaded", hint=_HINT)
    return found


def _for_once(why: str, tell: Tell) -> ImageSet:
    try:
        with tempfile.TemporaryDirectory(prefix="stopcli-cifar10-") as folder:
            archive = Path(folder) / "cifar-10-python.tar.gz"
            _fetch(archive, tell)
            images = _whole(read_archive(archive), archive)
    except OSError as error:
        raise RunError(f"CIFAR-10 cannot be downloaded ({system_words(error)})", hint=_HINT) from None
    note = f"CIFAR-10 is downloaded each time, because {why}; KERAS_HOME can name a folder for it"
    return replace(images, notes=(note,))


def _fetch(archive: Path, tell: Tell) -> None:
    def tell_megabytes(done: int, total: int) -> None:
        tell("downloading CIFAR-10, megabytes", done // _MEGABYTE, total // _MEGABYTE)

    tell("downloading CIFAR-10, megabytes", 0, 0)
    try:
        download(_ORIGIN, archive, _SHA256, tell_megabytes)
    except RunError as error:
        raise RunError(f"CIFAR-10 cannot be downloaded from {_ORIGIN} ({error.message})", hint=_HINT) from None


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive to a folder that gets its name when all of it is there."""
    new = folder.with_name(f".new-{os.getpid()}-{folder.name}")
    try:
        unpack(archive, new)
        if folder.exists():
            # Without the files that are looked for in it.
            shutil.rmtree(folder)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _cache() -> Path | None:
    """Keras's folder of data sets; None where neither KERAS_HOME nor a home directory says where it is."""
    home = os.environ.get("KERAS_HOME")
    try:
        return (Path(home).expanduser() if home else Path.home() / ".keras") / "datasets"
    except RuntimeError:
        return None


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Waits until no other run reads or writes the cache. One that cannot be written is nobody's to change."""
    try:
        lock = FileLock(cache / "cifar10.stopcli.lock")
        lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()
