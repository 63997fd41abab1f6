"""Text files that anybody may have written: read and parsed as JSON or TOML, or refused with what they are not.

Whatever a parser fails on (nesting, digits, bytes) is one kind of error here, so that nobody who reads a file needs to
know what parsers raise.
"""

from __future__ import annotations

import json
import math
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stopcli.errors import shortened, system_words

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
