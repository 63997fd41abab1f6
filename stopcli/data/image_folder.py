"""The images of many files as one array, and which of the files are none."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stopcli.control_groups import usable_cores
from stopcli.data.image_file import reason_of, to_rgb
from stopcli.data.image_listing import LEAVE_OUT
from stopcli.data.images import Tell
from stopcli.data.memory import check_fits
from stopcli.errors import RequestError, printable
from stopcli.signals import ignore_terminal, release_signals, stop_signals_held

# Files that are named in an error; the others are counted.
_NAMED = 3
# Images that are decoded at a time, and as many such chunks as are worth the second that processes take to begin.
_CHUNK = 256
_WORTH_PROCESSES = 16


@dataclass(frozen=True)
class Decoded:
    """The images of some files as arrays.

    Attributes:
        x: uint8, [images, height, width, 3], of the files that could be read, in their order.
        converted: images that were not RGB with 8 bits.
        unreadable: why a file could not be read, by its place among the files.
        digest: of what the files held when they were decoded (see `digest_of`).
        lasting: whether the same would be found again; not so where the system refused to read a file.
    """

    x: NDArray[np.uint8]
    converted: int
    unreadable: Mapping[int, str] = field(default_factory=dict)
    digest: str = ""
    lasting: bool = True


def decode(files: Sequence[Path], image_size: int | None, tell: Tell) -> Decoded:
    """The images in files, decoded by a process for each core; see `image_file.to_rgb` for what they become.

    Args:
        image_size: the side of the square that each is resized to (bilinear, with antialiasing); None to take them as
            they are, all of one size.

    Raises:
        RequestError: none can be read, sizes differ, or it is more than memory holds.
    """
    first, size_of_first = _first_readable(files)
    size = (image_size, image_size) if image_size else size_of_first
    width, height = size
    check_fits(len(files), height, width, printable(files[0].parent.parent))
    x = np.empty((len(files), height, width, 3), np.uint8)
    chunks = [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]
    work = functools.partial(_decode_chunk, size=size, resize=image_size is not None)
    unreadable: dict[int, str] = {}
    other_sizes: list[tuple[int, tuple[int, int]]] = []
    digests: list[bytes] = []
    taken = converted = 0
    lasting = True
    for images, chunk in _chunk_by_chunk(work, chunks):
        x[taken : taken + len(images)] = images
        taken += len(images)
        unreadable |= {len(digests) + place: reason for place, reason in chunk.unreadable.items()}
        other_sizes += [(len(digests) + place, other) for place, other in chunk.other_sizes.items()]
        digests += chunk.digests
        converted += chunk.converted
        lasting = lasting and chunk.lasting
        tell("decoding images", len(digests), len(files))
    if other_sizes:
        place, (other_width, other_height) = other_sizes[0]
        raise RequestError(
            f"images of different sizes: {printable(first)} has {height} × {width} pixels (height × width), "
            f"{printable(files[place])} {other_height} × {other_width}, and {len(other_sizes):,} of {len(files):,} are "
            "unlike the first",
            hint="--image-size N resizes all of them to N × N.",
        )
    return Decoded(x[:taken], converted, unreadable, digest_of(digests), lasting)


def digest_of(contents: Sequence[bytes]) -> str:
    """What stands for the content of several files, in their order, out of each one's SHA-256."""
    return hashlib.sha256(b"".join(contents)).hexdigest()


def damaged_error(files: Sequence[Path], unreadable: Mapping[int, str]) -> RequestError:
    """The error that names the first of some files that could not be read."""
    named = [f"{printable(files[place])} ({reason})" for place, reason in [*unreadable.items()][:_NAMED]]
    more = f" and {len(unreadable) - _NAMED:,} more" if len(unreadable) > _NAMED else ""
    return RequestError(f"damaged images: {'; '.join(named)}{more}", hint=LEAVE_OUT)


class _Chunk(NamedTuple):
    """What was found in some files beside their images; by place within the chunk.

    Attributes:
        digests: the SHA-256 of what each file held.
    """

    unreadable: dict[int, str]
    other_sizes: dict[int, tuple[int, int]]
    digests: list[bytes]
    converted: int
    lasting: bool


def _chunk_by_chunk(
    work: Callable[[Sequence[Path]], tuple[NDArray[np.uint8], _Chunk]], chunks: Sequence[Sequence[Path]]
) -> Iterator[tuple[NDArray[np.uint8], _Chunk]]:
    """`work` of each chunk, in their order. Threads would wait for Python's lock: small images are mostly Python."""
    workers = min(usable_cores(), len(chunks))
    if len(chunks) < _WORTH_PROCESSES or workers == 1:
        yield from map(work, chunks)
        return
    # Spawned, because forking a process with threads (a progress bar's, TensorFlow's) may leave a lock held for ever.
    context = multiprocessing.get_context("spawn")
    try:
        pool = ProcessPoolExecutor(workers, context, initializer=_leave_signals_to_the_parent)
    except (OSError, NotImplementedError):
        # Its queues need semaphores, which need /dev/shm: in a container that may be full, read-only or missing.
        yield from map(work, chunks)
        return
    with pool:
        # Begins them.
        with stop_signals_held():
            read = pool.map(work, chunks)
        yield from read


def _leave_signals_to_the_parent() -> None:
    """Ctrl-C at a terminal goes to all processes there; what becomes of it is for the one that began them to say."""
    ignore_terminal()
    release_signals()


def _decode_chunk(files: Sequence[Path], *, size: tuple[int, int], resize: bool) -> tuple[NDArray[np.uint8], _Chunk]:
    """The images of some files, without those that cannot be read or have another size."""
    images = np.empty((len(files), size[1], size[0], 3), np.uint8)
    found = _Chunk({}, {}, [], 0, True)
    taken = 0
    for place, path in enumerate(files):
        content = b""
        try:
            content = path.read_bytes()
            image, was_other = to_rgb(content)
        # Damaged content leads Pillow's readers to many errors.
        except Exception as error:
            found.unreadable[place] = reason_of(error)
            # Errors of the system have a number, those of Pillow's readers have none.
            found = found._replace(lasting=found.lasting and getattr(error, "errno", None) is None)
            continue
        finally:
            found.digests.append(hashlib.sha256(content).digest())
        found = found._replace(converted=found.converted + was_other)
        if image.size != size:
            if not resize:
                found.other_sizes[place] = image.size
                continue
            image = image.resize(size, Image.Resampling.BILINEAR)
        images[taken] = np.asarray(image)
        taken += 1
    return images[:taken], found


def _first_readable(files: Sequence[Path]) -> tuple[Path, tuple[int, int]]:
    """The first file that is an image, and its (width, height)."""
    reasons: dict[int, str] = {}
    for place, path in enumerate(files):
        try:
            return path, to_rgb(path.read_bytes())[0].size
        except Exception as error:
            reasons[place] = reason_of(error)
    raise damaged_error(files, reasons)
