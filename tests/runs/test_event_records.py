"""The records of event files: their checksums, and values that other readers get out of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stopcli.runs.tensorboard import ScalarRecords, checksums, record, without_times


def test_checksums_are_those_of_the_standard() -> None:
    # RFC 3720, B.4, and the check value of CRC-32C; TFRecords rotate it and add a constant.
    known = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E}
    rows = np.array([list(content) for content in known], np.uint8)
    assert checksums(rows).tolist() == [_masked(crc) for crc in known.values()]
    assert checksums(np.frombuffer(b"123456789", np.uint8)[None]).tolist() == [_masked(0xE3069283)]


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


@given(
    hnp.arrays(np.float32, (3, 2), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    st.lists(st.integers(0, 2**31 - 1), min_size=3, max_size=3),
    st.floats(0, 1e12),
    st.lists(st.text("abc_äö/", min_size=1, max_size=150), min_size=2, max_size=2, unique=True),
)
def test_protocol_buffers_read_every_value_back(
    values: np.ndarray, steps: list[int], seconds: float, tags: list[str]
) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    records = ScalarRecords(tags)
    packed = records.pack(seconds, np.array(steps, np.int64), values)
    size = len(packed) // 3
    for i, step in enumerate(steps):
        content = packed[i * size :][:size][12:-4]
        assert packed[i * size :][:size] == record(content)
        event = Event.FromString(content)
        assert (event.step, event.wall_time) == (step, seconds)
        assert [value.tag for value in event.summary.value] == tags
        read = np.array([value.simple_value for value in event.summary.value], np.float32)
        assert read.tobytes() == values[i].tobytes() or np.array_equal(read, values[i], equal_nan=True)


def test_no_epochs_are_no_bytes() -> None:
    assert ScalarRecords(["loss"]).pack(0.0, np.zeros(0, np.int64), np.zeros((0, 1), np.float32)) == b""


def test_what_is_compared_of_two_runs_is_all_but_the_time() -> None:
    records = ScalarRecords(["loss"])
    steps, values = np.arange(1, 4), np.array([[3.0], [2.0], [1.0]], np.float32)
    first = without_times(records.pack(1.0, steps, values))
    assert first == without_times(records.pack(2.0, steps, values))
    assert first != without_times(records.pack(1.0, steps, values + 1))
    assert first != without_times(records.pack(1.0, steps + 1, values))
