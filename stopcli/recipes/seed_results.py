"""What runs that differ by their seed alone say together: a table, and the spread of every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stopcli.counts import counted
from stopcli.evidence.interval import mean_interval
from stopcli.recipes.recipe import SweepResults
from stopcli.report.tables import seed_csv, seed_table, seed_values
from stopcli.runs.metrics import Columns
from stopcli.sweeps.collect import JobResult


def sweep_results(config: Any, results: Sequence[JobResult]) -> SweepResults:
    """A row for each seed, and mean and spread over those that finished."""
    # What an earlier session of a run summed up may be older than how it ended.
    begun = [{**result.summary, "state": result.state} for result in results if result.summary]
    finished = [summary for summary in begun if summary["state"] == "finished"]
    arm = config.arm.replace("-", " ")
    return SweepResults(
        f"{config.command}: {arm}, {counted(config.seeds, 'seed')}",
        (seed_table(begun, arm),),
        {"table.csv": seed_csv(begun)},
        summary={"over_seeds": {name: spread(values) for name, values in seed_values(finished).items()}},
    )


def finished_runs(results: Sequence[JobResult]) -> tuple[list[dict[str, Any]], list[Columns]]:
    """Summaries and metrics of the runs that finished: those that were stopped early would be drawn and averaged as if
    they had ended there."""
    finished = [result for result in results if result.state == "finished" and result.summary is not None]
    return [result.summary or {} for result in finished], [result.metrics() for result in finished]


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """Number, mean, standard deviation, the mean's bootstrap 95 % interval (from three values on), and range."""
    found = mean_interval(values) if values else None
    return {
        "n": len(values),
        "mean": found.mean if found else None,
        "sd": found.sd if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "min": min(values, default=None),
        "max": max(values, default=None),
    }
