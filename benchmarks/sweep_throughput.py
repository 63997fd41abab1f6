"""Two runs on two cores: side by side with one thread each, or one after the other with two threads each.

Which is faster decides how `stopcli` distributes a sweep over a machine by default. Every contestant is a process that
has compiled and trained a first round before it is timed; only training is timed. The two layouts take turns,
`--rounds` times.

    python benchmarks/sweep_throughput.py [--depths 8 44] [--copies 1 4] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics

from resnet_round import stopcli_round
from timing import Contestant, in_turn, ratio, seconds, take_turns

BATCH = 64
# Images of a timed round, by depth: some seconds.
IMAGES = {8: 4096, 20: 1536, 44: 768}


def contestant(depth: int, copies: int, threads: int, core: int) -> None:
    """Train rounds of IMAGES[depth] images, copies counted, on a core; on all of them where it is -1."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    settings = {"depth": depth, "copies": copies, "cutout": 16 if copies > 1 else None, "batch_size": BATCH}
    take_turns(stopcli_round(settings, IMAGES[depth] // copies, threads))


def start(*numbers: int) -> Contestant:
    return Contestant(__file__, "--contestant", *map(str, numbers))


def compare(depth: int, copies: int, rounds: int) -> None:
    narrow = [start(depth, copies, 1, core) for core in (0, 1)]
    wide = start(depth, copies, 2, -1)

    def both() -> None:
        for process in narrow:
            process.start_round()
        for process in narrow:
            process.finish_round()

    images = 2 * IMAGES[depth]
    side_by_side, in_sequence = in_turn(
        rounds, lambda: images / seconds(both), lambda: images / (wide.round() + wide.round())
    )
    for process in (*narrow, wide):
        process.close()
    narrow_rate, wide_rate = statistics.median(side_by_side), statistics.median(in_sequence)
    print(
        f"ResNet-{depth}, {copies} copies: side by side, one thread each {narrow_rate:.0f} images/s; one after the "
        f"other, two threads each {wide_rate:.0f}: {ratio(side_by_side, in_sequence)} times",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[8, 44], choices=IMAGES)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contestant", type=int, nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        contestant(*options.contestant)
        return
    for depth in options.depths:
        for copies in options.copies:
            compare(depth, copies, options.rounds)


if __name__ == "__main__":
    main()
