"""Decoded images on disk, so that a folder is decoded once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL

from stopcli.data.image_folder import Decoded

# The newest files that are kept.
KEPT = 8
_FORMAT = 1


def cache_folder() -> Path:
    """$STOPCLI_CACHE_DIR, else stopcli's folder in the user's cache."""
    own = os.environ.get("STOPCLI_CACHE_DIR")
    if own:
        return Path(own)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "stopcli"


def cache_file(root: Path, files: Sequence[Path], image_size: int | None) -> Path:
    """Where the decoded form of some files belongs: a name that changes when any of them does."""
    # Another version of Pillow may decode or resize to other values.
    digest = hashlib.sha256(f"{_FORMAT} {PIL.__version__} {image_size}\n".encode())
    for path in files:
        stat = path.stat()
        # A name need not be text: Linux allows any bytes.
        name = os.fsencode(path.relative_to(root))
        digest.update(name + f"\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return cache_folder() / f"images-{digest.hexdigest()[:32]}.npz"


def read_cached(path: Path) -> Decoded | None:
    """The images in a cache file; None where it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            decoded = Decoded(held["x"], int(held["converted"]))
    # A damaged zip leads to nearly any error; the images are then decoded again.
    except Exception:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return decoded


def write_cached(path: Path, decoded: Decoded) -> str | None:
    """Keep decoded images; what was there before is replaced at once. Returns why it could not be done, if so."""
    new = path.with_name(f".new-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            np.savez(file, x=decoded.x, converted=np.int64(decoded.converted))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _remove_oldest(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        return error.strerror or str(error)
    return None


def _remove_oldest(folder: Path) -> None:
    files = sorted(folder.glob("images-*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[KEPT:]:
        path.unlink(missing_ok=True)
