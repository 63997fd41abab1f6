"""Ctrl-C and SIGTERM: the first asks the run to stop where it can save, the second leaves at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Says whether a run should stop at the next end of a call, and why. Safe to share between threads."""

    def __init__(self) -> None:
        self._signal: int | None = None

    def ask(self, signal_number: int) -> None:
        self._signal = signal_number

    @property
    def asked(self) -> bool:
        return self._signal is not None

    @property
    def words(self) -> str:
        """Who asked, in words."""
        return {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}.get(self._signal, "nobody")  # type: ignore[call-overload,no-any-return]

    @property
    def exit_status(self) -> int:
        """128 + the signal's number, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self._signal or 0)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a StopRequest while the block runs; a second signal raises KeyboardInterrupt.

    Outside the main thread, where Python allows no handlers, the request is never asked.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if request.asked:
            raise KeyboardInterrupt
        request.ask(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
