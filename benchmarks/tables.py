"""A table of a million rows: `stopcli fit`, beside pandas' reading and the loop alone, in one process.

A round reads a CSV file and trains five epochs on it. stopcli finds out what its columns are, splits its rows, looks
for leaks, knows each row by a hash, encodes them, builds and checks the network, and measures which loop is the faster.
The peer is `pandas.read_csv` with its defaults, and the same loop, which was compiled before, on rows that are encoded
already. Compiling is in neither time. They take turns, and are compared round by round.

    python benchmarks/tables.py [--rows 1000000] [--columns 30] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from timing import in_turn, ratio, seconds

EPOCHS, BATCH = 5, 1024


def write_table(path: Path, rows: int, columns: int) -> None:
    draw = np.random.default_rng(0)
    frame = pandas.DataFrame(
        draw.normal(size=(rows, columns)).astype("float32"), columns=[f"x{i}" for i in range(columns)]
    )
    frame["target"] = frame["x0"] ** 2 + frame["x1"] + draw.normal(size=rows).astype("float32")
    frame.to_csv(path, index=False)


class Stages:
    """How long each part of reading took, by what an observer is told of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last, self._since = "", time.perf_counter()

    def stage(self, text: str) -> None:
        now = time.perf_counter()
        if self._last:
            self.seconds[self._last] += now - self._since
        self._last, self._since = text, now

    def counted(self, what: str, done: int, total: int) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    from stopcli.configs.base import parse
    from stopcli.configs.fit import FitConfig
    from stopcli.recipes.fit import Fit
    from stopcli.training.session import NullObserver

    recipe = Fit()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        write_table(path, arguments.rows, arguments.columns)
        settings = {"table": str(path), "target": "target", "batch_size": BATCH, "epochs": EPOCHS}
        config = parse(FitConfig, settings)
        experiment = recipe.build(recipe.load(config, NullObserver()))
        loop = experiment.make_loop()
        loop.compile()
        size = path.stat().st_size / 1e6
        print(
            f"{arguments.rows:,} rows of {arguments.columns} columns, {size:,.0f} MB; {EPOCHS} epochs, batch {BATCH:,}"
        )

        def train() -> None:
            loop.reset(experiment.initial_state(), 0)
            epoch = 1
            while epoch <= EPOCHS:
                block = loop.advance(epoch, EPOCHS + 1 - epoch)
                epoch = epoch if block is None else block.last_epoch + 1

        stages = Stages()

        def ours() -> float:
            def run() -> None:
                recipe.load(config, observer(stages))
                stages.stage("training")
                train()
                stages.stage("")

            return seconds(run)

        def theirs() -> float:
            return seconds(lambda: (pandas.read_csv(path), train()))

        peer, whole = in_turn(arguments.rounds, theirs, ours)
    print(f"  pandas and the loop  {statistics.median(peer):6.2f} s")
    print(f"  stopcli fit          {statistics.median(whole):6.2f} s, {ratio(whole, peer)} times as long")
    for stage, taken in stages.seconds.items():
        print(f"    {stage:40} {taken / arguments.rounds:6.2f} s")


def observer(stages: Stages) -> Any:
    """An observer that passes on what is read, and nothing else."""
    from stopcli.training.session import NullObserver

    null = NullObserver()
    null.stage, null.counted = stages.stage, stages.counted  # type: ignore[method-assign]
    return null


if __name__ == "__main__":
    main()
