"""What a run is given from outside: an observer, requests to stop, a stopwatch, and the state that it starts from."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from stopcli.quantities import format_duration, parse_save_every
from stopcli.runs.status import StatusProgress
from stopcli.signals import SIGHUP, StopNow, handle_stop_signals, restore_handlers, signal_name
from stopcli.stopping import Verdict

if TYPE_CHECKING:
    from stopcli.training.state_file import TrainState


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch, epochs: epochs done and epochs at most.
        metrics: the last complete epoch's, without those of held-out test rows; empty before the first is complete.
        monitor, best_epoch, best_value: the best epoch so far by the monitored metric; None before the first.
        waiting: how near the stopping rule is to stopping, such as `wait 37/200`.
        samples_per_second: training rows a second, over the whole run so far.
        seconds: spent training so far.
        fraction: of the next epoch's work that is done, in [0, 1).
        projected_seconds: what training to the last epoch will take in all, as measured on the first steps; None
            before that.
    """

    epoch: int
    epochs: int
    metrics: Mapping[str, float]
    monitor: str
    best_epoch: int
    best_value: float | None
    waiting: str
    samples_per_second: float
    seconds: float
    fraction: float = 0.0
    projected_seconds: float | None = None

    @property
    def seconds_left(self) -> float:
        """Until the last epoch, at the speed so far."""
        done = self.epoch + self.fraction
        return self.seconds * (self.epochs - done) / max(done, 1e-9)

    def for_status(self) -> StatusProgress:
        """What status.json holds of it."""
        return StatusProgress(
            metrics=dict(self.metrics),
            samples_per_second=round(self.samples_per_second, 1),
            seconds=round(self.seconds, 3),
            seconds_left=round(self.seconds_left, 1),
        )


class Observer(Protocol):
    """Receives what happens in a run. Calls come from the thread that trains."""

    def stage(self, text: str) -> None:
        """Something that takes a while starts, such as `compiling`."""

    def counted(self, what: str, done: int, total: int) -> None:
        """Something that can be counted proceeds, such as images that are decoded."""

    def progress(self, progress: Progress) -> None:
        """A call of the loop has ended."""

    def note(self, text: str) -> None:
        """Something that the user should know before training goes on, a sentence without a full stop."""


class NullObserver:
    """An observer that ignores everything."""

    def stage(self, text: str) -> None:
        pass

    def counted(self, what: str, done: int, total: int) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass

    def note(self, text: str) -> None:
        pass


# The share of the time that saving may take where the user names no interval: less than the 2 % that are promised,
# because the next save may cost more than the last one, by which it is timed.
_SAVE_SHARE = 0.014
# Long enough to make the host's cost vanish, short enough for a live bar and for Ctrl-C.
CALL_SECONDS = 0.25
# The first calls are dominated by their fixed cost, which would make an epoch look dearer than it is; growing by more
# than this at a time would turn one mismeasured call into a very long one.
_GROWTH = 64


class CallSizer:
    """Sizes calls so that each takes about `seconds`. What is counted may be epochs, steps or batches.

    The size never changes a number of the run, only how often rules and signals are looked at: so it may depend on the
    clock.
    """

    def __init__(self, most: int, seconds: float = CALL_SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._size = 1

    def size(self, remaining: int) -> int:
        """The size of the next call, at most `remaining`."""
        return min(self._size, remaining)

    def took(self, size: int, seconds: float) -> None:
        """Learn from a call of some size that took so many seconds."""
        fitting = int(self._seconds * size / max(seconds, 1e-9))
        self._size = max(1, min(fitting, size * _GROWTH, self._most))

    @contextlib.contextmanager
    def timed(self, size: int) -> Iterator[None]:
        """Learn from the block, which is a call of that size."""
        start = time.perf_counter()
        yield
        self.took(size, time.perf_counter() - start)


class SaveCadence:
    """When the exact state is saved.

    Args:
        every: `auto`, a number of epochs, or a length of time such as `30s`. `auto` saves as often as costs no more
            than 2 % of the time; for all but very large models that loses less than a minute.
    """

    def __init__(self, every: str) -> None:
        self._epochs, self._seconds = parse_save_every(every)
        self._last_epoch, self._last_time, self._cost = 0, time.monotonic(), 0.0

    def begin(self, epoch: int) -> None:
        """Training starts after an epoch that is saved."""
        self._last_epoch, self._last_time = epoch, time.monotonic()

    def room(self, epoch: int) -> int | None:
        """Epochs that may be run after `epoch` before a save is due; None where time decides."""
        return None if self._epochs is None else self._last_epoch + self._epochs - epoch

    def due(self, epoch: int) -> bool:
        if self._epochs is not None:
            return epoch >= self._last_epoch + self._epochs
        wait = self._seconds if self._seconds is not None else self._cost / _SAVE_SHARE
        return time.monotonic() - self._last_time >= wait

    def saved(self, epoch: int, seconds: float) -> None:
        """A save after `epoch` took so many seconds."""
        self._last_epoch, self._last_time, self._cost = epoch, time.monotonic(), seconds


class Stopwatch:
    """Seconds spent in the named parts of a run, and what is left of the elapsed time.

    `save` is what the exact states cost, `models` what the .keras files do.

    Args:
        elapsed: seconds that have passed before, which count as the part `startup`.
    """

    PARTS = ("startup", "data", "build", "compile", "train", "validate", "save", "models", "evaluate", "plots")

    def __init__(self, elapsed: float = 0.0) -> None:
        self._start = time.perf_counter() - elapsed
        self.seconds = dict.fromkeys(self.PARTS, 0.0) | {"startup": elapsed}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def move(self, part: str, other: str, seconds: float) -> None:
        """Count seconds of one part as another's."""
        self.add(part, -seconds)
        self.add(other, seconds)

    def rounded(self) -> dict[str, float]:
        """Seconds by part, to the millisecond; `other` is what belongs to none, `total` all that has passed."""
        total = time.perf_counter() - self._start
        parts = {name: round(seconds, 3) for name, seconds in self.seconds.items()}
        return {**parts, "other": round(total - sum(self.seconds.values()), 3), "total": round(total, 3)}


class StopRequest:
    """Says whether a run should stop at the next end of a call, and why; runs pause `budget_seconds` from now. Safe to
    share between threads."""

    def __init__(self, budget_seconds: float | None = None) -> None:
        self._signal: int | None = None
        self._cancelled = ""
        self._budget = budget_seconds
        self._deadline = None if budget_seconds is None else time.monotonic() + budget_seconds

    def ask(self, signal_number: int) -> None:
        """Request a stop by a signal."""
        self._signal = signal_number

    def cancel(self, reason: str) -> None:
        """Request a stop without a signal, for a reason."""
        self._cancelled = reason

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
    def stop_requested(self) -> bool:
        """Whether to stop, by signal, by `cancel` or by the budget."""
        return self.interrupted or self.over

    @property
    def reason(self) -> str:
        """Who asked to stop: a signal's name, the budget, or what `cancel` was given."""
        if self._signal is not None:
            return signal_name(self._signal)
        if self._cancelled:
            return self._cancelled
        return f"time_budget={format_duration(self._budget)}" if self._budget is not None else "nobody"

    def spent_on_one(self, what: str) -> str:
        """A warning that the time budget was spent when the first `what`, such as `seed`, was done."""
        assert self._deadline is not None
        assert self._budget is not None
        passed = format_duration(time.monotonic() - self._deadline + self._budget)
        return (
            f"{self.reason} is too short for more than the first {what}, which ended after {passed}; a session does at "
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
        """Why to stop after an epoch; None to continue.

        Args:
            trained: whether this process has trained anything yet. A budget that is shorter than the start of the
                program would otherwise never get anywhere, however often the run is resumed.
        """
        if self.interrupted:
            return Verdict("interrupted", self.reason, epoch)
        if self.over and trained:
            return Verdict("time_budget", self.reason, epoch)
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

    Outside the main thread, where Python allows no handlers, nothing ever requests a stop.
    """
    request = StopRequest(budget_seconds)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    one_came = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal one_came
        if one_came and number != SIGHUP:
            raise request.stop_now
        one_came = one_came or number != SIGHUP
        if not request.signalled:
            request.ask(number)
            on_first()

    before = handle_stop_signals(handle)
    try:
        yield request
    finally:
        restore_handlers(before)


@dataclass(frozen=True)
class Session:
    """One process's work on a run; a resumed run has several.

    Attributes:
        measures_precision: whether to measure what a precision costs that is slow here, though nobody listens.
    """

    observer: Observer = field(default_factory=NullObserver)
    request: StopRequest = field(default_factory=StopRequest)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    measures_precision: bool = False


@dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes:
        state: the saved position; None for the first epoch.
        resumed: whether the folder was written before.
        force: whether to resume although what the numbers depend on has changed.
        retry_failed: of a sweep, whether to resume runs that failed by an error of their own.
        notes: what the record of the run should say of this start, such as the changes that were forced.
        changed: the settings that are others from now on, by name; the run's config.toml is then written anew.
    """

    state: TrainState | None = None
    resumed: bool = False
    force: bool = False
    retry_failed: bool = False
    notes: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
