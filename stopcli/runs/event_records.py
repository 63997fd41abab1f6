"""The records of TensorBoard's event files, written without TensorFlow.

A file is a sequence of TFRecords: the length of the content (uint64), its checksum, the content, its checksum; the
content is a protocol buffer `tensorflow.Event`. What is written here is the part of it that a curve needs: when
(field 1), the step (field 2), and in the summary (field 5) a tag and a float32 for each value. All records of the same
tags have the same length, so that a call's thousands of epochs are one array, and a file can be cut back to any epoch.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
    """The checksum of each row as TFRecords have it: CRC-32C (Castagnoli), rotated by 15 bits, plus a constant.

    Args:
        rows: uint8, shape [records, bytes].
    """
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
    """What the records of an event file say, but not when: the same for two runs of one config."""
    contents, place = [], 0
    while place < len(file):
        (length,) = struct.unpack_from("<Q", file, place)
        contents.append(file[place + _FRAME_BYTES + _TIME_BYTES : place + _FRAME_BYTES + length])
        place += _FRAME_BYTES + length + 4
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
        self._places = [_FRAME_BYTES + len(content) - 4 - rest for rest in after]

    @property
    def size(self) -> int:
        """Bytes of a record."""
        return len(self._template)

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
        for place, column in zip(self._places, values.astype("<f4").T, strict=True):
            rows[:, place : place + 4] = column.copy().view(np.uint8).reshape(-1, 4)
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
