"""What the runs of `stopcli cutout-sweep` say together: error and cost of each M, the published cost beside it."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.durations import format_duration
from stopcli.recipes.arms import arms_of, job_row, mean_and_sd, moments
from stopcli.recipes.cutout_sweep.arms import PUBLISHED_HOURS, CutoutArm, pareto_front, reference_of
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig, copies_of
from stopcli.recipes.cutout_sweep.recommendation import recommend
from stopcli.recipes.images.memory import check_fits
from stopcli.recipes.recipe import SweepResults
from stopcli.report.tables import Table, csv_of
from stopcli.sweeps.collect import JobResult

__all__ = ["check_fits", "sweep_results"]

_COLUMNS = (
    "arm",
    "runs",
    "error at the end",
    "best epoch's",
    "training",
    "validation",
    "cost ratio",
    "published hours",
    "published ratio",
    "Pareto",
)


def sweep_results(config: CutoutSweepConfig, results: Sequence[JobResult]) -> SweepResults:
    """A row for each arm, with mean and standard deviation over its seeds; what follows from them."""
    arms = arms_of(results, CutoutArm)
    base, front = reference_of(arms), pareto_front(arms)
    rows = tuple(_row(arm, base, arm in front) for arm in arms)
    values = [_values(arm, base, arm in front) for arm in arms]
    seeds = f"{config.seeds} seed{'s' if config.seeds > 1 else ''}"
    return SweepResults(
        f"cutout-sweep: ResNet-{config.depth}, M = {', '.join(map(str, config.m))}, {seeds}",
        (Table("Results", _COLUMNS, rows),),
        {"table.csv": csv_of(values), "jobs.csv": csv_of([_job(result) for result in results])},
        recommend(arms),
        {"arms": values},
    )


def _row(arm: CutoutArm, base: CutoutArm | None, on_front: bool) -> tuple[str, ...]:
    hours, ratio = _published(arm, base)
    published = ("–" if hours is None else f"{hours:.2f}", "–" if ratio is None else f"{ratio:.2f}")
    if not arm.runs or base is None:
        return (arm.label, f"0 of {arm.planned}", *["–"] * 5, *published, "")
    return (
        arm.label,
        f"{len(arm.runs)} of {arm.planned}",
        mean_and_sd(arm.values("error")),
        mean_and_sd(arm.values("best_error")),
        format_duration(arm.mean("seconds")),
        format_duration(arm.mean("validation_seconds")),
        f"{arm.mean('seconds') / base.mean('seconds'):.2f}",
        *published,
        "yes" if on_front else "",
    )


def _published(arm: CutoutArm, base: CutoutArm | None) -> tuple[float | None, float | None]:
    """The published hours of an arm, and their ratio to those of what ours are compared with."""
    hours, of_base = PUBLISHED_HOURS.get(arm.m), PUBLISHED_HOURS.get(base.m) if base else None
    return hours, hours / of_base if hours and of_base else None


def _values(arm: CutoutArm, base: CutoutArm | None, on_front: bool) -> dict[str, object]:
    """A row of table.csv, in full precision."""
    hours, published = _published(arm, base)
    values: dict[str, object] = {"arm": arm.name, "m": arm.m, "planned": arm.planned, "finished": len(arm.runs)}
    values |= moments(arm, ("error", "best_error", "seconds", "validation_seconds", "images"))
    ratio = arm.mean("seconds") / base.mean("seconds") if arm.runs and base else None
    return {
        **values,
        "cost_ratio": ratio,
        "published_hours": hours,
        "published_ratio": published,
        "pareto": on_front,
    }


def _job(result: JobResult) -> dict[str, object]:
    """A row of jobs.csv."""
    row = job_row(result)
    return {"job": row.pop("job"), "arm": row.pop("arm"), "m": copies_of(result.job.config), **row}
