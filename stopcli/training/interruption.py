"""What ends a run from outside: Ctrl-C, SIGTERM, SIGHUP, a time budget. Each stops it where it can save.

The first signal asks, the second leaves at once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from stopcli.durations import format_duration
from stopcli.signals import SIGHUP, StopNow, handle_stop_signals, restore_handlers, signal_name
from stopcli.stopping import Verdict


class StopRequest:
    """Says whether a run should stop at the next end of a call, and why. Safe to share between threads.

    Args:
        budget_seconds: seconds from now after which runs pause; None for no limit.
    """

    def __init__(self, budget_seconds: float | None = None) -> None:
        self._signal: int | None = None
        self._cancelled = ""
        self._budget = budget_seconds
        self._deadline = None if budget_seconds is None else time.monotonic() + budget_seconds

    def ask(self, signal_number: int) -> None:
        self._signal = signal_number

    def cancel(self, words: str) -> None:
        """Ask for the same without a signal.

        Args:
            words: who asks, or what for.
        """
        self._cancelled = words

    @property
    def interrupted(self) -> bool:
        """Whether a signal came, or the run was cancelled."""
        return self._signal is not None or bool(self._cancelled)

    @property
    def signalled(self) -> bool:
        """Whether a signal came."""
        return self._signal is not None

    @property
    def seconds_left(self) -> float | None:
        """Of the time budget, 0 where it is spent; None where there is none."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the time budget is spent."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    @property
    def asked(self) -> bool:
        """Whether to stop, for either reason."""
        return self.interrupted or self.over

    @property
    def words(self) -> str:
        """Who asked, in words."""
        if self._signal is not None:
            return signal_name(self._signal)
        if self._cancelled:
            return self._cancelled
        return f"time_budget={format_duration(self._budget)}" if self._budget is not None else "nobody"

    def spent_on_one(self, what: str) -> str:
        """A warning, for a time budget that is spent when a session has done the least that every session does.

        Args:
            what: that least, such as `seed`.
        """
        assert self._deadline is not None
        assert self._budget is not None
        passed = format_duration(time.monotonic() - self._deadline + self._budget)
        return (
            f"{self.words} is too short for more than the first {what}, which ended after {passed}; a session does at "
            "least one, however small its budget"
        )

    @property
    def exit_status(self) -> int:
        """128 + the signal's number, as shells have it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + (self._signal or 0)

    @property
    def stop_now(self) -> StopNow:
        """What to raise where nothing is to be saved any more."""
        return StopNow(self._signal or 0)

    def verdict(self, epoch: int, *, trained: bool) -> Verdict | None:
        """Why to stop after an epoch, None to go on.

        Args:
            trained: whether this process has trained anything yet. A budget that is shorter than the start of the
                program would otherwise never get anywhere, however often the run is resumed.
        """
        if self.interrupted:
            return Verdict("interrupted", self.words, epoch)
        if self.over and trained:
            return Verdict("time_budget", self.words, epoch)
        return None


@contextlib.contextmanager
def stop_on_signals(
    budget_seconds: float | None = None, on_first: Callable[[], None] = lambda: None
) -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and SIGHUP into a StopRequest while the block runs; a second signal raises StopNow.

    SIGHUP never counts as the first or the second of them: when a connection is lost, the terminal, the shell and the
    manager of the session each send one, some with a SIGTERM beside it, and none of them asks to lose anything.

    Args:
        budget_seconds: the request's time budget.
        on_first: called in the signal's handler when the first one comes.

    Outside the main thread, where Python allows no handlers, the request is never asked.
    """
    request = StopRequest(budget_seconds)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number != SIGHUP:
            raise request.stop_now
        asked = asked or number != SIGHUP
        if not request.signalled:
            request.ask(number)
            on_first()

    before = handle_stop_signals(handle)
    try:
        yield request
    finally:
        restore_handlers(before)
