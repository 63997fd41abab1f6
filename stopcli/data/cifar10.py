"""CIFAR-10 in its official forms: the Python and the binary version, as folders or archives (A. Krizhevsky, 2009)."""

from __future__ import annotations

import functools
import io
import re
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.images import ImageSet
from stopcli.data.restricted_pickle import read_pickle
from stopcli.data.rows import Examples
from stopcli.errors import RequestError, system_words

Read = Callable[[str], bytes]
Batch = tuple[NDArray[np.uint8], NDArray[np.int32]]

_SIDE = 32
_BYTES = _SIDE * _SIDE * 3
_FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")
_PYTHON_META, _BINARY_META = "batches.meta", "batches.meta.txt"


def is_archive(path: Path) -> bool:
    """Whether a path may be an official archive."""
    return path.is_file() and path.name.endswith((".tar.gz", ".tgz", ".tar"))


def official_folder(path: Path) -> Path | None:
    """The folder with the official files: the path itself or a folder of the official name in it; None for neither."""
    for folder in (path, *(path / name for name in _FOLDERS)):
        if (folder / _PYTHON_META).is_file() or (folder / _BINARY_META).is_file():
            return folder
    return None


def read_folder(folder: Path) -> ImageSet:
    """The images in an official folder.

    Raises:
        RequestError: a file is missing or damaged; it is named.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise RequestError(f"{folder}: cannot be read ({system_words(error)})") from None

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise RequestError(f"{folder / name}: cannot be read ({system_words(error)})") from None

    return _read(str(folder), names, read)


def read_archive(path: Path) -> ImageSet:
    """The images in an official archive, which is not unpacked to the disk.

    Raises:
        RequestError: it is no such archive, or damaged.
    """
    contents = _contents_of(path)
    return _read(str(path), sorted(contents), contents.__getitem__)


def _contents_of(path: Path) -> dict[str, bytes]:
    try:
        contents = _files_in(path)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path}: damaged, or no archive ({error})") from None
    if not contents:
        raise RequestError(f"{path}: holds neither of {', '.join(_FOLDERS)}")
    return contents


def unpack(path: Path, folder: Path) -> None:
    """Write what an archive of the Python version holds to a folder of its official name in a new folder.

    Raises:
        RequestError: it is no such archive, or damaged.
        OSError: they cannot be written.
    """
    official = folder / _FOLDERS[0]
    contents = _contents_of(path)
    official.mkdir(parents=True)
    for name, content in contents.items():
        (official / name).write_bytes(content)


def _files_in(path: Path) -> dict[str, bytes]:
    """The content of an archive's files by name, as far as they lie in a folder of CIFAR-10, in one pass through it."""
    contents: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            member_path = PurePosixPath(member.name)
            file = archive.extractfile(member) if member.isfile() and member_path.parent.name in _FOLDERS else None
            if file is not None:
                contents[member_path.name] = file.read()
        # To the end, where a compressed archive has its check sum: tarfile stops before it, and takes what is there.
        while archive.fileobj is not None and archive.fileobj.read(1 << 20):
            pass
    return contents


def _read(where: str, names: list[str], read: Read) -> ImageSet:
    if _PYTHON_META in names:
        meta, pattern, batch_of = _PYTHON_META, r"data_batch_\d+", _python_batch
    elif _BINARY_META in names:
        meta, pattern, batch_of = _BINARY_META, r"data_batch_\d+\.bin", _binary_batch
    else:
        raise RequestError(f"{where}: neither {_PYTHON_META} nor {_BINARY_META} is there")
    parts = {"train": [name for name in names if re.fullmatch(pattern, name)]}
    test = pattern.replace(r"data_batch_\d+", "test_batch").replace("\\", "")
    parts["test"] = [name for name in names if name == test]
    for part, files in parts.items():
        if not files:
            raise RequestError(f"{where}: no {part} images ({test if part == 'test' else 'data_batch_1'} is missing)")
    expected = {pattern.replace(r"\d+", str(i + 1)).replace("\\", "") for i in range(len(parts["train"]))}
    missing = sorted(expected - set(parts["train"]))
    if missing:
        raise RequestError(f"{where}: {', '.join(missing)} missing")
    classes = _checked(f"{where}/{meta}", lambda: _class_names(read(meta), meta == _PYTHON_META))

    def batch(name: str) -> Batch:
        return batch_of(read(name), len(classes))

    def examples(files: list[str]) -> Examples:
        batches = [_checked(f"{where}/{name}", functools.partial(batch, name)) for name in files]
        x = np.concatenate([x for x, _ in batches]).reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        return Examples(np.ascontiguousarray(x), np.concatenate([y for _, y in batches]))

    images = {part: examples(files) for part, files in parts.items()}
    for part, members in images.items():
        counts = np.bincount(members.y, minlength=len(classes)).tolist()
        empty = [name for name, count in zip(classes, counts, strict=True) if not count]
        if empty:
            raise RequestError(f"{where}: no {part} images of {', '.join(empty)}")
    return ImageSet(where, images["train"], images["test"], classes)


def _checked(where: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RequestError:
        raise
    # Damaged bytes lead a pickle reader to nearly any error.
    except Exception as error:
        raise RequestError(f"{where}: damaged, or not CIFAR-10's ({error})") from None


def _class_names(content: bytes, pickled: bool) -> tuple[str, ...]:
    if pickled:
        names = tuple(name.decode() for name in read_pickle(io.BytesIO(content))[b"label_names"])
    else:
        names = tuple(content.decode().split())
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"the class names are {names}")
    return names


def _python_batch(content: bytes, classes: int) -> Batch:
    batch = read_pickle(io.BytesIO(content))
    x, y = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    if x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != _BYTES or y.shape != x.shape[:1]:
        raise ValueError(f"data {x.dtype} {x.shape} with labels {y.shape}, expected uint8 (rows, {_BYTES}), (rows,)")
    return x, _labels(y, classes)


def _binary_batch(content: bytes, classes: int) -> Batch:
    if not content or len(content) % (_BYTES + 1):
        raise ValueError(f"{len(content)} bytes are no whole number of records of {_BYTES + 1}: it is truncated")
    records = np.frombuffer(content, np.uint8).reshape(-1, _BYTES + 1)
    return records[:, 1:], _labels(records[:, 0], classes)


def _labels(y: NDArray[Any], classes: int) -> NDArray[np.int32]:
    if y.dtype.kind not in "iu":
        raise ValueError(f"labels are {y.dtype}, expected whole numbers")
    if not len(y) or y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels beyond the {classes} classes, or none")
    return y.astype(np.int32)
