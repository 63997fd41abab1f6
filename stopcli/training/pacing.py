"""How much a call of a compiled loop should run, and where a run's seconds go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from stopcli.durations import parse_save_every

# The share of the time that saving may take where the user names no interval: less than the 2 % that are promised,
# because the next save may cost more than the last one, by which it is timed.
_SAVE_SHARE = 0.014
# Long enough to make the host's cost vanish, short enough for a live bar and for Ctrl-C.
CALL_SECONDS = 0.25
# The first calls are dominated by their fixed cost, which would make an epoch look dearer than it is; growing by more
# than this at a time would turn one mismeasured call into a very long one.
_GROWTH = 64


class Pacer:
    """Sizes calls so that each takes about `seconds`. What is counted may be epochs, steps or batches.

    The size never changes a number of the run, only how often the host is asked: so it may depend on the clock.
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
        """Training goes on from an epoch that is saved."""
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
        self._begun = time.perf_counter() - elapsed
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
        total = time.perf_counter() - self._begun
        parts = {name: round(seconds, 3) for name, seconds in self.seconds.items()}
        return {**parts, "other": round(total - sum(self.seconds.values()), 3), "total": round(total, 3)}
