"""How many epochs a call of the compiled loop should run, and where a run's seconds go."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

# Long enough to make the host's cost vanish, short enough for a live bar and for Ctrl-C.
CALL_SECONDS = 0.25
# The first calls are dominated by their fixed cost, which would make an epoch look dearer than it is; growing by more
# than this at a time would turn one mismeasured call into a very long one.
_GROWTH = 64


class Pacer:
    """Sizes calls so that each takes about `seconds`.

    The size never changes a number of the run, only how often the host is asked: so it may depend on the clock.
    """

    def __init__(self, most: int, seconds: float = CALL_SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._size = 1

    def size(self, remaining: int) -> int:
        """Epochs of the next call, at most `remaining`."""
        return min(self._size, remaining)

    def took(self, epochs: int, seconds: float) -> None:
        """Learn from a call that ran so many epochs in so many seconds."""
        fitting = int(self._seconds * epochs / max(seconds, 1e-9))
        self._size = max(1, min(fitting, epochs * _GROWTH, self._most))


class Stopwatch:
    """Seconds spent in the named parts of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

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

    def rounded(self) -> dict[str, float]:
        """Seconds by part, to the millisecond, and their total."""
        parts = {name: round(seconds, 3) for name, seconds in self.seconds.items()}
        return {**parts, "total": round(sum(self.seconds.values()), 3)}
