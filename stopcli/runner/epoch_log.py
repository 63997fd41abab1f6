"""The files of a recorded run that grow: epochs wait in memory, and are on the disk within a second."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import in_a_line, system_words
from stopcli.runs.files import AppendedFile, Prefix, close_all
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import MetricsFile, Row, TimingFile, read_metrics, with_more_columns
from stopcli.runs.status import StatusProgress
from stopcli.runs.tensorboard import TensorBoardFolder

# What a process that is killed may lose: half of what is promised, so that a busy machine keeps the promise too.
FLUSH_SECONDS = 0.5


class EpochLog:
    """Writes metrics.csv, timing.csv, tensorboard/ and the heartbeat of a recorded run.

    A thread writes what waits every half a second, and an epoch that comes later than that at once; so Ctrl-C, which
    interrupts the main thread, interrupts no writing. What a full disk refuses goes on waiting until there is room.

    Args:
        folder: of the run, which this process holds.
        config: gives the text of config.toml, which tensorboard/ shows; None for no tensorboard/.
        before: the log that recorded the epochs until now, and is closed; None for a new run.

    Attributes:
        names: of the metrics, in the order of the columns. More may be added behind them.
        steps_per_epoch: updates of an epoch; 1 where that is not known.
        problem: why epochs are waiting that should have been written; empty where none are.
    """

    def __init__(
        self, folder: RunFolder, config: Callable[[], str] | None = None, before: EpochLog | None = None
    ) -> None:
        self._folder, self._config = folder, config
        self.names: list[str] = [] if before is None else before.names
        self.steps_per_epoch: int = 1 if before is None else before.steps_per_epoch
        self.problem = ""
        self._waiting: list[tuple[Row, float]] = [] if before is None else before._waiting
        self._columns, self._written, self._timed = (0, 0, 0) if before is None else before._progress
        self._untimed_seconds = 0.0
        self._prefixes: dict[str, Prefix] = {} if before is None else before._prefixes
        self._metrics: MetricsFile | None = None
        self._timing: TimingFile | None = None
        self._board: TensorBoardFolder | None = None
        if before is not None:
            self._opened(self.names)
        self._flushed = time.monotonic()
        self._request, self._done, self._closing = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._write_in_time, name="stopcli.Recorder", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> range:
        """The epochs that are not in metrics.csv yet."""
        return range(self._written + 1, self._written + len(self._waiting) + 1)

    def add(self, row: Row, seconds: float) -> None:
        """Record an epoch, a value for each of `names`, that took some seconds."""
        self._waiting.append((row, seconds))

    def flush_in_time(self) -> None:
        """Write the epochs that wait, where the last writing was so long ago that they might be lost."""
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the epochs that wait, as far as there is room."""
        self._done.clear()
        self._request.set()
        self._done.wait()

    def close(self) -> None:
        """Write the epochs that wait, have all of them on the disk, and close the files."""
        self._closing = True
        self._request.set()
        self._thread.join()
        files: list[AppendedFile] = [file for file in (self._metrics, self._timing) if file is not None]
        try:
            self._prefixes = {file.path.name: file.commit() for file in files}
            close_all([*files, *(self._board.files if self._board else [])])
        except OSError as error:
            self.problem = self.problem or system_words(error)

    @property
    def _progress(self) -> tuple[int, int, int]:
        return self._columns, self._written, self._timed

    def _write_in_time(self) -> None:
        closing = False
        while not closing:
            requested = self._request.wait(FLUSH_SECONDS)
            # One that comes after the time was over is the next turn's.
            if requested:
                self._request.clear()
            # Looked at before the turn writes: where it is set meanwhile, there is one more, for what has come since.
            closing = self._closing
            self._flushed = time.monotonic()
            written = None
            try:
                written = self._write()
            except Exception as error:
                # Whatever it is, training goes on; whoever trains is warned, and the run's result says what it lacks.
                self.problem = system_words(error) if isinstance(error, OSError) else in_a_line(error)
            if requested:
                self._done.set()
            if written is not None:
                self._write_beside(*written)

    def _write(self) -> tuple[list[str], list[Row]] | None:
        """Write the epochs that wait. Returns the metrics' names and the rows; None where nothing waits."""
        waiting = self._waiting[:]
        if not waiting:
            return None
        names = self.names[:]
        rows = [row + (None,) * (len(names) - len(row)) for row, _ in waiting]
        self._opened(names).append_recorded(self._written + 1, self.steps_per_epoch, rows)
        del self._waiting[: len(waiting)]
        self._written += len(waiting)
        self._untimed_seconds += sum(seconds for _, seconds in waiting)
        self.problem = ""
        return names, rows

    def _opened(self, names: Sequence[str]) -> MetricsFile:
        """metrics.csv with a column for each name, opened or made."""
        path = self._folder.metrics
        if self._metrics is None:
            self._columns = self._columns or len(names)
            self._metrics = MetricsFile(path, names[: self._columns], self._prefixes.get(path.name))
        if self._columns < len(names):
            # Open until the other one is there: where there is no room for that, this one still is metrics.csv.
            narrow, self._metrics = self._metrics, with_more_columns(path, names, len(names) - self._columns)
            narrow.close()
            self._columns = len(names)
            self._drop_board()
        return self._metrics

    def _write_beside(self, names: Sequence[str], rows: Sequence[Row]) -> None:
        """Write what follows from rows that are in metrics.csv by now; what of it fails is in the log."""
        try:
            self._write_times()
            if self._config is not None:
                self._show(names, rows, self._config())
            metrics = dict(zip(names, rows[-1], strict=True))
            self._folder.status.write("running", epoch=self._written, progress=StatusProgress(metrics=metrics))
        except Exception as error:
            self._drop_board()
            self._folder.note(f"warning: {in_a_line(error)}")

    def _write_times(self) -> None:
        timing = self._folder.timing
        if self._timing is None:
            self._timing = TimingFile(timing, self._prefixes.get(timing.name))
        self._timing.append(self._timed + 1, self._written, self._untimed_seconds)
        self._timed, self._untimed_seconds = self._written, 0.0

    def _show(self, names: Sequence[str], rows: Sequence[Row], config: str) -> None:
        """Have epochs in tensorboard/ too."""
        if self._board is None:
            board = self._folder.tensorboard
            self._board = TensorBoardFolder(
                board, names, config, self._written, lambda: self._recorded(names), {}, sparse=True
            )
        else:
            self._board.append(self._written - len(rows) + 1, _float32(np.array(rows, np.float64)))

    def _drop_board(self) -> None:
        """Have the event files written anew, from metrics.csv, when they are needed next."""
        board, self._board = self._board, None
        if board is not None:
            with contextlib.suppress(OSError):
                board.close()

    def _recorded(self, names: Sequence[str]) -> NDArray[np.float32]:
        columns = read_metrics(self._folder.metrics, recorded=True)
        return _float32(np.stack([columns[name] for name in names], axis=1))


def _float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
