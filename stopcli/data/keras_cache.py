"""CIFAR-10 as Keras keeps it: in its cache, or downloaded there with Keras's own loader's address and hash."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from stopcli.data.cifar10 import official_folder, read_folder
from stopcli.data.images import ImageSet, Tell
from stopcli.errors import RequestError, RunError

# As in keras.datasets.cifar10 (Keras 3.15).
_NAME = "cifar-10-batches-py-target"
_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
# A network that swallows what is sent to it would otherwise be waited for without end.
_TIMEOUT_SECONDS = 15.0
_TRAIN, _TEST = 50_000, 10_000

_REMOVE = "Remove it, and it is downloaded again."
_HINT = "--dataset PATH takes CIFAR-10 from a folder or an archive that you have; --dataset digits needs none."


def cached() -> ImageSet | None:
    """CIFAR-10 from Keras's cache; None where it is not there.

    Raises:
        RequestError: it is there and damaged or incomplete.
    """
    if not _cache().is_dir():
        return None
    # Another run may be unpacking it; half of it would be taken for damage.
    with _alone():
        return _read_cached()


def _read_cached() -> ImageSet | None:
    for path in (_cache() / _NAME, _cache()):
        folder = official_folder(path)
        if folder is not None:
            try:
                images = read_folder(folder)
            except RequestError as error:
                raise RequestError(error.message, hint=_REMOVE) from None
            if (images.train.count, images.test.count) != (_TRAIN, _TEST):
                raise RequestError(
                    f"{folder}: {images.train.count} and {images.test.count} images, expected {_TRAIN} and {_TEST}",
                    hint=_REMOVE,
                )
            return replace(images, name="cifar10")
    return None


def downloaded(tell: Tell) -> ImageSet:
    """CIFAR-10, downloaded into Keras's cache; Keras checks its hash and shows a progress bar.

    Raises:
        RunError: it cannot be had.
    """
    tell("downloading CIFAR-10 (170 MB)", 0, 1)
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        # Two runs that begin at once download it once.
        with _alone():
            found = _read_cached()
            if found is None:
                _download()
                found = _read_cached()
    except RequestError:
        raise
    # Keras raises a bare Exception where the address cannot be reached.
    except Exception as error:
        raise RunError(f"CIFAR-10 cannot be downloaded from {_ORIGIN} ({_reason(error)})", hint=_HINT) from None
    if found is None:
        raise RunError(f"CIFAR-10 is not in {_cache()} although it was downloaded", hint=_HINT)
    return found


def _reason(error: BaseException) -> str:
    # Keras writes: URL fetch failure on ADDRESS: CODE -- reason.
    return str(error).rsplit(" -- ", 1)[-1].strip() or type(error).__name__


def _cache() -> Path:
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets"


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Waits until no other run reads or writes the cache. One that cannot be written is nobody's to change."""
    try:
        lock = FileLock(_cache() / "cifar10.stopcli.lock")
        lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _download() -> None:
    with _patient_for(_TIMEOUT_SECONDS), contextlib.redirect_stdout(sys.stderr):
        from keras.utils import get_file

        get_file(fname=_NAME, origin=_ORIGIN, extract=True, file_hash=_SHA256, cache_dir=str(_cache().parent))


@contextlib.contextmanager
def _patient_for(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
