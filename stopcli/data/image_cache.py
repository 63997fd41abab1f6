"""Decoded images on disk, so that a folder is decoded once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
from PIL import features

from stopcli.data.image_folder import Decoded, digest_of
from stopcli.errors import system_words
from stopcli.user_cache import user_cache

# The newest files that are kept.
KEPT = 8
_FORMAT = 2
# Reading lets go of Python's lock, and waits for the disk.
_READERS = 8
_CHUNK = 256


def cache_folder() -> Path | None:
    """$STOPCLI_CACHE_DIR, else stopcli's folder in the user's cache; None for a user without a home directory."""
    own = os.environ.get("STOPCLI_CACHE_DIR")
    if own:
        return Path(own)
    cache = user_cache()
    return cache and cache / "stopcli"


def content_digest(files: Sequence[Path]) -> str | None:
    """What stands for the content of some files (see `digest_of`); None where one cannot be read.

    All of them are read: names, sizes and times of two data sets may agree, and those of a file before and after it was
    replaced (decision 26).
    """
    chunks = [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]
    try:
        with ThreadPoolExecutor(_READERS) as readers:
            return digest_of([each for digests in readers.map(_digests, chunks) for each in digests])
    except OSError:
        return None


def _digests(files: Sequence[Path]) -> list[bytes]:
    found = []
    for path in files:
        # Not buffered: the file is read at once.
        with path.open("rb", buffering=0) as file:
            found.append(hashlib.sha256(file.read()).digest())
    return found


def cache_file(digest: str, image_size: int | None) -> Path | None:
    """Where the decoded form of files belongs; None where there is no folder for it.

    Args:
        digest: of their content.
    """
    folder = cache_folder()
    if folder is None:
        return None
    # Another version of Pillow, or of what it decodes JPEG with, may come to other values.
    codecs = [features.version(name) for name in ("jpg", "libjpeg_turbo")]
    key = hashlib.sha256(f"{_FORMAT} {PIL.__version__} {codecs} {image_size} {digest}".encode())
    return folder / f"images-{key.hexdigest()[:32]}.npz"


def read_cached(path: Path | None) -> Decoded | None:
    """The images in a cache file; None where it is missing or damaged."""
    if path is None:
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            reasons = zip(held["places"].tolist(), held["reasons"].tolist(), strict=True)
            decoded = Decoded(held["x"], int(held["converted"]), dict(reasons))
    # A damaged zip leads to nearly any error; the images are then decoded again.
    except Exception:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return decoded


def write_cached(path: Path | None, decoded: Decoded) -> str | None:
    """Keep decoded images; what was there before is replaced at once. Returns why it could not be done, if so."""
    if path is None:
        return "there is no home directory"
    new = path.with_name(f".new-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            np.savez(
                file,
                x=decoded.x,
                converted=np.int64(decoded.converted),
                places=np.array([*decoded.unreadable], np.int64),
                reasons=np.array([*decoded.unreadable.values()], np.str_),
            )
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _remove_oldest(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        return system_words(error)
    return None


def _remove_oldest(folder: Path) -> None:
    files = sorted(folder.glob("images-*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[KEPT:]:
        path.unlink(missing_ok=True)
