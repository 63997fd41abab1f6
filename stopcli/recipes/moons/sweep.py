"""What the seeds of `stopcli moons` say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stopcli.quantities import counted
from stopcli.recipes import arms as seed_results
from stopcli.recipes.base import Loaded, SweepResults
from stopcli.recipes.moons.case_tables import (
    arms_of_run,
    case_rows,
    seeds_case_summary,
    seeds_case_table,
    seeds_case_words,
)
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.report.document import csv_of
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, JobResult


def check_fits(loaded: Loaded, jobs: Sequence[Job[Any]], layout: Layout) -> None:
    """The runs share their rows, and little else is in memory."""


def sweep_results(config: MoonsConfig, results: Sequence[JobResult]) -> SweepResults:
    """A row for each seed, and mean and spread; of a case study, a row for each published arm."""
    finished = [(result.job.config.seed, result.summary) for result in results if result.state == "finished"]
    runs = {seed: arms_of_run(summary) for seed, summary in finished if summary and "case_study" in summary}
    if not config.case_study or not runs:
        return seed_results.sweep_results(config, results)
    arms = list(runs.values())
    test_rows = next(summary["rows"]["test"] for _, summary in finished if summary and "case_study" in summary)
    return SweepResults(
        f"moons: case study, {counted(config.seeds, 'seed')}",
        (seeds_case_table(arms),),
        {"table.csv": csv_of([row for seed, of in runs.items() for row in case_rows(seed, of)])},
        seeds_case_words(config, arms, test_rows),
        {"case_study": seeds_case_summary(arms)},
    )
