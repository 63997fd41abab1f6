"""Paths that somebody has named: what the system refuses about them is told in a line, before anything is done."""

from __future__ import annotations

import os
from pathlib import Path

from stopcli.errors import RequestError, system_words


def parse_path(text: str) -> Path:
    """The path that a word of the command line is. An empty one would mean the working folder, which nobody meant.

    Raises:
        RequestError: it is empty.
    """
    if not text:
        raise RequestError("received an empty path, expected the name of a file or a folder")
    return Path(text)


def check_path(path: Path) -> None:
    """Find out whether the system lets anybody look at a path: it may be too long, a loop of links, or not permitted.

    Where there is nothing, or a file lies where a folder should, is for those to say who know what they look for.

    Raises:
        RequestError: it does not.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None


def is_text(path: Path | str) -> bool:
    """Whether a path, or a name in it, is UTF-8."""
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def check_is_text(path: Path) -> None:
    """Find out whether a path can be written down: what a run is made of stands in its config.toml, as text.

    Raises:
        RequestError: it is not UTF-8.
    """
    if not is_text(path):
        raise RequestError(
            f"{path}: not UTF-8, and a run writes the paths that it is given down as text", hint="Give it another name."
        )
