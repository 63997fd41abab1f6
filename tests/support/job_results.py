"""What became of a sweep's jobs, made by hand: for what sums sweeps up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from summaries import run_summary

from stopcli.recipes.base import recipe_of
from stopcli.runs.run import Run
from stopcli.runs.status import Status
from stopcli.runs.summary import RunSummary
from stopcli.sweeps.plan import Job, JobResult


def result(
    job: Job[Any], error: float, seconds: float, state: str = "finished", validation_seconds: float = 2.0
) -> JobResult:
    """A job as its folder would tell."""
    epochs, rows = job.config.epochs, 1000
    summary = run_summary(
        seed=job.config.seed,
        epochs=epochs,
        steps=16 * epochs,
        steps_per_epoch=16,
        copies=job.config.copies,
        rows={"train": rows, "validation": 100, "test": 100},
        final={"epoch": epochs, "train": {"accuracy": 1.0}, "test": {"accuracy": 1 - error}},
        best={"epoch": 1, "test": {"accuracy": 1 - error}},
        train_seconds=seconds,
        validation_seconds=validation_seconds,
        train_and_validation_seconds=seconds + validation_seconds,
    )
    return job_result(job, state, "" if state == "finished" else "a fault", summary)


def job_result(
    job: Job[Any], state: str, reason: str = "", summary: RunSummary | None = None, path: Path = Path("nowhere")
) -> JobResult:
    """A job in a state, with what it came to."""
    return JobResult(job, Run(path, Status(state=state, reason=reason), summary), state, reason)


def without(results: Sequence[JobResult], *names: str) -> list[JobResult]:
    """Some results, had the jobs of these names not begun."""
    return [job_result(result.job, "not begun") if result.job.name in names else result for result in results]


def cells(config: Any, results: Sequence[JobResult]) -> dict[str, dict[str, str]]:
    """The cells of a sweep's table by arm and column."""
    table = recipe_of(config.command).sweep_results(config, results).tables[0]
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
