"""What the benchmarks share: contestants that take turns, and their ratios pair by pair."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turn(rounds: int, *contestants: Callable[[], float]) -> list[list[float]]:
    """What each contestant measures in each round, one after the other, so that a slow minute is slow for all."""
    measured = [[contestant() for contestant in contestants] for _ in range(rounds)]
    return [list(values) for values in zip(*measured, strict=True)]


def ratio(values: Sequence[float], others: Sequence[float], form: str = "{:.2f}") -> str:
    """The median of the ratios of the rounds, with the smallest and the largest."""
    ratios = [value / other for value, other in zip(values, others, strict=True)]
    return with_range(ratios, form)


def with_range(values: Sequence[float], form: str) -> str:
    median, low, high = (form.format(statistic(values)) for statistic in (statistics.median, min, max))
    return f"{median} ({low} to {high})"


class Contestant:
    """A process of its own that runs a round when asked; started once it has run a first one.

    Args:
        argv: of the Python program, which calls `take_turns`.
        environment: variables beside those of this process.
    """

    def __init__(self, *argv: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        if self._answer() != "ready\n":
            raise SystemExit(f"cannot be run here: {' '.join(argv)}")

    def start_round(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def finish_round(self) -> float:
        """Wait for the round's end. Returns its seconds."""
        return float(self._answer())

    def round(self) -> float:
        self.start_round()
        return self.finish_round()

    def close(self) -> None:
        self._process.communicate("")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def take_turns(run: Callable[[], object]) -> None:
    """In a contestant's process: run a first round, then one for each line on stdin, and print its seconds."""
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(seconds(run), flush=True)
