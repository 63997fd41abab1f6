"""The run folder: made once, atomically, by one process; the names of everything in it."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from stopcli.errors import RunFolderError
from stopcli.runs.files import write_text
from stopcli.runs.status import StatusFile

RUNS_DIR_VARIABLE = "STOPCLI_RUNS_DIR"
DEFAULT_RUNS_DIR = Path("runs")


def runs_root(given: Path | None) -> Path:
    """The folder that holds the runs: as given, else from STOPCLI_RUNS_DIR, else `runs`."""
    return given or Path(os.environ.get(RUNS_DIR_VARIABLE) or DEFAULT_RUNS_DIR)


class RunFolder:
    """A run's folder, or a sweep's. Made by `create`, it does not exist before and is nobody else's.

    As a context manager it makes sure that status.json never says `running` when the block has been left: an error
    makes it `failed`, Ctrl-C `interrupted`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status = StatusFile(path / "status.json")

    @classmethod
    def create(cls, *, root: Path, command: str, name: str = "", run_dir: Path | None = None) -> RunFolder:
        """Make the folder of a new run.

        Args:
            root: where run folders are; made where missing.
            command, name: parts of the folder's name, after the time in UTC.
            run_dir: the folder itself, instead of a name under `root`.

        Raises:
            RunFolderError: `run_dir` exists, or nothing can be written there.
        """
        path = run_dir or root / _timed_name(command, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            folder = cls(_make_new(path, numbered=run_dir is None))
            folder.status.write("running")
        except FileExistsError:
            raise RunFolderError(
                f"{path} exists already, and stopcli never writes into an existing folder",
                hint="Name a new folder with --run-dir, or leave it out.",
            ) from None
        except OSError as error:
            raise RunFolderError(
                f"{path}: cannot be made ({error.strerror})",
                hint=f"Choose a folder that can be written with --runs-dir or {RUNS_DIR_VARIABLE}.",
            ) from None
        return folder

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.status.state != "running":
            return
        # Where even this cannot be written (a full disk), `running` stays with a process that is gone and a heartbeat
        # that has stopped, and the error that is on its way says why.
        with contextlib.suppress(OSError):
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                self.status.write("interrupted", "Ctrl-C")
            else:
                reason = f"{type(error).__name__}: {error}" if error else "the run ended without a result"
                self.status.write("failed", reason)

    def log(self, text: str) -> None:
        """Append a line or more to log.txt, each with the time."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        lines = "".join(f"{now} {line}\n" for line in text.splitlines())
        with self.path.joinpath("log.txt").open("a", encoding="utf-8") as file:
            file.write(lines)

    def note(self, text: str) -> None:
        """`log`, for use while another error is on its way: where the disk is full, that error is the one to tell."""
        with contextlib.suppress(OSError):
            self.log(text)

    def write_config(self, text: str) -> None:
        header = "# Runs again with: stopcli run config.toml\n"
        write_text(self.config, header + text)

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def timing(self) -> Path:
        return self.path / "timing.csv"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        return self.path / "report.md"

    @property
    def plots(self) -> Path:
        return self.path / "plots"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best_model(self) -> Path:
        return self.checkpoints / "best.keras"

    @property
    def final_model(self) -> Path:
        return self.checkpoints / "final.keras"

    def epoch_model(self, epoch: int) -> Path:
        return self.checkpoints / f"epoch_{epoch:04d}.keras"


def _timed_name(command: str, name: str) -> str:
    time = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return "-".join(filter(None, [time, command, name]))


def _make_new(path: Path, *, numbered: bool) -> Path:
    """Make a folder that is not there yet. Two runs of the same second get names with a number."""
    for number in range(1, 1000):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            candidate.mkdir()
            return candidate
        except FileExistsError:
            if not numbered:
                raise
    raise FileExistsError(path)
