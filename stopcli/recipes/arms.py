"""How far a sweep's runs are, and its rows of jobs.csv, whatever it compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stopcli.analysis.arms import RunArm
from stopcli.counts import numbered
from stopcli.report.tables import Table
from stopcli.runs.recorded import training_seconds
from stopcli.sweeps.collect import JobResult, read_progress


def not_finished(config: Any, results: Sequence[JobResult]) -> str:
    """Which runs of a sweep have not finished, by arm and seed, in a sentence; empty where all have."""
    arms: dict[str, dict[str, list[int]]] = {}
    for result in results:
        if result.state != "finished":
            states = arms.setdefault(config.arm_label(result.job.arm), {})
            states.setdefault(result.state, []).append(result.job.config.seed)
    sentences = []
    for label, states in arms.items():
        parts = [f"{numbered('seed', sorted(seeds))} {state}" for state, seeds in states.items()]
        sentences.append(f"{label} ({', '.join(parts)})")
    return f"Not finished: {'; '.join(sentences)}." if sentences else ""


def runs_table(results: Sequence[JobResult]) -> Table:
    """How far each run of a sweep is, where there are no results yet."""
    rows = []
    for result in results:
        line = read_progress(result.job, result.path)
        rows.append((result.job.name, result.state, f"{line.epoch}/{line.epochs}" if result.path.exists() else "–"))
    return Table("Results", ("run", "state", "epoch"), tuple(rows))


def moments(arm: RunArm, **names: str) -> dict[str, float | None]:
    """Mean and standard deviation of values of an arm's runs, in full precision: NAME_mean and NAME_sd.

    Args:
        names: by NAME, what the runs call it.
    """
    moments: dict[str, float | None] = {}
    for column, name in names.items():
        interval = arm.interval(name)
        moments[f"{column}_mean"] = interval.mean if interval else None
        moments[f"{column}_sd"] = interval.sd if interval else None
    return moments


def job_row(result: JobResult) -> dict[str, object]:
    """A row of jobs.csv."""
    summary = result.summary or {}
    final, best = summary.get("final") or {}, summary.get("best") or {}
    return {
        "job": result.job.name,
        "arm": result.job.arm,
        "seed": result.job.config.seed,
        "state": result.state,
        "reason": result.reason,
        "epochs": summary.get("epochs"),
        "test_accuracy": (final.get("test") or {}).get("accuracy"),
        "best_epoch": best.get("epoch"),
        "best_test_accuracy": (best.get("test") or {}).get("accuracy"),
        "train_seconds": training_seconds(summary),
        "validation_seconds": summary.get("validation_seconds"),
        "samples_per_second": summary.get("samples_per_second"),
    }
