"""What a run writes while it trains: metrics, times, and from time to time the exact state, committed together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from stopcli.runs.appended import AppendedFile, Prefix
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import MetricsFile, StepsFile, TimingFile, read_metrics
from stopcli.runs.tensorboard import TensorBoardFolder
from stopcli.training.loop import EpochBlock, StepLog
from stopcli.training.session import SaveCadence
from stopcli.training.state_file import StateStore, TrainState


class RunLog:
    """The files of a run that grow, and the states that say how much of them counts.

    A new run makes the files; one that goes on cuts them back to the committed position, so that no epoch stands in
    them twice.

    Args:
        columns: the loop's.
        steps_per_epoch: the loop's.
        log_steps: whether there is a steps.csv.
        tensorboard: the text of config.toml where there is a tensorboard/, which shows it; None where there is none.
        state: the position to go on from; None to begin.
        resumed: whether the folder has been written before. Without a state, its files are begun anew.
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
        prefixes = state.files if state else {}
        self._folder, self._steps, self._cadence = folder, steps_per_epoch, cadence
        self._fingerprint = dict(fingerprint)

        def keep(path: Path) -> Prefix | None:
            # A run that was killed while it began has not made all of its files.
            return prefixes.get(path.name, Prefix()) if resumed else None

        self._store = StateStore(folder.resume)
        epochs = state.epoch if state else 0
        self._log: StepsFile | None = None
        self._board: TensorBoardFolder | None = None
        # Where one cannot be opened, the others are closed.
        with ExitStack() as opened:
            self._metrics = MetricsFile(folder.metrics, columns, keep(folder.metrics))
            opened.callback(self._metrics.close)
            self._timing = TimingFile(folder.timing, keep(folder.timing))
            opened.callback(self._timing.close)
            if log_steps:
                self._log = StepsFile(folder.steps, keep(folder.steps))
                opened.callback(self._log.close)
            if tensorboard is not None:
                self._board = self._open_board(columns, tensorboard, epochs, prefixes)
                opened.callback(self._board.close)
            self._opened = opened.pop_all()
        cadence.begin(epochs)

    def _open_board(
        self, columns: tuple[str, ...], config: str, epochs: int, prefixes: Mapping[str, Prefix]
    ) -> TensorBoardFolder:
        def recorded() -> np.ndarray[Any, Any]:
            metrics = read_metrics(self._folder.metrics)
            return np.stack([metrics[name] for name in columns], axis=1).astype(np.float32)

        folder = self._folder.tensorboard
        own = {name.removeprefix(f"{folder.name}/"): prefix for name, prefix in prefixes.items()}
        return TensorBoardFolder(folder, columns, config, epochs, recorded, own)

    def append(self, block: EpochBlock, last: int, seconds: float) -> None:
        """Record a block's epochs up to `last`."""
        rows = block.metrics[: last + 1 - block.first_epoch]
        self._metrics.append(block.first_epoch, self._steps, rows)
        if self._board is not None:
            self._board.append(block.first_epoch, rows)
        self._timing.append(block.first_epoch, last, seconds)

    def append_steps(self, log: StepLog | None) -> None:
        """Record steps, where the run keeps an account of them."""
        if self._log is not None and log is not None:
            self._log.append(log.first_step, log.values)

    def commit(self, epoch: int, steps: int, fields: Callable[[], dict[str, Any]]) -> None:
        """Save the exact state after an epoch and some steps of the next.

        Args:
            fields: gives those of TrainState that the log does not know. What it costs counts as saving.
        """
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
        self._cadence.saved(epoch, time.perf_counter() - start)

    def due(self, epoch: int) -> bool:
        """Whether the state should be saved after this epoch."""
        return self._cadence.due(epoch)

    def room(self, epoch: int) -> int | None:
        """Epochs that may be run after `epoch` before the state has to be saved; None where time decides."""
        return self._cadence.room(epoch)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exception: object) -> None:
        # All of them, even where one has something left to write and the disk is full.
        self._opened.close()

    @property
    def _files(self) -> list[AppendedFile]:
        board = [] if self._board is None else self._board.files
        return [self._metrics, self._timing, *([self._log] if self._log else []), *board]
