"""One process at a time writes a run folder."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from stopcli.errors import RunFolderError, system_words
from stopcli.runs.files import read_json

LOCK_NAME = ".lock"


class RunLock:
    """The right to write a run folder.

    The lock is the operating system's: that of a process that died is free at once, so nothing stale is left behind.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        # Not a singleton: two holders in one process exclude each other too. Not local to a thread: a sweep's folders
        # are made in one thread and may be left in another.
        self._lock = FileLock(run / LOCK_NAME, timeout=0, is_singleton=False, thread_local=False)

    def acquire(self) -> None:
        """Take it.

        Raises:
            RunFolderError: another process holds it, and the error says which; or the folder cannot be written.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise RunFolderError(
                f"{self._run} is being written by {holder(self._run)}",
                hint="Wait until it has ended, or stop it first.",
            ) from None
        except OSError as error:
            raise RunFolderError(f"{self._run}: cannot be written ({system_words(error)})") from None

    def release(self) -> None:
        self._lock.release()


def is_held(run: Path) -> bool:
    """Whether a process is writing a run folder now. False where that cannot be asked (a folder of another user)."""
    # Not Path.exists, which raises where a folder may not be entered.
    if not os.path.exists(run / LOCK_NAME):  # noqa: PTH110
        return False
    lock = RunLock(run)
    try:
        lock.acquire()
    except RunFolderError as error:
        return "is being written" in error.message
    lock.release()
    return False


def holder(run: Path) -> str:
    """Who holds a folder, in words, by its status.json."""
    process = read_json(run / "status.json").get("process") or {}
    if not {"pid", "host"} <= process.keys():
        return "another process"
    return f"process {process['pid']} on {process['host']}"
