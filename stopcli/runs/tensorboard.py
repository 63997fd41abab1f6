"""A run's tensorboard/: what stands in its metrics.csv, as TensorBoard reads it, while the run goes on.

The folders `train` and `validation` and the tags `epoch_loss`, `epoch_accuracy` and `epoch_learning_rate` are those of
Keras's own callback, so that TensorBoard draws training and validation over each other. Steps are epochs, counted from
1 as in metrics.csv. Nothing is shown of held-out test rows.

A run that goes on cuts its files back in place. Because an epoch's record has the same length every time, a TensorBoard
that has watched the run die goes on reading where it was. A file that is not what the run wrote is written again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RecordError
from stopcli.runs.appended import AppendedFile, Prefix, check_prefix, close_all
from stopcli.runs.event_records import ScalarRecords, header, text_record
from stopcli.runs.files import replacing

# TensorBoard takes files with `tfevents` in their names, and reads those of one folder in the order of the names.
CONFIG_NAME = "events.out.tfevents.0.config"
EPOCHS_NAME = "events.out.tfevents.1.epochs"

Rows = NDArray[np.float32]


class TensorBoardFolder:
    """Writes a run's event files.

    Args:
        folder: made where it is not there.
        columns: the metrics' names, as in metrics.csv after `epoch` and `step`.
        config: the text of config.toml, shown among the texts.
        epochs: that stand in metrics.csv already.
        recorded: gives these epochs, shape [epochs, columns]; called where the event files do not hold them (the folder
            was deleted, a file was changed, or the run had none until now).
        kept: what of each file was committed with these epochs, by its path in the folder.
    """

    def __init__(
        self,
        folder: Path,
        columns: Sequence[str],
        config: str,
        epochs: int,
        recorded: Callable[[], Rows],
        kept: Mapping[str, Prefix],
    ) -> None:
        self._files: list[tuple[list[int], _EpochsFile]] = []
        with contextlib.ExitStack() as opened:
            opened.callback(self.close)
            self._open(folder, columns, epochs, recorded, kept)
            _write_config(folder, config)
            opened.pop_all()

    def _open(
        self,
        folder: Path,
        columns: Sequence[str],
        epochs: int,
        recorded: Callable[[], Rows],
        kept: Mapping[str, Prefix],
    ) -> None:
        for part, shown in _parts(columns).items():
            if not shown:
                continue
            (folder / part).mkdir(parents=True, exist_ok=True)
            file = _EpochsFile(folder / part / EPOCHS_NAME, list(shown), kept.get(f"{part}/{EPOCHS_NAME}", Prefix()))
            self._files.append((list(shown.values()), file))
            if file.is_new and epochs:
                file.append(1, recorded()[:, list(shown.values())])

    def append(self, first_epoch: int, rows: Rows) -> None:
        """Append consecutive epochs.

        Args:
            rows: shape [epochs, columns].
        """
        for places, file in self._files:
            file.append(first_epoch, rows[:, places])

    @property
    def files(self) -> list[AppendedFile]:
        """Those that grow."""
        return [file for _, file in self._files]

    def close(self) -> None:
        close_all(self.files)


def _write_config(folder: Path, config: str) -> None:
    with replacing(folder / "train" / CONFIG_NAME) as new:
        now = time.time()
        new.write_bytes(header(now) + text_record(now, "config", f"```toml\n{config}```\n"))


def _parts(columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """By folder, the tags in it with the places of their columns."""
    parts: dict[str, dict[str, int]] = {"train": {}, "validation": {}}
    for place, name in enumerate(columns):
        if name.startswith("val_"):
            parts["validation"][f"epoch_{name.removeprefix('val_')}"] = place
        elif not name.startswith("test_"):
            parts["train"][f"epoch_{name}"] = place
    return parts


class _EpochsFile(AppendedFile):
    """An event file with a record for each epoch.

    Args:
        keep: what of an existing file to go on from; where it is not that any more, the file is begun anew.

    Attributes:
        is_new: whether it was begun anew.
    """

    def __init__(self, path: Path, tags: Sequence[str], keep: Prefix) -> None:
        self._records = ScalarRecords(tags)
        self.is_new = not _is_whole(path, keep)
        # An older file begins with another time.
        super().__init__(path, header(time.time()) if self.is_new else b"", Prefix() if self.is_new else keep)

    def append(self, first_epoch: int, rows: Rows) -> None:
        """Append consecutive epochs, a value for each tag."""
        steps = np.arange(first_epoch, first_epoch + len(rows), dtype=np.int64)
        self.write(self._records.pack(time.time(), steps, rows))


def _is_whole(path: Path, keep: Prefix) -> bool:
    """Whether a file holds what was committed. Without a hash nobody knows, and writing it again costs little."""
    try:
        check_prefix(path, keep)
    except RecordError:
        return False
    return bool(keep.sha256)
