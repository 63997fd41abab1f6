"""What a run writes while it trains: metrics, times, and from time to time the exact state, committed together."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from stopcli.runs.files import AppendedFile, Prefix
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import MetricsFile, StepsFile, TimingFile, read_rows
from stopcli.runs.tensorboard import TensorBoardFolder
from stopcli.training.loop import EpochBlock, StepLog
from stopcli.training.session import SaveCadence
from stopcli.training.state_file import StateStore, TrainState


class RunLog:
    """The files of a run that grow, and the states that say how much of them counts.

    A new run makes the files; a resumed one cuts them back to the committed position: no epoch is in them twice.

    Args:
        columns: the loop's.
        steps_per_epoch: the loop's.
        log_steps: whether there is a steps.csv.
        tensorboard: the text of config.toml where there is a tensorboard/, which shows it; None where there is none.
        cadence: when the state is saved.
        state: the position to resume from; None for the first epoch.
        resumed: whether the folder has been written before. Without a state, its files are written anew.
        fingerprint: what the run's numbers depend on, saved with every state.

    Raises:
        RecordError: a file is not what had been written when the position was saved.
    """

    def __init__(
        self,
        folder: RunFolder,
        columns: tuple[str, ...],
        steps_per_epoch: int,
        cadence: SaveCadence,
        fingerprint: Mapping[str, Any],
        state: TrainState | None,
        *,
        resumed: bool,
        log_steps: bool = False,
        tensorboard: str | None = None,
    ) -> None:
        prefixes, epochs = (state.files, state.epoch) if state else ({}, 0)
        self._folder, self._steps, self.cadence = folder, steps_per_epoch, cadence
        self._fingerprint, self._store = dict(fingerprint), StateStore(folder.resume)

        def keep(path: Path) -> Prefix | None:
            # A run that was killed while it started has not made all of its files.
            return prefixes.get(path.name, Prefix()) if resumed else None

        self._log: StepsFile | None = None
        self._board: TensorBoardFolder | None = None
        # Where one cannot be opened, the others are closed.
        with ExitStack() as opened:
            self._metrics = opened.enter_context(closing(MetricsFile(folder.metrics, columns, keep(folder.metrics))))
            self._timing = opened.enter_context(closing(TimingFile(folder.timing, keep(folder.timing))))
            if log_steps:
                self._log = opened.enter_context(closing(StepsFile(folder.steps, keep(folder.steps))))
            if tensorboard is not None:
                board = folder.tensorboard
                own = {name.removeprefix(f"{board.name}/"): prefix for name, prefix in prefixes.items()}
                self._board = TensorBoardFolder(
                    board, columns, tensorboard, epochs, lambda: read_rows(folder.metrics, columns), own
                )
                opened.callback(self._board.close)
            self._opened = opened.pop_all()
        cadence.begin(epochs)

    def append(self, block: EpochBlock, last: int, seconds: float) -> None:
        """Record a block's epochs up to `last`."""
        rows = block.metrics[: last + 1 - block.first_epoch]
        self._metrics.append(block.first_epoch, self._steps, rows)
        if self._board is not None:
            self._board.append(block.first_epoch, rows)
        self._timing.append(block.first_epoch, last, seconds)

    def append_steps(self, log: StepLog | None) -> None:
        """Record steps, where the run logs them."""
        if self._log is not None and log is not None:
            self._log.append(log.first_step, log.values)

    def commit(self, epoch: int, steps: int, fields: Callable[[], dict[str, Any]]) -> None:
        """Save the exact state after an epoch and some steps of the next. `fields` gives what of it the log does not
        know; what that costs counts as saving."""
        start = time.perf_counter()
        files = {file.path.relative_to(self._folder.path).as_posix(): file.commit() for file in self._files}
        state = TrainState(
            epoch=epoch,
            step=epoch * self._steps + steps,
            steps_per_epoch=self._steps,
            files=files,
            fingerprint=self._fingerprint,
            **fields(),
        )
        self._store.save(state)
        self.cadence.saved(epoch, time.perf_counter() - start)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *exception: object) -> None:
        # All of them, even where one has something left to write and the disk is full.
        self._opened.close()

    @property
    def _files(self) -> list[AppendedFile]:
        board = [] if self._board is None else self._board.files
        return [self._metrics, self._timing, *([self._log] if self._log else []), *board]
