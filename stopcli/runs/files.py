"""Files: written whole or not at all, or appended to and known by their hash; read with care."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, TypeVar

from stopcli.errors import RecordError, RequestError, shortened, system_words
from stopcli.runs.typed_json import MisfitError, from_json, to_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

# Nothing that stopcli writes nests more than a few levels; what does ends whoever reads it in a RecursionError.
LEVELS = 40
# TOML's integers, and all that stopcli writes, have 64 bits.
_LARGEST = 2**63


class UnusableFileError(Exception):
    """A file cannot be used. The text says what is wrong with it, to be put behind its name."""


def read_json_file(path: Path) -> Any:
    """The value in a JSON file. Raises FileNotFoundError where there is no such file, and UnusableFileError where it
    cannot be read, is not JSON, or has numbers or nesting that nobody can have meant."""
    return _parsed(_content(path, pipe_ok=False), "not JSON", json.loads, finite=True)


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file; a pipe will do too (`stopcli run <(…)`). Raises RequestError where it cannot be read or
    does not exist, is not TOML, or has numbers or nesting that nobody can have meant."""
    try:
        table: dict[str, Any] = _parsed(_content(path, pipe_ok=True), "not a TOML file", tomllib.loads, finite=False)
    except FileNotFoundError as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None
    except UnusableFileError as error:
        raise RequestError(f"{path}: {error}") from None
    return table


def check_json(content: bytes) -> None:
    """Check that bytes are JSON that `read_json_file` would read; its numbers need not be finite. Raises
    UnusableFileError where they are not."""
    _parsed(content, "not JSON", json.loads, finite=False)


def _parsed(content: bytes, problem: str, parse: Callable[[str], Any], *, finite: bool) -> Any:
    """Parsed content; `problem` is how the error begins where it cannot be parsed."""
    try:
        # Editors of Windows begin a file with a byte order mark.
        return _plain(parse(content.decode("utf-8-sig")), 0, finite=finite)
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"{problem}: {error.reason} at byte {error.start + 1}, expected UTF-8") from None
    except RecursionError:
        raise UnusableFileError(f"{problem}: nested more than {LEVELS} levels deep") from None
    except OverflowError:
        raise UnusableFileError(f"{problem}: a whole number of more than 64 bits") from None
    except ValueError as error:
        # For more digits than Python converts, its message says how to allow them.
        reason = "a whole number of more than 64 bits" if "set_int_max_str_digits" in str(error) else str(error)
        raise UnusableFileError(f"{problem}: {shortened(reason)}") from None


def _content(path: Path, *, pipe_ok: bool) -> bytes:
    """All of a regular file. Opened without waiting: a FIFO that nobody writes to would never open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            kind = os.fstat(descriptor).st_mode
            if stat.S_ISFIFO(kind) and pipe_ok:
                os.set_blocking(descriptor, True)
            elif not stat.S_ISREG(kind):
                raise UnusableFileError("is a folder, not a file" if stat.S_ISDIR(kind) else "is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UnusableFileError(f"cannot be read ({system_words(error)})") from None


def _plain(value: Any, level: int, *, finite: bool) -> Any:
    """A parsed value that can be walked through, compared, shown and written again without surprises; `finite` refuses
    NaN and infinities, which Python reads although JSON does not have them. Raises RecursionError, OverflowError (of
    integers) or ValueError."""
    if level > LEVELS:
        raise RecursionError
    if isinstance(value, dict):
        return {_text(key): _plain(item, level + 1, finite=finite) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, level + 1, finite=finite) for item in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise OverflowError
    if finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"received {value}, expected a finite number")
    return value


def _text(text: str) -> str:
    """Text that can be written anywhere: half a surrogate pair, which JSON can name, is replaced by its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# How the names of unfinished files begin.
_NEW = ".new-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new name beside `path` to write to; renamed to `path` when the block ends well, deleted when it does not.

    The name ends as `path` does, for writers that go by the ending. The bytes are on the disk before the name is.

    Raises:
        OSError: that of the block or of the system, with `path` as the file that it is about.
    """
    new = path.with_name(f"{_NEW}{os.getpid()}-{path.name}")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename in (None, str(new)):
            error.filename = str(path)
        raise
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """As `replacing`, for a file that must not be there yet: one that somebody has made meanwhile stays as it is.

    Raises:
        FileExistsError: there is one.
        OSError: as `replacing`.
    """
    new = path.with_name(f"{_NEW}{os.getpid()}-{path.name}")
    try:
        with replacing(new) as unnamed:
            yield unnamed
        try:
            # A link, unlike a new name, does not take the place of a file.
            os.link(new, path)
        except FileExistsError:
            raise
        except OSError:
            # Not every file system has links.
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            new.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename == str(new):
            error.filename = str(path)
        raise
    finally:
        new.unlink(missing_ok=True)


# The disk is full, over a quota or a limit, read-only by now, or broken.
_DISK_FAULTS = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def is_disk_fault(error: BaseException | None) -> TypeGuard[OSError]:
    """Whether an error is the disk's, so that whatever is written next fails too."""
    return isinstance(error, OSError) and error.errno in _DISK_FAULTS


def remove_leftovers(folder: Path) -> None:
    """Remove unfinished files of a process that was killed. Only for a folder that nobody else is writing."""
    for path in folder.rglob(f"{_NEW}*"):
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Have a folder's new names on the disk, where the system can open a folder (Windows cannot)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or leave what was there."""
    with replacing(path) as new:
        # A command line or a name may hold bytes that are not text; they are escaped.
        new.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or leave what was there."""
    with replacing(path) as new:
        new.write_bytes(content)


def write_whole(path: Path, content: str | bytes) -> None:
    """`write_text` or `write_bytes`, as the content is."""
    if isinstance(content, str):
        write_text(path, content)
    else:
        write_bytes(path, content)


def write_json(path: Path, value: Any) -> None:
    """`dump_json` into a file."""
    write_text(path, dump_json(value) + "\n")


def overwrite_json(path: Path, value: Any) -> None:
    """`write_json`; where the disk has no room for a new file, into the room of the existing one.

    Only for a file of a few lines that must not stay outdated: a crash at this very moment would leave half of it.

    Raises:
        OSError: it does not fit there either; the existing file is untouched.
    """
    try:
        write_json(path, value)
    except OSError as error:
        content = (dump_json(value) + "\n").encode()
        if not (is_disk_fault(error) and path.is_file() and len(content) <= _room_of(path)):
            raise
        with path.open("r+b") as file:
            # Blanks at the end are no part of the JSON.
            file.write(content.ljust(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())


def _room_of(path: Path) -> int:
    """Bytes that a file can have without more room on the disk."""
    status = path.stat()
    # Windows does not report blocks.
    return max(status.st_size, 512 * getattr(status, "st_blocks", 0))


def dump_json(value: Any) -> str:
    """A value, or a dataclass, as JSON. NaN and infinities become null: JSON has no word for them."""
    return json.dumps(to_json(value), indent=1, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of whatever content; empty where the file is missing, or holds none."""
    return read_checked(path, lambda value: from_json(dict[str, Any], value))[0] or {}


def read_checked(path: Path, parse: Callable[[Any], T]) -> tuple[T | None, str]:
    """The content of a JSON file, which anybody may have changed, as made by `parse`, which raises MisfitError where it
    is not what it should be; None where it is missing or damaged. And what is wrong with it, beginning with its name;
    empty for nothing."""
    try:
        return parse(read_json_file(path)), ""
    except FileNotFoundError:
        return None, ""
    except (UnusableFileError, MisfitError) as error:
        return None, f"{path.name}: damaged ({error})"


_TEMPORARY = ".temporary-"


@contextlib.contextmanager
def variables_set(**values: str) -> Iterator[None]:
    """Give environment variables other values within the block, such as while a library is imported that reads them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def temporary_files(near: Path) -> Iterator[None]:
    """Within the block, this process and those that it starts have a folder for temporary files: the system's, else one
    that is made for them and removed at the end, as in a container whose only writable folder is a volume.

    TensorFlow cannot be imported without one, although it only asks for the name.

    Args:
        near: where it is made, or in the nearest existing folder above.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        pass
    else:
        yield
        return
    above = next((path for path in (near.absolute(), *near.absolute().parents) if path.is_dir()), near)
    try:
        folder = tempfile.mkdtemp(prefix=_TEMPORARY, dir=above)
    except OSError:
        # The name of a folder that does not exist is enough for whoever only asks for the name.
        folder = os.path.join(os.devnull, "temporary")  # noqa: PTH118
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        with variables_set(TMPDIR=folder):
            yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove temporary files of a process that was killed. Only for a folder that nobody else is writing."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


_CHUNK = 1 << 20


class Prefix(NamedTuple):
    """The committed beginning of a file: its length in bytes, 0 for nothing, so that the file is written anew; and its
    hash."""

    length: int = 0
    sha256: str = ""


class AppendedFile:
    """A file that grows by whole records, and can be cut back to a length that was committed.

    Args:
        path: the file.
        header: what it begins with.
        keep: None for a file that does not exist yet; else what to keep of an existing file.

    Raises:
        FileExistsError: `keep` is None and the file exists.
        RecordError: the file does not begin as it was committed, or is not a regular file.
    """

    def __init__(self, path: Path, header: bytes, keep: Prefix | None = None) -> None:
        self.path = path
        if keep is not None and keep.length:
            self._digest = check_prefix(path, keep, header)
            # Without a buffer, nothing of what a full disk refused is written later.
            self._file = path.open("r+b", buffering=0)
            self._file.seek(keep.length)
            self._file.truncate()
            return
        if keep is not None and path.exists():
            _check_regular(path)
        self._digest = hashlib.sha256()
        self._file = path.open("xb" if keep is None else "wb", buffering=0)
        try:
            self.write(header)
        except OSError:
            # Closing fails for the same reason, which this error says.
            with contextlib.suppress(OSError):
                self.close()
            if keep is None:
                # Made above; it would be in the way once there is room.
                path.unlink(missing_ok=True)
            raise

    def write(self, records: bytes) -> None:
        """Append records, or where there is no room for all of them, leave the file as it was. Raises OSError then."""
        end, rest = self._file.tell(), memoryview(records)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(end)
            self._file.seek(end)
            raise
        self._digest.update(records)

    def commit(self) -> Prefix:
        """Have everything on the disk, and return what that is."""
        os.fsync(self._file.fileno())
        return Prefix(self._file.tell(), self._digest.hexdigest())

    def close(self) -> None:
        self._file.close()


def close_all(files: Iterable[AppendedFile]) -> None:
    """Close all of some files, even where one still has something to write and the disk is full."""
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.callback(file.close)


def check_prefix(path: Path, prefix: Prefix, header: bytes = b"") -> hashlib._Hash:
    """Check that a file still begins as it was committed, and with its header where that is known; nothing is written.
    Returns the hash of the prefix, to be continued. Raises RecordError where it does not, is missing, or is not a
    regular file."""
    if not path.exists():
        raise RecordError(f"{path}: missing; it had {prefix.length:,} bytes when the run was saved")
    _check_regular(path)
    digest, missing, returns = hashlib.sha256(), prefix.length, 0
    with path.open("rb") as file:
        has_header = file.read(len(header)) == header
        file.seek(0)
        while missing and (chunk := file.read(min(missing, _CHUNK))):
            digest.update(chunk)
            missing, returns = missing - len(chunk), returns + chunk.count(b"\r")
    if missing:
        raise RecordError(
            f"{path}: shorter than when the run was saved (received {prefix.length - missing:,} bytes, expected"
            f" {prefix.length:,} or more)"
        )
    changed = f"{path}: changed within its first {prefix.length:,} bytes since the run was saved"
    if not has_header:
        raise RecordError(f"{changed} (expected it to begin with {header.decode().strip()})")
    if digest.hexdigest() != prefix.sha256:
        raise RecordError(changed + (" (its lines end otherwise: an editor has saved it)" if returns else ""))
    return digest


def _check_regular(path: Path) -> None:
    """Raise where a path is not a regular file: reading a pipe would never end."""
    if not path.is_file():
        raise RecordError(f"{path}: not a regular file")
