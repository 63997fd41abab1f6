"""A run's tensorboard/: its metrics.csv as TensorBoard reads it, while the run trains; written without TensorFlow.

The folders `train` and `validation` and the tags, such as `epoch_loss` and `epoch_learning_rate`, are those of Keras's
own callback, so that TensorBoard draws training and validation over each other. Steps are epochs, counted from
1 as in metrics.csv. Nothing is shown of held-out test rows.

An event file is a sequence of TFRecords: the length of the content (uint64), its checksum, the content, its checksum.
The content is a protocol buffer `tensorflow.Event`, of which a curve needs the time (field 1), the step (field 2), and
in the summary (field 5) a tag and a float32 for each value. All records of the same tags have the same length, so that
thousands of epochs are packed as one array, and a resumed run cuts its files back in place: a TensorBoard that watched
the run die continues to read where it was. A file that is not what the run wrote is written again.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RecordError
from stopcli.runs.files import AppendedFile, Prefix, check_prefix, close_all, replacing

Bytes = NDArray[np.uint8]

# A step is written in as many bytes as the largest int32 needs, seven bits each; readers accept leading zeros.
_STEP_BYTES = 5
# Before a record's content: its length and the length's checksum.
_FRAME_BYTES = 12
# The first field of every content.
_TIME_BYTES = 9
_POLYNOMIAL = 0x82F63B78


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()


def checksums(rows: Bytes) -> NDArray[np.uint32]:
    """The checksum of each row, uint8 [records, bytes], as TFRecords have it: CRC-32C (Castagnoli), rotated by 15 bits,
    plus a constant."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    masked: NDArray[np.uint32] = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    return masked


def record(content: bytes) -> bytes:
    """One TFRecord."""
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    return checksums(np.frombuffer(content, np.uint8)[None]).astype("<u4").tobytes()


def header(seconds: float) -> bytes:
    """The record that an event file begins with."""
    return record(_time(seconds) + _field(3, b"brain.Event:2"))


def text_record(seconds: float, tag: str, text: str) -> bytes:
    """A record that TensorBoard shows among the texts; the text is Markdown."""
    plugin = _field(9, _field(1, _field(1, b"text")))
    string = b"\x08\x07" + _field(2, b"") + _field(8, text.encode())
    return record(_time(seconds) + _field(5, _field(1, _field(1, tag.encode()) + plugin + _field(8, string))))


def without_times(file: bytes) -> bytes:
    """The records of an event file without their times: the same for two runs of one config."""
    contents, position = [], 0
    while position < len(file):
        (length,) = struct.unpack_from("<Q", file, position)
        contents.append(file[position + _FRAME_BYTES + _TIME_BYTES : position + _FRAME_BYTES + length])
        position += _FRAME_BYTES + length + 4
    return b"".join(contents)


class ScalarRecords:
    """Records with one value for each of some tags."""

    def __init__(self, tags: Sequence[str]) -> None:
        step = b"\x80" * (_STEP_BYTES - 1) + b"\x00"
        values = [_field(1, tag.encode()) + b"\x15" + bytes(4) for tag in tags]
        content = _time(0.0) + b"\x10" + step + _field(5, b"".join(_field(1, value) for value in values))
        self._template = np.frombuffer(record(content), np.uint8)
        # A value is the last of its field, and the last value the last of the record.
        after = [sum(len(_field(1, value)) for value in values[i + 1 :]) for i in range(len(values))]
        self._offsets = [_FRAME_BYTES + len(content) - 4 - rest for rest in after]

    def pack(self, seconds: float, steps: NDArray[np.int64], values: NDArray[np.float32]) -> bytes:
        """A record for each step.

        Args:
            seconds: since 1970, when they were measured.
            steps: shape [records].
            values: shape [records, tags].
        """
        rows = np.tile(self._template, (len(steps), 1))
        content = rows[:, _FRAME_BYTES:-4]
        content[:, 1:_TIME_BYTES] = np.frombuffer(struct.pack("<d", seconds), np.uint8)
        for i in range(_STEP_BYTES):
            content[:, _TIME_BYTES + 1 + i] |= (steps >> (7 * i) & 0x7F).astype(np.uint8)
        for position, column in zip(self._offsets, values.astype("<f4").T, strict=True):
            rows[:, position : position + 4] = column.copy().view(np.uint8).reshape(-1, 4)
        rows[:, -4:] = checksums(content).astype("<u4").view(np.uint8).reshape(-1, 4)
        return rows.tobytes()


def _time(seconds: float) -> bytes:
    return b"\x09" + struct.pack("<d", seconds)


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or another message."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


# TensorBoard takes files with `tfevents` in their names, and reads those of one folder in the order of the names.
CONFIG_NAME = "events.out.tfevents.0.config"
EPOCHS_NAME = "events.out.tfevents.1.epochs"

Rows = NDArray[np.float32]


class TensorBoardFolder:
    """Writes a run's event files.

    Args:
        folder: made where it does not exist.
        columns: the metrics' names, as in metrics.csv after `epoch` and `step`.
        config: the text of config.toml, shown among the texts.
        epochs: that are in metrics.csv already.
        recorded: gives these epochs, shape [epochs, columns]; called where the event files do not hold them (the folder
            was deleted, a file was changed, or the run had none until now).
        prefixes: what of each file was committed with these epochs, by its path in the folder.
        sparse: whether a value may be missing, NaN; an epoch whose values are all missing is not in the file.
    """

    def __init__(
        self,
        folder: Path,
        columns: Sequence[str],
        config: str,
        epochs: int,
        recorded: Callable[[], Rows],
        prefixes: Mapping[str, Prefix],
        *,
        sparse: bool = False,
    ) -> None:
        self._files: list[tuple[list[int], _EpochsFile]] = []
        with contextlib.ExitStack() as opened:
            opened.callback(self.close)
            for part, tags in _parts(columns).items():
                path, indices = folder / part / EPOCHS_NAME, list(tags.values())
                path.parent.mkdir(parents=True, exist_ok=True)
                file = _EpochsFile(path, list(tags), prefixes.get(f"{part}/{EPOCHS_NAME}", Prefix()), sparse=sparse)
                self._files.append((indices, file))
                if file.is_new and epochs:
                    file.append(1, recorded()[:, indices])
            with replacing(folder / "train" / CONFIG_NAME) as new:
                now = time.time()
                new.write_bytes(header(now) + text_record(now, "config", f"```toml\n{config}```\n"))
            opened.pop_all()

    def append(self, first_epoch: int, rows: Rows) -> None:
        """Append consecutive epochs.

        Args:
            rows: shape [epochs, columns].
        """
        for columns, file in self._files:
            file.append(first_epoch, rows[:, columns])

    @property
    def files(self) -> list[AppendedFile]:
        """The files that grow."""
        return [file for _, file in self._files]

    def close(self) -> None:
        close_all(self.files)


def _parts(columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """By folder, the tags in it with the indices of their columns."""
    parts: dict[str, dict[str, int]] = {}
    for index, name in enumerate(columns):
        if name.startswith("val_"):
            parts.setdefault("validation", {})[f"epoch_{name.removeprefix('val_')}"] = index
        elif not name.startswith("test_"):
            parts.setdefault("train", {})[f"epoch_{name}"] = index
    return parts


class _EpochsFile(AppendedFile):
    """An event file with a record for each epoch.

    Args:
        keep: what to keep of an existing file; where that has changed, the file is written anew.

    Attributes:
        is_new: whether it was written anew.
    """

    def __init__(self, path: Path, tags: Sequence[str], keep: Prefix, *, sparse: bool) -> None:
        self._records, self._sparse = ScalarRecords(tags), sparse
        self.is_new = not _is_whole(path, keep)
        # An older file begins with another time.
        super().__init__(path, header(time.time()) if self.is_new else b"", Prefix() if self.is_new else keep)

    def append(self, first_epoch: int, rows: Rows) -> None:
        """Append consecutive epochs, a value for each tag."""
        steps = np.arange(first_epoch, first_epoch + len(rows), dtype=np.int64)
        if self._sparse:
            measured = ~np.isnan(rows).all(axis=1)
            steps, rows = steps[measured], rows[measured]
        self.write(self._records.pack(time.time(), steps, rows))


def _is_whole(path: Path, keep: Prefix) -> bool:
    """Whether a file holds what was committed."""
    try:
        check_prefix(path, keep)
    except RecordError:
        return False
    return True
