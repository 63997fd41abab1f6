"""Where a user keeps what programs can make again. Such a folder is a help: whoever cannot use it goes on without."""

from __future__ import annotations

import os
from pathlib import Path

from stopcli.errors import system_words


def user_cache() -> Path | None:
    """$XDG_CACHE_HOME, else ~/.cache; None for a user without a home directory."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(named) if named else Path.home() / ".cache"
    except RuntimeError:
        return None


def why_unusable(folder: Path | None) -> str:
    """Why files cannot be kept in a folder, which is made where it is missing; empty where they can."""
    if folder is None:
        return "there is no home directory"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder} cannot be made: {system_words(error)}"
    return "" if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else f"{folder} cannot be written"
