"""The images of a folder decoded to one array, by several processes and only once: the array is cached on disk."""

import contextlib
import functools
import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

from stopcli.control_groups import check_fits, usable_cores
from stopcli.data.dataset import OnProgress
from stopcli.data.image_files import DAMAGED, LEAVE_OUT, reason_of, to_rgb
from stopcli.errors import RequestError, printable, system_words
from stopcli.paths import user_cache
from stopcli.quantities import first_few
from stopcli.signals import end_with_parent, ignore_terminal, release_signals, stop_signals_held

# Images that are decoded at a time, and how many such chunks are worth the second that processes take to start.
_CHUNK = 256
_WORTH_PROCESSES = 16


@dataclass(frozen=True)
class DecodedImages:
    """The images of some files as arrays.

    Attributes:
        x: uint8, [images, height, width, 3], of the files that could be read, in their order.
        converted: images that were not RGB with 8 bits.
        unreadable: why a file could not be read, by its index among the files.
        digest: of what the files held when they were decoded (see `digest_of`).
        lasting: whether decoding them again would give the same; not where the system refused to read a file.
    """

    x: NDArray[np.uint8]
    converted: int
    unreadable: Mapping[int, str] = field(default_factory=dict)
    digest: str = ""
    lasting: bool = True


def decode(files: Sequence[Path], image_size: int | None, on_progress: OnProgress) -> DecodedImages:
    """The images in files, decoded by a process for each core; see `to_rgb` for what they become.

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
    count = converted = 0
    lasting = True
    for chunk in _chunk_by_chunk(work, chunks):
        x[count : count + len(chunk.images)] = chunk.images
        count += len(chunk.images)
        unreadable |= {len(digests) + index: reason for index, reason in chunk.unreadable.items()}
        other_sizes += [(len(digests) + index, other) for index, other in chunk.other_sizes.items()]
        digests += chunk.digests
        converted += chunk.converted
        lasting = lasting and chunk.lasting
        on_progress("decoding images", len(digests), len(files))
    if other_sizes:
        index, (other_width, other_height) = other_sizes[0]
        raise RequestError(
            f"images of different sizes: {printable(first)} has {height} × {width} pixels (height × width), "
            f"{printable(files[index])} {other_height} × {other_width}, and {len(other_sizes):,} of {len(files):,} are "
            "unlike the first",
            hint="--image-size N resizes all of them to N × N.",
        )
    return DecodedImages(x[:count], converted, unreadable, digest_of(digests), lasting)


def digest_of(contents: Sequence[bytes]) -> str:
    """A hash of several files in their order, from each one's SHA-256."""
    return hashlib.sha256(b"".join(contents)).hexdigest()


def damaged_error(files: Sequence[Path], unreadable: Mapping[int, str]) -> RequestError:
    """The error that names the first of some files that could not be read."""
    named = first_few([f"{printable(files[index])} ({reason})" for index, reason in unreadable.items()])
    return RequestError(f"{DAMAGED}: {len(unreadable):,} ({named})", hint=LEAVE_OUT)


@dataclass
class _Chunk:
    """As `DecodedImages`, of some of the files, with the SHA-256 of each and the sizes of those with another one."""

    images: NDArray[np.uint8]
    unreadable: dict[int, str] = field(default_factory=dict)
    other_sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    digests: list[bytes] = field(default_factory=list)
    converted: int = 0
    lasting: bool = True


def _chunk_by_chunk(work: Callable[[Sequence[Path]], _Chunk], chunks: Sequence[Sequence[Path]]) -> Iterator[_Chunk]:
    """`work` of each chunk, in their order. Threads would wait for Python's lock: small images are mostly Python."""
    workers = min(usable_cores(), len(chunks))
    if len(chunks) < _WORTH_PROCESSES or workers == 1:
        yield from map(work, chunks)
        return
    # Spawned, because forking a process with threads (a progress bar's, TensorFlow's) may leave a lock held for ever.
    context = multiprocessing.get_context("spawn")
    try:
        pool = ProcessPoolExecutor(workers, context, initializer=_depend_on_parent)
    except (OSError, NotImplementedError):
        # Its queues need semaphores, which need /dev/shm: in a container that may be full, read-only or missing.
        yield from map(work, chunks)
        return
    with pool:
        # Starts them.
        with stop_signals_held():
            read = pool.map(work, chunks)
        yield from read


def _depend_on_parent() -> None:
    """Ctrl-C at a terminal goes to all its processes; the one that started these handles it."""
    end_with_parent()
    ignore_terminal()
    release_signals()


def _decode_chunk(files: Sequence[Path], *, size: tuple[int, int], resize: bool) -> _Chunk:
    """The images of some files, without those that cannot be read or have another size."""
    chunk = _Chunk(np.empty((len(files), size[1], size[0], 3), np.uint8))
    count = 0
    for index, path in enumerate(files):
        content = b""
        try:
            content = path.read_bytes()
            image, was_other = to_rgb(content)
        # Damaged content leads Pillow's readers to many errors.
        except Exception as error:
            chunk.unreadable[index] = reason_of(error)
            # Errors of the system have a number, those of Pillow's readers have none.
            chunk.lasting = chunk.lasting and getattr(error, "errno", None) is None
            continue
        finally:
            chunk.digests.append(hashlib.sha256(content).digest())
        chunk.converted += was_other
        if image.size != size:
            if not resize:
                chunk.other_sizes[index] = image.size
                continue
            image = image.resize(size, Image.Resampling.BILINEAR)
        chunk.images[count] = np.asarray(image)
        count += 1
    chunk.images = chunk.images[:count]
    return chunk


def _first_readable(files: Sequence[Path]) -> tuple[Path, tuple[int, int]]:
    """The first file that is an image, and its (width, height)."""
    reasons: dict[int, str] = {}
    for index, path in enumerate(files):
        try:
            return path, to_rgb(path.read_bytes())[0].size
        except Exception as error:
            reasons[index] = reason_of(error)
    raise damaged_error(files, reasons)


# How many of the newest files stay.
NEWEST = 8
_FORMAT = 2
# Reading lets go of Python's lock, and waits for the disk.
_READERS = 8


def cache_folder() -> Path | None:
    """$STOPCLI_CACHE_DIR, else stopcli's folder in the user's cache; None for a user without a home directory."""
    own = os.environ.get("STOPCLI_CACHE_DIR")
    return Path(own) if own else user_cache("stopcli")


def content_digest(files: Sequence[Path]) -> str | None:
    """The hash of some files (see `digest_of`); None where one cannot be read.

    All of them are read: names, sizes and times of two data sets may agree, and those of a file before and after it was
    replaced (decision 26).
    """
    chunks = [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]
    try:
        with ThreadPoolExecutor(_READERS) as readers:
            return digest_of([digest for digests in readers.map(_digests, chunks) for digest in digests])
    except OSError:
        return None


def _digests(files: Sequence[Path]) -> list[bytes]:
    digests = []
    for path in files:
        # Not buffered: the file is read at once.
        with path.open("rb", buffering=0) as file:
            digests.append(hashlib.sha256(file.read()).digest())
    return digests


def cache_file(digest: str, image_size: int | None) -> Path | None:
    """The path of the decoded form of files; None where there is no folder for it.

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


def read_cached(path: Path | None) -> DecodedImages | None:
    """The images in a cache file; None where it is missing or damaged."""
    if path is None:
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            reasons = zip(held["places"].tolist(), held["reasons"].tolist(), strict=True)
            decoded = DecodedImages(held["x"], int(held["converted"]), dict(reasons))
    # A damaged zip leads to nearly any error; the images are then decoded again.
    except Exception:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return decoded


def write_cached(path: Path | None, decoded: DecodedImages) -> str | None:
    """Save decoded images, replacing the file at once. Returns why it could not be done, if so."""
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
    for path in files[NEWEST:]:
        path.unlink(missing_ok=True)
