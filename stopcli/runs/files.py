"""Writing files so that a reader, or a crash, never meets half of one; reading them whoever has changed them since.

Text files that anybody may have written: read and parsed as JSON or TOML, or refused with what they are not.

Whatever a parser fails on (nesting, digits, bytes) is one kind of error here, so that nobody who reads a file needs to
know what parsers raise.

A file that grows as a run goes on, and is cut back to what was committed when the run is gone on with.

What was committed is known by its length and its hash, which is taken as the file grows. So a file that somebody has
changed since, if only by a digit, is found out before anything is trained on top of it.

A place for temporary files where the system has none, as in a container whose only writable place is a volume.
"""

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
from typing import IO, Any, NamedTuple, TypeGuard, TypeVar

from stopcli.errors import RecordError, RequestError, shortened, system_words
from stopcli.runs.typed_json import MisfitError, from_json, to_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Nothing that stopcli writes nests more than a few levels; what does ends whoever reads it in a RecursionError.
LEVELS = 40
# TOML's integers, and all that stopcli writes, have 64 bits.
_LARGEST = 2**63


class UnusableFileError(Exception):
    """A file cannot be used. The text says what is wrong with it, and is to stand behind its name."""


def read_json_file(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        UnusableFileError: it cannot be read, or is no JSON whose numbers and nesting somebody can have meant.
    """
    return _parsed(_content(path, pipe_ok=False), "not JSON", json.loads, finite=True)


def read_toml_file(path: Path) -> dict[str, Any]:
    """The table in a TOML file; a pipe will do too (`stopcli run <(…)`).

    Raises:
        UnusableFileError: it cannot be read (a missing file too), or is no TOML whose numbers and nesting somebody can
            have meant.
    """
    try:
        content = _content(path, pipe_ok=True)
    except FileNotFoundError as error:
        raise UnusableFileError(f"cannot be read ({system_words(error)})") from None
    table: dict[str, Any] = _parsed(content, "not a TOML file", tomllib.loads, finite=False)
    return table


def check_json(content: bytes) -> None:
    """Find out whether bytes are JSON, as for `read_json_file`.

    Raises:
        UnusableFileError: they are not.
    """
    _parsed(content, "not JSON", json.loads, finite=False)


def _parsed(content: bytes, what: str, parse: Callable[[str], Any], *, finite: bool) -> Any:
    """Content as a parser has it.

    Args:
        what: it is not, where it cannot be parsed.
        finite: as for `_plain`.
    """
    try:
        # Editors of Windows begin a file with a byte order mark.
        return _plain(parse(content.decode("utf-8-sig")), 0, finite=finite)
    except UnicodeDecodeError as error:
        raise UnusableFileError(f"{what}: {error.reason} at byte {error.start + 1}, expected UTF-8") from None
    except RecursionError:
        raise UnusableFileError(f"{what}: nested more than {LEVELS} levels deep") from None
    except OverflowError:
        raise UnusableFileError(f"{what}: a whole number of more than 64 bits") from None
    except ValueError as error:
        # Of more digits than Python converts, it tells how to convert them all the same.
        digits = "a whole number of more than 64 bits" if "set_int_max_str_digits" in str(error) else str(error)
        raise UnusableFileError(f"{what}: {shortened(digits)}") from None


def _content(path: Path, *, pipe_ok: bool) -> bytes:
    """All of a regular file. Opened without waiting: a FIFO that nobody writes to would never open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            kind = os.fstat(descriptor).st_mode
            if stat.S_ISFIFO(kind) and pipe_ok:
                os.set_blocking(descriptor, True)
            elif not stat.S_ISREG(kind):
                raise UnusableFileError("is a folder, not a file" if stat.S_ISDIR(kind) else "is no regular file")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UnusableFileError(f"cannot be read ({system_words(error)})") from None


def _plain(value: Any, level: int, *, finite: bool) -> Any:
    """A parsed value that can be walked through, compared, shown and written again without surprises.

    Args:
        finite: whether NaN and infinities are refused: JSON has no word for them, and Python takes them all the same.

    Raises:
        RecursionError: it nests too deep.
        OverflowError: an integer is out of range.
        ValueError: a number is not finite.
    """
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
    """Text that can be written anywhere: half a surrogate pair, which JSON can name, stands there as its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, unchecked.

    Raises:
        RequestError: the file is missing, unreadable, or not TOML.
    """
    try:
        return read_toml_file(path)
    except UnusableFileError as error:
        raise RequestError(f"{path}: {error}") from None


T = TypeVar("T")
# How the name of a file begins that is not whole yet.
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


# Where the disk gives out: full, over a quota or a limit, not to be written any more, or broken.
_DISK_FAULTS = {errno.ENOSPC, errno.EROFS, errno.EIO, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def is_disk_fault(error: BaseException | None) -> TypeGuard[OSError]:
    """Whether an error says that the disk gave out, so that whatever is written next fails too."""
    return isinstance(error, OSError) and error.errno in _DISK_FAULTS


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left. Only for a folder that nobody else is writing."""
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
        # A command line or a name may hold bytes that are no text; they are shown as what they are.
        new.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: Any) -> None:
    """`dump_json` into a file."""
    write_text(path, dump_json(value) + "\n")


def write_json_anyhow(path: Path, value: Any) -> None:
    """`write_json`; where the disk has no room for a new file, over the one that is there, in the room that it has.

    Only for a file of a few lines that must not go on saying what is true no more: a crash in this very moment would
    leave half of it.

    Raises:
        OSError: it does not fit there either; what was there is untouched.
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
    # Windows does not tell the blocks.
    return max(status.st_size, 512 * getattr(status, "st_blocks", 0))


def dump_json(value: Any) -> str:
    """A value, or a dataclass, as JSON. NaN and infinities become null: JSON has no word for them."""
    return json.dumps(_without_non_finite(to_json(value)), indent=1, allow_nan=False)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of whatever content; empty where the file is missing, or holds none."""
    return read_checked(path, lambda value: from_json(dict[str, Any], value))[0] or {}


def read_checked(path: Path, parse: Callable[[Any], T]) -> tuple[T | None, str]:
    """The content of a JSON file, which anybody may have changed.

    Args:
        parse: makes something of the JSON value; raises MisfitError where it is not what it should be.

    Returns:
        What `parse` made, None where the file is missing or damaged; and what is wrong with it, beginning with its
        name, empty for nothing.
    """
    try:
        return parse(read_json_file(path)), ""
    except FileNotFoundError:
        return None, ""
    except (UnusableFileError, MisfitError) as error:
        return None, f"{path.name}: damaged ({error})"


def _without_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_non_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


_CHUNK = 1 << 20


class Prefix(NamedTuple):
    """How a file begins, as far as it was committed.

    Attributes:
        length: in bytes; 0 for nothing, so that the file is begun anew.
        sha256: of these bytes; empty where it is not known, as in states of earlier versions.
    """

    length: int = 0
    sha256: str = ""


class AppendedFile:
    """A file that grows by whole records, and can be cut back to a length that was committed.

    Args:
        path: the file.
        header: what it begins with.
        keep: None for a file that does not exist yet; else what of an existing file to go on from.

    Raises:
        FileExistsError: `keep` is None and the file exists.
        RecordError: the file does not begin as it was committed, or is no regular file.
    """

    def __init__(self, path: Path, header: bytes, keep: Prefix | None = None) -> None:
        self.path = path
        if keep is not None and keep.length:
            self._digest = check_prefix(path, keep, header)
            self._file: IO[bytes] = path.open("r+b")
            self._file.seek(keep.length)
            self._file.truncate()
            return
        if keep is not None and path.exists():
            _check_regular(path)
        self._digest = hashlib.sha256()
        self._file = path.open("xb" if keep is None else "wb")
        try:
            self.write(header)
        except OSError:
            # What has no room has none when it is closed either; that is told by the error on its way.
            with contextlib.suppress(OSError):
                self.close()
            raise

    def write(self, records: bytes) -> None:
        self._file.write(records)
        self._file.flush()
        self._digest.update(records)

    def commit(self) -> Prefix:
        """Have everything on the disk; returns what that is."""
        os.fsync(self._file.fileno())
        return Prefix(self._file.tell(), self._digest.hexdigest())

    def close(self) -> None:
        self._file.close()


def close_all(files: Iterable[AppendedFile]) -> None:
    """Close files: all of them, even where one has something left to write and the disk is full."""
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.callback(file.close)


def check_prefix(path: Path, prefix: Prefix, header: bytes = b"") -> hashlib._Hash:
    """Find out whether a file still begins as it was committed. Nothing is written.

    Where no hash is known, it is asked whether the file is long enough, begins with its header, and whether the prefix
    of a CSV file ends where a row does.

    Args:
        header: what the file has to begin with; empty where that is not known.

    Returns:
        The hash of the prefix, to go on with.

    Raises:
        RecordError: it does not, is missing, or is no regular file. The message says so of the file alone.
    """
    if not path.exists():
        raise RecordError(f"{path}: missing; it had {prefix.length:,} bytes when the run was saved")
    _check_regular(path)
    digest, left, last, returns = hashlib.sha256(), prefix.length, b"", 0
    with path.open("rb") as file:
        begins_so = file.read(len(header)) == header
        file.seek(0)
        while left and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left, last, returns = left - len(chunk), chunk[-1:], returns + chunk.count(b"\r")
    if left:
        raise RecordError(
            f"{path}: shorter than when the run was saved (received {prefix.length - left:,} bytes, expected"
            f" {prefix.length:,} or more)"
        )
    changed = f"{path}: changed within its first {prefix.length:,} bytes since the run was saved"
    if not begins_so:
        raise RecordError(f"{changed} (expected it to begin with {header.decode().strip()})")
    if prefix.sha256 and digest.hexdigest() != prefix.sha256:
        raise RecordError(changed + (" (its lines end otherwise: an editor has saved it)" if returns else ""))
    if not prefix.sha256 and path.suffix == ".csv" and last != b"\n":
        raise RecordError(f"{changed} (they end within a row)")
    return digest


def _check_regular(path: Path) -> None:
    """Raise where a path is no file that can be read to its end: a pipe would be waited for without end."""
    if not path.is_file():
        raise RecordError(f"{path}: not a regular file")


_PREFIX = ".temporary-"


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
    that is made for them and removed at the end.

    TensorFlow is not imported without, although it only asks for the name.

    Args:
        near: where it is made; a folder that is still to be made stands for the one above it.
    """
    if _there_is_one():
        yield
        return
    above = next((path for path in (near.absolute(), *near.absolute().parents) if path.is_dir()), near)
    try:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=above)
    except OSError:
        # The name of a folder that is not there: whoever only asks for it is served.
        folder = os.path.join(os.devnull, "temporary")  # noqa: PTH118
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        with variables_set(TMPDIR=folder):
            yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove what a process that was killed has left. Only for a folder that nobody else is writing."""
    for path in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def _there_is_one() -> bool:
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True
