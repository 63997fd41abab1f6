from __future__ import annotations

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.signals import StopNow
from stopcli.training.session import CallSizer, Stopwatch, stop_on_signals


@given(epoch_seconds=st.floats(1e-7, 100), fixed_seconds=st.floats(0, 0.01), epochs=st.integers(1, 10**6))
def test_calls_grow_to_about_the_time_and_never_beyond_what_remains(
    epoch_seconds: float, fixed_seconds: float, epochs: int
) -> None:
    sizer, remaining, sizes = CallSizer(most=4096, seconds=0.25), epochs, []
    while remaining and len(sizes) < 20:
        size = sizer.size(remaining)
        assert 1 <= size <= min(remaining, 4096)
        sizer.took(size, fixed_seconds + size * epoch_seconds)
        sizes.append(size)
        remaining -= size
    assert all(size == 1 or size * epoch_seconds <= 0.2501 for size in sizes)


def test_seconds_add_up_by_part() -> None:
    watch = Stopwatch()
    watch.add("train", 1.0)
    watch.add("train", 0.5)
    with watch.part("save"):
        pass
    rounded = watch.rounded()
    assert rounded["train"] == 1.5
    parts = [seconds for name, seconds in rounded.items() if name != "total"]
    assert rounded["total"] == pytest.approx(sum(parts), abs=0.01)
    assert rounded.keys() >= {"startup", "build", "compile", "train", "save", "evaluate", "plots", "other"}


@pytest.mark.parametrize(
    ("number", "reason", "status"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]
)
def test_the_first_signal_asks_and_the_second_raises(number: int, reason: str, status: int) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as request:
        assert not request.stop_requested
        os.kill(os.getpid(), number)
        assert request.stop_requested
        assert (request.reason, request.exit_status) == (reason, status)
        with pytest.raises(StopNow):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_hang_up_asks_and_never_raises() -> None:
    with stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGHUP)
        assert (request.reason, request.exit_status) == ("SIGHUP", 129)
        # As a session's manager sends it right after.
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(StopNow):
            os.kill(os.getpid(), signal.SIGINT)
        assert (request.reason, request.exit_status) == ("SIGHUP", 129)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_hang_up_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request.stop_requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
