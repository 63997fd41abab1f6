"""A hundred rules on a hundred runs of 4,000 epochs, replayed on whole columns, beside updating them epoch by epoch.

The runs are made up: a loss that falls and rises again, with noise. Replaying epoch by epoch is timed on one of them,
in turn with replaying the same one on whole columns. What else `stopcli replay` does, reading a hundred metrics.csv and
computing an interval for every mean, is timed as well. The same runs as CSV files of another program are read as
`stopcli replay` reads them, in turn with pandas.

    python benchmarks/replay.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from timing import in_turn, ratio, seconds

from stopcli.runs.csv_columns import read_csv_columns
from stopcli.runs.metrics import Columns, MetricsFile, read_metrics
from stopcli.stats.intervals import mean_interval
from stopcli.stopping import GeneralizationLoss, Patience, ProgressQuotient, Rule, SmoothedRule, SuccessiveIncreases
from stopcli.stopping.smooth import RunColumns

RUNS, EPOCHS, ROUNDS = 100, 4000, 5
NAMES = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
RULES: list[Rule] = [
    *(Patience(5 * i, min_delta=delta) for delta in (0, 0.001) for i in range(20)),
    *(GeneralizationLoss(0.5 * i) for i in range(1, 21)),
    *(ProgressQuotient(0.25 * i) for i in range(1, 21)),
    *(SuccessiveIncreases(s, k) for s in range(1, 11) for k in (5, 20)),
]


def made_up(seed: int) -> NDArray[np.float32]:
    t, noise = np.arange(1, EPOCHS + 1), np.random.default_rng(seed).normal(0, 0.002, (2, EPOCHS))
    trained = 0.7 * np.exp(-t / 300) + 0.01 + abs(noise[0])
    validation = 0.25 + 0.45 * np.exp(-t / 250) + np.maximum(t - 800, 0) / 20000 + noise[1]
    columns = [trained, 1 - trained / 2, validation, 1 - validation / 2, np.full(EPOCHS, 0.001)]
    return np.stack(columns, axis=1).astype(np.float32)


def replay(runs: list[Columns]) -> None:
    for run in runs:
        for rule in RULES:
            rule.first_stop(run)


def replay_smoothed(run: Columns) -> None:
    # As `stopcli replay` does: a metric is smoothed once, for all rules.
    columns = RunColumns(run)
    for rule in RULES:
        SmoothedRule(rule, 0.9).first_stop(columns)


def replay_by_epoch(run: Columns) -> None:
    for rule in RULES:
        # That of the base class updates the rule epoch by epoch.
        Rule.first_stop(rule, run)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{seed}.csv" for seed in range(RUNS)]
        for seed, path in enumerate(paths):
            file = MetricsFile(path, NAMES)
            file.append(1, 1, made_up(seed))
            file.close()
        runs: list[Columns] = []
        read_seconds = seconds(lambda: runs.extend(map(read_metrics, paths)))
        by_pandas, by_us = in_turn(
            ROUNDS,
            lambda: seconds(lambda: [pd.read_csv(path) for path in paths]),
            lambda: seconds(lambda: [read_csv_columns(path) for path in paths]),
        )
        before = time.process_time()
        replay([dict(read_csv_columns(path).columns) for path in paths])
        csv_work = time.process_time() - before

    by_epoch, by_column, smoothed = in_turn(
        ROUNDS,
        lambda: seconds(lambda: replay_by_epoch(runs[0])),
        lambda: seconds(lambda: replay(runs[:1])),
        lambda: seconds(lambda: replay_smoothed(runs[0])),
    )
    whole = seconds(lambda: replay(runs))
    first, *rows = np.random.default_rng(0).normal(size=(RUNS + 1, RUNS)).tolist()
    mean_interval(first)
    interval_seconds = seconds(lambda: [mean_interval(row) for row in rows]) / RUNS

    replays = len(RULES)
    print(f"epoch by epoch:  {statistics.median(by_epoch) / replays * 1e3:.2f} ms per replay")
    print(f"whole columns:   {statistics.median(by_column) / replays * 1e3:.3f} ms per replay")
    print(f"smoothed:        {statistics.median(smoothed) / replays * 1e3:.3f} ms per replay")
    print(f"ratio:           {ratio(by_epoch, by_column, '{:.0f}')}")
    print(f"{replays} rules × {RUNS} runs × {EPOCHS:,} epochs: {whole:.2f} s; reading the runs {read_seconds:.2f} s")
    print(f"the same as CSV files, read and replayed: {csv_work:.2f} s of processor time")
    medians = f"{statistics.median(by_us):.2f} / {statistics.median(by_pandas):.2f} s"
    print(f"reading CSV files, stopcli / pandas: {medians} = {ratio(by_us, by_pandas)}")
    print(f"an interval of {RUNS} values: {interval_seconds * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
