"""Folders of images: train/<class>/… and test/<class>/…, or one folder of classes; JPEG and PNG."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stopcli.data.images import Tell
from stopcli.data.memory import check_fits
from stopcli.errors import RequestError

SUFFIXES = (".jpg", ".jpeg", ".png")
# Files that are named in an error; the others are counted.
_NAMED = 3
# Images that are decoded at a time, and as many such chunks as are worth the second that processes take to begin.
_CHUNK = 256
_WORTH_PROCESSES = 16


@dataclass(frozen=True)
class Listing:
    """The image files of a part, class by class.

    Attributes:
        files: sorted by class and name. labels: the class of each, int32.
        classes: the classes' names, sorted.
        passed_over: files that are no JPEG or PNG by their names.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    passed_over: int


def list_part(folder: Path) -> Listing:
    """The images of a folder with a subfolder for each class. Hidden files and folders are none of it.

    Raises:
        RequestError: there are fewer than two classes, or one has no images, or something cannot be read.
    """
    try:
        folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        held = {path.name: _files(path) for path in folders}
    except OSError as error:
        raise RequestError(f"{error.filename or folder}: cannot be read ({error.strerror})") from None
    if len(held) < 2:
        there = f"only {next(iter(held))}" if held else "none"
        raise RequestError(f"{folder}: expected a subfolder for each of two or more classes; there is {there}")
    images = {name: [path for path in paths if path.suffix.lower() in SUFFIXES] for name, paths in held.items()}
    empty = [name for name, paths in images.items() if not paths]
    if empty:
        raise RequestError(f"{folder / empty[0]}: no images of this class ({', '.join(SUFFIXES)})")
    files = tuple(path for paths in images.values() for path in paths)
    labels = np.repeat(np.arange(len(images), dtype=np.int32), [len(paths) for paths in images.values()])
    return Listing(files, labels, tuple(images), sum(map(len, held.values())) - len(files))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


@dataclass(frozen=True)
class Decoded:
    """Images as arrays.

    Attributes:
        x: uint8, [images, height, width, 3].
        converted: images that were not RGB with 8 bits.
    """

    x: NDArray[np.uint8]
    converted: int


def decode(files: Sequence[Path], image_size: int | None, tell: Tell) -> Decoded:
    """The images in files, decoded by a process for each core.

    Grey, palette, CMYK and 16-bit images become RGB; what is transparent lies on black; a rotation that a camera noted
    is applied.

    Args:
        image_size: the side of the square that each is resized to (bilinear, with antialiasing); None to take them as
            they are, all of one size.

    Raises:
        RequestError: files are damaged (they are named), sizes differ, or it is more than memory holds.
    """
    size = (image_size, image_size) if image_size else _size_of_first(files[0])
    width, height = size
    check_fits(len(files), height, width, str(files[0].parent.parent))
    x = np.empty((len(files), height, width, 3), np.uint8)
    chunks = [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]
    work = functools.partial(_decode_chunk, size=size, resize=image_size is not None)
    found = _Chunk()
    done = 0
    for images, chunk in _chunk_by_chunk(work, chunks):
        x[done : done + len(images)] = images
        done += len(images)
        found = found.plus(chunk)
        tell("decoding images", done, len(files))
    if found.damaged:
        more = f" and {len(found.damaged) - _NAMED} more" if len(found.damaged) > _NAMED else ""
        raise RequestError("damaged images: " + "; ".join(found.damaged[:_NAMED]) + more)
    if found.other_sizes:
        path, (other_width, other_height) = found.other_sizes[0]
        raise RequestError(
            f"images of different sizes: {files[0]} has {height} × {width} pixels (height × width), {path} "
            f"{other_height} × {other_width}, and {len(found.other_sizes):,} of {len(files):,} are unlike the first",
            hint="--image-size N resizes all of them to N × N.",
        )
    return Decoded(x, found.converted)


class _Chunk(NamedTuple):
    """What was found in some files beside their images."""

    damaged: tuple[str, ...] = ()
    other_sizes: tuple[tuple[str, tuple[int, int]], ...] = ()
    converted: int = 0

    def plus(self, other: _Chunk) -> _Chunk:
        return _Chunk(
            self.damaged + other.damaged, self.other_sizes + other.other_sizes, self.converted + other.converted
        )


def _chunk_by_chunk(
    work: Callable[[Sequence[Path]], tuple[NDArray[np.uint8], _Chunk]], chunks: Sequence[Sequence[Path]]
) -> Iterator[tuple[NDArray[np.uint8], _Chunk]]:
    """`work` of each chunk, in their order. Threads would wait for Python's lock: small images are mostly Python."""
    workers = min(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, len(chunks)
    )
    if len(chunks) < _WORTH_PROCESSES or workers == 1:
        yield from map(work, chunks)
        return
    # Spawned, because forking a process with threads (a progress bar's, TensorFlow's) may leave a lock held for ever.
    # Ctrl-C is this process's to handle.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=signal.signal, initargs=ignore) as pool:
        yield from pool.map(work, chunks)


def _decode_chunk(files: Sequence[Path], *, size: tuple[int, int], resize: bool) -> tuple[NDArray[np.uint8], _Chunk]:
    """The images of some files, those that are damaged or of another size black."""
    images = np.zeros((len(files), size[1], size[0], 3), np.uint8)
    damaged, other_sizes, converted = [], [], 0
    for place, path in enumerate(files):
        try:
            image, was_other = _rgb(path)
        # Damaged content leads Pillow's readers to many errors.
        except Exception as error:
            damaged.append(f"{path} ({_reason(error)})")
            continue
        converted += was_other
        if image.size != size:
            if not resize:
                other_sizes.append((str(path), image.size))
                continue
            image = image.resize(size, Image.Resampling.BILINEAR)
        images[place] = np.asarray(image)
    return images, _Chunk(tuple(damaged), tuple(other_sizes), converted)


def _size_of_first(path: Path) -> tuple[int, int]:
    """(width, height) of an image."""
    try:
        return _rgb(path)[0].size
    except Exception as error:
        raise RequestError(f"damaged images: {path} ({_reason(error)})") from None


def _rgb(path: Path) -> tuple[Image.Image, bool]:
    """An image as RGB, and whether it was something else."""
    with warnings.catch_warnings():
        # An image of a hundred million pixels is an attack or a mistake.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
    return (image, False) if image.mode == "RGB" else (_as_rgb(image), True)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image"
    return str(getattr(error, "strerror", None) or error)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16 bits: 0 … 65535 to 0 … 255, however dark the image is.
        values = np.asarray(image, np.float64) / 257
        return Image.fromarray(values.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image).convert("RGB")
    return image.convert("RGB")
