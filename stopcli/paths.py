"""Paths that a user names, checked before anything is done, and the user's cache."""

import os
import shlex
from pathlib import Path

from stopcli.errors import RequestError, system_words


def parse_path(text: str) -> Path:
    """The path that an argument names. An empty one would mean the working folder, which nobody means by it. Raises
    RequestError where it is empty."""
    if not text:
        raise RequestError("received an empty path, expected the name of a file or a folder")
    return Path(text)


def quoted(argument: Path | str) -> str:
    """A path or a name as a word of a command that the user may copy."""
    return shlex.quote(str(argument))


def check_path(path: Path) -> None:
    """Check that the system can look at a path: it may be too long, a loop of links, or not permitted.

    It need not exist; what should be there is for the caller to check.

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
    """Check that a path is UTF-8: config.toml records it as text. Raises RequestError where it is not UTF-8."""
    if not is_text(path):
        raise RequestError(f"{path}: not UTF-8, and a run records its paths as text", hint="Give it another name.")


def user_cache(program: str) -> Path | None:
    """A program's folder for what it can compute again, where the system keeps such: $XDG_CACHE_HOME or ~/.cache on
    Linux, ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows. None for a user without a home directory."""
    # Not needed before something is read or drawn.
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path(program, appauthor=False)
    except (RuntimeError, ValueError):
        return None
    # Earlier versions of platformdirs return ~/.cache as it stands here.
    return folder if folder.is_absolute() else None


def why_unusable(folder: Path | None) -> str:
    """Why files cannot be kept in a folder, which is created if missing; empty where they can."""
    if folder is None:
        return "there is no home directory"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder} cannot be created: {system_words(error)}"
    return "" if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else f"{folder} cannot be written"
