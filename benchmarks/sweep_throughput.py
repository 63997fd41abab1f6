"""Two runs on two cores: side by side with one thread each, or one after the other with two threads each.

Which is faster decides how `stopcli` lays a sweep out over a machine where nobody says otherwise. Every contestant is a
process that has compiled and trained a first round before it is timed; only training is timed. The two layouts take
turns, `--rounds` times.

    python benchmarks/sweep_throughput.py [--depths 8 44] [--copies 1 4] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from resnet_round import stopcli_round

BATCH = 64
# Images that a timed part trains on, by depth: some seconds.
IMAGES = {8: 4096, 20: 1536, 44: 768}


def round_of(depth: int, copies: int, threads: int) -> Callable[[], None]:
    """Trains on IMAGES[depth] images, copies counted."""
    settings = {"depth": depth, "copies": copies, "cutout": 16 if copies > 1 else None, "batch_size": BATCH}
    return stopcli_round(settings, IMAGES[depth] // copies, threads)


def contestant(depth: int, copies: int, threads: int, core: int | None) -> None:
    """Trains a round for every line on stdin, and says when it has."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    run = round_of(depth, copies, threads)
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        run()
        print("done", flush=True)


def start(depth: int, copies: int, threads: int, core: int | None) -> subprocess.Popen[str]:
    words = [
        sys.executable,
        __file__,
        "--contestant",
        *map(str, (depth, copies, threads, -1 if core is None else core)),
    ]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", "a contestant failed"
    return process


def trained(*together: subprocess.Popen[str]) -> float:
    """Seconds until all of them have trained a round, begun at once."""
    begun = time.perf_counter()
    for process in together:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in together:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n", "a contestant failed"
    return time.perf_counter() - begun


def compare(depth: int, copies: int, rounds: int) -> None:
    narrow = [start(depth, copies, 1, core) for core in (0, 1)]
    wide = start(depth, copies, 2, None)
    images = 2 * IMAGES[depth]
    pairs = []
    for _ in range(rounds):
        beside = trained(*narrow)
        after = trained(wide) + trained(wide)
        pairs.append((images / beside, images / after))
    for process in (*narrow, wide):
        process.communicate()
    ratios = sorted(beside / after for beside, after in pairs)
    medians = [statistics.median(values) for values in zip(*pairs, strict=True)]
    print(
        f"ResNet-{depth}, {copies} copies: side by side, one thread each {medians[0]:.0f} images/s; "
        f"one after the other, two threads each {medians[1]:.0f}: "
        f"{statistics.median(ratios):.2f} times ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[8, 44], choices=IMAGES)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contestant", type=int, nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contestant:
        depth, copies, threads, core = asked.contestant
        contestant(depth, copies, threads, None if core < 0 else core)
        return
    for depth in asked.depths:
        for copies in asked.copies:
            compare(depth, copies, asked.rounds)


if __name__ == "__main__":
    main()
