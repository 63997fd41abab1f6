"""The run folder: made once, whole, by one process, and written by one process at a time; the names of its files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from stopcli.errors import RecordError, ResourceError, RunFolderError, system_words
from stopcli.paths import check_is_text, check_path, quoted
from stopcli.runs.files import (
    is_disk_fault,
    read_json,
    remove_temporary_files,
    temporary_files,
    write_text,
)
from stopcli.runs.status import StatusFile, read_status

if TYPE_CHECKING:
    from filelock import FileLock

LOCK_NAME = ".lock"


def _lock_of(run: Path) -> FileLock:
    """The right to write a run folder, not yet taken. Its release is the operating system's: a process that died holds
    none, so no stale one is left behind."""
    # Here, because it imports asyncio.
    from filelock import FileLock

    # Not a singleton: two holders in one process exclude each other too. Not local to a thread: a sweep's folders are
    # made in one thread and may be left in another.
    return FileLock(run / LOCK_NAME, timeout=0, is_singleton=False, thread_local=False)


def is_held(run: Path) -> bool:
    """Whether a process is writing a run folder now. False where that cannot be asked (a folder of another user)."""
    # Not Path.exists, which raises where a folder may not be entered.
    if not os.path.exists(run / LOCK_NAME):  # noqa: PTH110
        return False
    from filelock import Timeout

    try:
        with _lock_of(run):
            return False
    except Timeout:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def hold_folder(run: Path) -> Iterator[FileLock]:
    """Hold the folder of a run that has started within the block, so that no other process writes it.

    Raises:
        RunFolderError: another process holds it or has deleted it, or it cannot be written.
    """
    lock = _lock_of(run)
    _acquire(lock, run)
    try:
        yield lock
    finally:
        lock.release()


def _acquire(lock: FileLock, run: Path, *, has_started: bool = True) -> None:
    """Take the lock of a folder. Raises RunFolderError where another process holds it, or it cannot be written; where
    the run has started, also where another process has deleted it."""
    from filelock import Timeout

    try:
        lock.acquire()
    except Timeout:
        raise RunFolderError(
            f"{run} is being written by {holder(run)}", hint="Wait until it has ended, or stop it first."
        ) from None
    except OSError as error:
        raise RunFolderError(f"{run}: cannot be written ({system_words(error)})") from None
    if has_started and not (run / "status.json").exists():
        # The lock makes the folder again that was deleted since it was looked at.
        lock.release()
        with contextlib.suppress(OSError):
            (run / LOCK_NAME).unlink()
            run.rmdir()
        raise RunFolderError(f"{run}: no such folder")


def holder(run: Path) -> str:
    """The process that holds a folder, in words, by its status.json."""
    status = read_status(run)
    if status is None or status.process is None:
        return "another process"
    return f"process {status.process.pid} on {status.process.host}"


RUNS_DIR_VARIABLE = "STOPCLI_RUNS_DIR"
DEFAULT_RUNS_DIR = Path("runs")
# In the runs folder: what is being deleted, and what a process that was killed has not deleted.
TRASH_PREFIX = ".trash-"
# In the folders of runs and sweeps, beside files that only some commands write.
RUN_FILES = (
    *("config.toml", "status.json", "environment.json", "summary.json", "seeds.json", "log.txt", "report.md"),
    *("report.html", "metrics.csv", "timing.csv", "steps.csv", "predictions.npz", "table.csv", "table.md", "jobs.csv"),
    *("left_out.csv", "table.json", "rows.npz", "before.npz"),
)
_FOLDERS = ("checkpoints", "plots", "tensorboard", "after", "code", "jobs", "refit")


def runs_root(named: Path | None) -> Path:
    """The folder that holds the runs: the named one, else that of STOPCLI_RUNS_DIR, else `runs`."""
    return named or Path(os.environ.get(RUNS_DIR_VARIABLE) or DEFAULT_RUNS_DIR)


class _Inside:
    """A file or folder inside a run's folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: RunFolder, owner: type[RunFolder]) -> Path:
        return folder.path / self._name


class RunFolder:
    """A run's folder, or a sweep's. One that `create` made is new, and nobody else's.

    As a context manager it makes sure that status.json does not say `running` after the block: an error makes it
    `failed`, Ctrl-C `interrupted`. An error of the disk leaves the block as a ResourceError. No other process can write
    the folder until then.
    """

    config = _Inside("config.toml")
    environment = _Inside("environment.json")
    metrics = _Inside("metrics.csv")
    timing = _Inside("timing.csv")
    steps = _Inside("steps.csv")
    predictions = _Inside("predictions.npz")
    tensorboard = _Inside("tensorboard")
    summary = _Inside("summary.json")
    jobs = _Inside("jobs")
    checkpoints = _Inside("checkpoints")
    resume = _Inside("checkpoints/resume")
    # Empty, and as old as the deletion of the states.
    pruned = _Inside("checkpoints/resume.pruned")
    best_model = _Inside("checkpoints/best.keras")
    final_model = _Inside("checkpoints/final.keras")
    # Of a run of a table: the model that it started from, and what that predicts for the run's test rows.
    start_model = _Inside("checkpoints/start.keras")
    before = _Inside("before.npz")
    refit_model = _Inside("checkpoints/refit.keras")
    # Written like a run's, by the refit: its metrics, times and states.
    refit = _Inside("refit")
    case_model = _Inside("checkpoints/patience-200-best.keras")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _lock_of(path)
        self._resources = contextlib.ExitStack()
        self.status = StatusFile(path / "status.json")

    @classmethod
    def create(
        cls, *, root: Path, command: str, name: str = "", run_dir: Path | None = None, config: str | None = None
    ) -> RunFolder:
        """Make the folder of a new run, whole, or none.

        Args:
            root: where run folders are; made where missing.
            command, name: parts of the folder's name, after the time in UTC.
            run_dir: the folder itself, instead of a name under `root`.
            config: the text of its config.toml; None where it has none.

        Raises:
            RunFolderError: `run_dir` exists, or nothing can be written there.
        """
        check_can_be_made(root, run_dir)
        timed_name = "-".join(filter(None, [datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ"), command, name]))
        path = run_dir or root / timed_name
        new_folders = [parent for parent in path.parents if not parent.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path = _make_new(path, numbered=run_dir is None)
            new_folders.insert(0, path)
            folder = cls(path)
            _acquire(folder._lock, path, has_started=False)
            folder.status.write("running")
            if config is not None:
                folder.write_config(config)
        except FileExistsError:
            # Another process was quicker.
            raise _exists(path) from None
        except RunFolderError:
            # It cannot be locked.
            _remove(new_folders)
            raise
        except OSError as error:
            _remove(new_folders)
            raise _cannot_be_made(path, system_words(error)) from None
        return folder

    @classmethod
    def reopen(cls, path: Path, *, checked: bool = True) -> RunFolder:
        """The folder of an earlier run, to resume it. Raises RunFolderError where another process is writing it or,
        where that is to be checked, it does not look like a run."""
        if checked:
            check_is_run(path)
        _check_can_be_written(path)
        folder = cls(path)
        _acquire(folder._lock, path, has_started=checked)
        return folder

    def __enter__(self) -> RunFolder:
        remove_temporary_files(self.path)
        self._resources.enter_context(temporary_files(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = cannot_be_written(self.path, error) if is_disk_fault(error) else error
        try:
            self._leave(ended)
        finally:
            self._resources.close()
            self._lock.release()
        if ended is not None and ended is not error:
            raise ended from error

    def _leave(self, error: BaseException | None) -> None:
        if self.status.state != "running":
            # It says how the run ended; or this process has not started the run, and the status stays as it was.
            return
        # Where even this cannot be written (a disk that is read-only by now), the error that is being raised says why.
        with contextlib.suppress(OSError):
            if error is None:
                self.status.write("failed", "the run ended without a result")
            elif isinstance(error, Exception):
                outside = isinstance(error, (OSError, MemoryError, ResourceError, RecordError))
                reason = f"{type(error).__name__}: {error}"
                self.status.write("failed", reason, epoch=self.status.epoch, outside=outside)
            else:
                # Ctrl-C, or another wish to end.
                self.status.write("interrupted", str(error) or type(error).__name__, epoch=self.status.epoch)

    def log(self, text: str) -> None:
        """Append a line or more to log.txt, each with the time."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        lines = "".join(f"{now} {line}\n" for line in text.splitlines())
        with self.path.joinpath("log.txt").open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(lines)

    def note(self, text: str) -> None:
        """`log`, while another error may be reported: nothing is raised where the disk is full."""
        with contextlib.suppress(OSError):
            self.log(text)

    def write_config(self, text: str) -> None:
        """Write config.toml, with a comment at its top that says what it is for, unless the text has its own."""
        header = "" if text.startswith("#") else "# Runs again with: stopcli run config.toml\n"
        write_text(self.config, header + text)

    def epoch_model(self, epoch: int) -> Path:
        return self.checkpoints / f"epoch_{epoch:04d}.keras"


def cannot_be_written(folder: Path, error: OSError) -> ResourceError:
    """The error of a run or a sweep that met an error of the disk."""
    where = f" ({error.filename})" if error.filename else ""
    # An analysis is simply made again.
    is_run = (folder / "config.toml").is_file()
    return ResourceError(
        f"{folder}: cannot be written: {system_words(error)}{where}",
        hint=f"What was saved until then is kept: stopcli resume {quoted(folder)}" if is_run else "",
    )


def check_can_be_made(root: Path, run_dir: Path | None) -> None:
    """Check that a run's folder can be made, before its data are read. Raises RunFolderError where `run_dir` exists, or
    nothing can be written there, and RequestError where the system refuses the path, or it is no text."""
    for path in (root, *filter(None, [run_dir])):
        check_path(path)
        check_is_text(path)
    if run_dir is not None and run_dir.exists():
        raise _exists(run_dir)
    parent = run_dir.parent if run_dir else root
    existing = next(path for path in (parent, *parent.absolute().parents) if path.exists())
    if not existing.is_dir():
        if existing == parent:
            raise RunFolderError(f"{parent} is a file, not a folder that could hold runs")
        raise _cannot_be_made(parent, f"{existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _cannot_be_made(parent, f"{existing} cannot be written")


def _exists(path: Path) -> RunFolderError:
    return RunFolderError(
        f"{path} already exists; stopcli never writes into an existing folder",
        hint="Name a new folder with --run-dir, or leave the option out.",
    )


def _cannot_be_made(path: Path, reason: str) -> RunFolderError:
    return RunFolderError(
        f"{path}: cannot be made ({reason})",
        hint=f"Choose a folder that can be written with --runs-dir or {RUNS_DIR_VARIABLE}.",
    )


def _remove(new_folders: list[Path]) -> None:
    """Remove the folders of a run that could not be started, as far as nobody else uses them by now."""
    for folder in new_folders:
        with contextlib.suppress(OSError):
            for name in ("config.toml", "status.json", LOCK_NAME):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


# Where a CSV file is named for a run that stopcli made.
_CSV = "stopcli replay, compare and report read CSV files; there is nothing else to be done with them."


def check_is_run(path: Path) -> None:
    """Raise RunFolderError where a path is not the folder of a run or a sweep."""
    missing = _missing(path, ("config.toml", "status.json"))
    if holds_no_run(path) and (command := read_json(path / "summary.json").get("command")):
        raise RunFolderError(
            f"{path}: not a run folder, but the results of stopcli {command}",
            hint=f"stopcli show {quoted(path)} shows it; its report is {path / 'report.html'}.",
        )
    if missing:
        csv = min(path.glob("*.csv"), default=None)
        hint = "" if csv is None else f"CSV files in it are named by themselves, such as {csv}."
        raise RunFolderError(f"{path}: not a run folder ({' and '.join(missing)} missing)", hint=hint)


def holds_no_run(path: Path) -> bool:
    """Whether a folder is one of stopcli's without a run in it: an analysis of runs, or a run that never started."""
    started = any((path / name).exists() for name in ("config.toml", "metrics.csv", "jobs"))
    return not started and (path / "status.json").is_file()


def run_around(path: Path) -> Path | None:
    """The folder of the run or the sweep that a file lies in, at any depth; None where it lies in none."""
    for folder in path.parents:
        written = ("status.json", "environment.json", "metrics.csv")
        if (folder / "config.toml").is_file() and any((folder / name).exists() for name in written):
            return folder
    return None


def folder_bytes(folder: Path) -> int:
    """The sizes of all files in a folder together, without those that cannot be read. Links are not followed."""
    size, folders = 0, [str(folder)]
    while folders:
        # Files come and go while a run is written.
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
    return size


def check_is_made_here(path: Path) -> None:
    """Raise RunFolderError where a path is not the folder of a run, a sweep or an analysis."""
    if missing := _missing(path, ("status.json",)):
        raise RunFolderError(f"{path}: not a run folder ({missing[0]} missing)")


def _check_can_be_written(path: Path) -> None:
    """Raise RunFolderError where a folder has the name of a file that a run writes, or a file that of a folder."""
    for name in RUN_FILES:
        if (path / name).exists() and not (path / name).is_file():
            raise RunFolderError(f"{path / name}: not a file", hint="Move it out of the run's folder.")
    for name in _FOLDERS:
        if (path / name).exists() and not (path / name).is_dir():
            raise RunFolderError(f"{path / name}: not a folder", hint="Move it out of the run's folder.")


def _missing(path: Path, names: Sequence[str]) -> list[str]:
    """The files that a folder lacks. Raises RunFolderError where there is no such folder, and RequestError where the
    system refuses the path, or to look into the folder."""
    check_path(path)
    if path.is_file():
        hints = {".toml": f"stopcli run {quoted(path)} runs a config file.", ".csv": _CSV}
        hint = hints.get(path.suffix, "")
        raise RunFolderError(f"{path}: a file, expected a run's folder or its name", hint=hint)
    if not path.is_dir():
        raise RunFolderError(f"{path}: no such folder")
    check_path(path / names[0])
    return [name for name in names if not (path / name).is_file()]


def _make_new(path: Path, *, numbered: bool) -> Path:
    """Make a new folder. Runs that start in the same second get a number behind their names."""
    for number in range(1, 1000):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            candidate.mkdir()
            return candidate
        except FileExistsError:
            if not numbered:
                raise
    raise FileExistsError(path)
