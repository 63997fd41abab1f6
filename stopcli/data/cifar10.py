"""CIFAR-10: its archive, Keras's cache of it, its download, and its arrays."""

import _codecs
import contextlib
import functools
import hashlib
import http.client
import importlib
import io
import os
import pickle
import re
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from stopcli.data.dataset import Examples, ImageSet, OnProgress
from stopcli.data.named import NamedDataset
from stopcli.errors import RequestError, RunError, system_words

# A network that swallows what is sent to it would otherwise be waited for without end.
TIMEOUT_SECONDS = 15.0
# Connections that break are made again this often, as long as each of them brings something.
_ATTEMPTS = 5
_CHUNK_BYTES = 1 << 20

OnBytes = Callable[[int, int], None]
"""Called with how many bytes have come, of how many; 0 where the server does not say."""


def download(url: str, path: Path, sha256: str, on_progress: OnBytes) -> None:
    """Download a file. What an earlier call left in `PATH.part` is continued, where the server can.

    Args:
        path: what it is called once its hash is right; its folder is there.

    Raises:
        RunError: the address cannot be reached, the connection broke, or the file is another one.
        OSError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    for attempt in range(1, _ATTEMPTS + 1):
        before = _size(part)
        problem = _fetch_from(url, part, on_progress)
        if not problem:
            break
        if attempt == _ATTEMPTS or _size(part) <= before:
            raise RunError(problem)
    if _sha256(part) != sha256:
        part.unlink()
        raise RunError("the downloaded file does not have the expected SHA-256")
    part.replace(path)


def _fetch_from(url: str, part: Path, on_progress: OnBytes) -> str:
    """Append the missing rest of a file. Returns why it is still incomplete, in words; empty where it is not."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        # Opening, reading and writing fail alike with OSErrors; those of the disk are not the network's.
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            # There is nothing more: the file is complete, or its hash will show that it is another one.
            return "" if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else _reason(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _reason(error)
    with contextlib.closing(response):
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            # The server sends all of it again.
            have = 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else 0
        with part.open("ab" if have else "wb") as file:
            while True:
                try:
                    chunk = response.read(_CHUNK_BYTES)
                except (OSError, http.client.HTTPException) as error:
                    return _reason(error)
                if not chunk:
                    break
                file.write(chunk)
                have += len(chunk)
                on_progress(have, total)
    return f"the connection ended after {have:,} of {total:,} bytes" if have < total else ""


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}".strip()
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(reason, "strerror", None) or reason).strip() or type(error).__name__


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


_multiarray = importlib.import_module("numpy._core.multiarray")
# As NumPy 1 and NumPy 2 name them.
_ADMITTED: dict[tuple[str, str], Any] = {
    **{
        (f"numpy.{core}.multiarray", name): getattr(_multiarray, name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _codecs.encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no data file needs") from None


def read_pickle(file: IO[bytes]) -> Any:
    """The value in a pickle, texts of Python 2 as bytes.

    Raises:
        pickle.UnpicklingError: it holds anything but arrays and plain values.
        Exception: whatever else damaged bytes lead a pickle reader to.
    """
    return _Reader(file, encoding="bytes").load()


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
    """The images in an official folder. Raises RequestError where a file is missing or damaged; it is named."""
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
    """The images in an official archive, which is not unpacked to the disk. Raises RequestError where it is no such
    archive, or damaged."""
    contents = _contents_of(path)
    return _read(str(path), sorted(contents), contents.__getitem__)


def _contents_of(path: Path) -> dict[str, bytes]:
    try:
        contents = _files_in(path)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path}: damaged, or not an archive ({error})") from None
    if not contents:
        raise RequestError(f"{path}: contains neither of {', '.join(_FOLDERS)}")
    return contents


def unpack(path: Path, folder: Path) -> None:
    """Write what an archive of the Python version holds to a folder of its official name in a new folder. Raises
    RequestError where it is no such archive, or damaged, and OSError where they cannot be written."""
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
        # To the end, where a compressed archive has its check sum: tarfile stops before it, and accepts a damaged one.
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
        raise ValueError(f"{len(content)} bytes are not a whole number of records of {_BYTES + 1}: it is truncated")
    records = np.frombuffer(content, np.uint8).reshape(-1, _BYTES + 1)
    return records[:, 1:], _labels(records[:, 0], classes)


def _labels(y: NDArray[Any], classes: int) -> NDArray[np.int32]:
    if y.dtype.kind not in "iu":
        raise ValueError(f"labels are {y.dtype}, expected whole numbers")
    if not len(y) or y.min() < 0 or y.max() >= classes:
        raise ValueError(f"labels beyond the {classes} classes, or none")
    return y.astype(np.int32)


# As in keras.datasets.cifar10 (Keras 3.15), which finds there what was downloaded here.
_NAME = "cifar-10-batches-py-target"
_ARCHIVE = f"{_NAME}_archive"
_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_TRAIN, _TEST = 50_000, 10_000
_MEGABYTE = 1_000_000

_REMOVE = "Remove it, and it is downloaded again."
_HINT = "--dataset PATH takes CIFAR-10 from a folder or an archive that you have; --dataset digits needs none."


class Cifar10(NamedDataset):
    """CIFAR-10 from Keras's cache, else downloaded there."""

    title = "CIFAR-10"
    in_files = True

    def load(self, on_progress: OnProgress) -> ImageSet:
        return cached() or downloaded(on_progress)


def cached() -> ImageSet | None:
    """CIFAR-10 from Keras's cache; None where it is missing, or the cache cannot be read. Raises RequestError where it
    is there and damaged or incomplete."""
    cache = _cache()
    # Not Path.is_dir, which raises where a parent folder may not be entered.
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


def downloaded(on_progress: OnProgress) -> ImageSet:
    """CIFAR-10, downloaded into Keras's cache; where that cannot be written, for this once. Raises RunError where it
    cannot be had."""
    cache = _cache()
    if cache is None:
        return _for_once("there is no home directory for a cache", on_progress)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Two runs that start at once download it once.
        with _alone(cache):
            images = _read_cached(cache)
            if images is None:
                _fetch(cache / _ARCHIVE, on_progress)
                _unpack(cache / _ARCHIVE, cache / _NAME)
                images = _read_cached(cache)
    except OSError as error:
        return _for_once(f"{cache} cannot be written: {system_words(error)}", on_progress)
    if images is None:
        raise RunError(f"CIFAR-10 is not in {cache} although it was downloaded", hint=_HINT)
    return images


def _for_once(why: str, on_progress: OnProgress) -> ImageSet:
    try:
        with tempfile.TemporaryDirectory(prefix="stopcli-cifar10-") as folder:
            archive = Path(folder) / "cifar-10-python.tar.gz"
            _fetch(archive, on_progress)
            images = _whole(read_archive(archive), archive)
    except OSError as error:
        raise RunError(f"CIFAR-10 cannot be downloaded ({system_words(error)})", hint=_HINT) from None
    note = f"CIFAR-10 is downloaded each time, because {why}; KERAS_HOME can name a folder for it"
    return replace(images, notes=(note,))


def _fetch(archive: Path, on_progress: OnProgress) -> None:
    def tell_megabytes(done: int, total: int) -> None:
        on_progress("downloading CIFAR-10, megabytes", done // _MEGABYTE, total // _MEGABYTE)

    on_progress("downloading CIFAR-10, megabytes", 0, 0)
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
    """Keras's folder of data sets; None without KERAS_HOME and a home directory."""
    home = os.environ.get("KERAS_HOME")
    try:
        return (Path(home).expanduser() if home else Path.home() / ".keras") / "datasets"
    except RuntimeError:
        return None


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Wait until no other run reads or writes the cache. One that cannot be written changes under nobody."""
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
