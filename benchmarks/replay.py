"""A hundred rules on a hundred runs of 4,000 epochs, told from whole columns, beside asking the rules epoch by epoch.

The runs are made up: a loss that falls and rises again, with noise. Asking epoch by epoch is timed on one of them, in
turn with the same one told from whole columns. What else `stopcli replay` does, reading a hundred metrics.csv and
computing an interval for every mean, is timed as well.

    python benchmarks/replay.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stopcli.runs.metrics import Columns, MetricsFile, read_metrics
from stopcli.stats.intervals import mean_interval
from stopcli.stopping import GeneralizationLoss, Patience, ProgressQuotient, Rule, SuccessiveIncreases

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


def seconds(rules: list[Rule], runs: list[Columns], *, at_once: bool) -> float:
    start = time.perf_counter()
    for run in runs:
        for rule in rules:
            # Rule's own `first_stop` asks epoch by epoch.
            rule.first_stop(run) if at_once else Rule.first_stop(rule, run)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{seed}.csv" for seed in range(RUNS)]
        for seed, path in enumerate(paths):
            file = MetricsFile(path, NAMES)
            file.append(1, 1, made_up(seed))
            file.close()
        start = time.perf_counter()
        runs = [read_metrics(path) for path in paths]
        read_seconds = time.perf_counter() - start

    pairs = [(seconds(RULES, runs[:1], at_once=False), seconds(RULES, runs[:1], at_once=True)) for _ in range(ROUNDS)]
    ratios = [slow / fast for slow, fast in pairs]
    whole = seconds(RULES, runs, at_once=True)
    values = np.random.default_rng(0).normal(size=(RUNS, RUNS))
    mean_interval(values[0].tolist())
    start = time.perf_counter()
    for row in values:
        mean_interval(row.tolist())
    interval_seconds = (time.perf_counter() - start) / RUNS

    replays = len(RULES)
    print(f"epoch by epoch:  {statistics.median(p[0] for p in pairs) / replays * 1e3:.2f} ms a replay")
    print(f"whole columns:   {statistics.median(p[1] for p in pairs) / replays * 1e3:.3f} ms a replay")
    print(
        f"ratio:           {statistics.median(ratios):.0f} (of {ROUNDS} pairs {min(ratios):.0f} to {max(ratios):.0f})"
    )
    print(f"{len(RULES)} rules × {RUNS} runs × {EPOCHS:,} epochs: {whole:.2f} s; reading the runs {read_seconds:.2f} s")
    print(f"an interval of {RUNS} values: {interval_seconds * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
