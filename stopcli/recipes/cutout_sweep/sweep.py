"""What the runs of `stopcli cutout-sweep` say together: error and cost of each M, the published cost beside it."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.counts import counted
from stopcli.durations import format_duration
from stopcli.recipes.arms import arms_of, job_row, mean_and_sd, moments, reference_of, time_ratio
from stopcli.recipes.cutout_sweep.arms import CutoutArm, Front, front_of
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig, copies_of
from stopcli.recipes.cutout_sweep.recommendation import recommend
from stopcli.recipes.images.memory import check_fits
from stopcli.recipes.recipe import SweepResults
from stopcli.report.tables import Table, csv_of
from stopcli.sweeps.collect import JobResult

__all__ = ["check_fits", "sweep_results"]

NONE = "–"


def sweep_results(config: CutoutSweepConfig, results: Sequence[JobResult]) -> SweepResults:
    """A row for each arm, with mean and standard deviation over its seeds; what follows from them."""
    arms = arms_of(results, CutoutArm)
    reference = reference_of(config, arms)
    front = front_of(arms, reference)
    rows = tuple(_row(arm, reference, front) for arm in arms)
    values = [_values(arm, reference, front) for arm in arms]
    of_front = front.words()
    return SweepResults(
        f"cutout-sweep: ResNet-{config.depth}, M = {', '.join(map(str, config.m))}, {counted(config.seeds, 'seed')}",
        (Table("Results", _columns(reference), rows),),
        {"table.csv": csv_of(values), "jobs.csv": csv_of([_job(result) for result in results])},
        (*recommend(arms, reference), *([of_front] if of_front else [])),
        {"arms": values},
    )


def _columns(reference: CutoutArm) -> tuple[str, ...]:
    # With simple augmentation as the reference, as published, it goes without saying.
    to = f" to {reference.label}" if reference.m else ""
    return (
        *("arm", "runs", "error at the end", "best epoch's", "training", "validation"),
        *(f"cost ratio{to}", "published hours", f"published ratio{to}", "Pareto"),
    )


def _row(arm: CutoutArm, reference: CutoutArm, front: Front) -> tuple[str, ...]:
    hours, published = _published(arm, reference)
    ratio = time_ratio(arm, reference)
    on_front = {True: "yes", False: "", None: NONE}[_is_on(front, arm)]
    return (
        arm.label,
        f"{len(arm.runs)} of {arm.planned}",
        mean_and_sd(arm.values("error")),
        mean_and_sd(arm.values("best_error")),
        format_duration(arm.mean("seconds")) if arm.runs else NONE,
        format_duration(arm.mean("validation_seconds")) if arm.runs else NONE,
        NONE if ratio is None else str(ratio),
        NONE if hours is None else f"{hours:.2f}",
        NONE if published is None else f"{published:.2f}",
        on_front,
    )


def _published(arm: CutoutArm, reference: CutoutArm) -> tuple[float | None, float | None]:
    """The published hours of an arm, and their ratio to those of the reference."""
    hours, of_reference = arm.published_hours, reference.published_hours
    return hours, hours / of_reference if hours and of_reference else None


def _is_on(front: Front, arm: CutoutArm) -> bool | None:
    """Whether an arm is on the Pareto front; None where there is none that it could be on."""
    return arm.name in front.names if front.names and arm.name in front.costs else None


def _values(arm: CutoutArm, reference: CutoutArm, front: Front) -> dict[str, object]:
    """A row of table.csv, in full precision."""
    hours, published = _published(arm, reference)
    ratio = time_ratio(arm, reference)
    values: dict[str, object] = {"arm": arm.name, "m": arm.m, "planned": arm.planned, "finished": len(arm.runs)}
    values |= moments(arm, ("error", "best_error", "seconds", "validation_seconds", "images"))
    return {
        **values,
        "cost_ratio": ratio.mean if ratio else None,
        "published_hours": hours,
        "published_ratio": published,
        "pareto": _is_on(front, arm),
        "cost_ratio_sd": ratio.sd if ratio else None,
        "cost_ratio_n": ratio.n if ratio else 0,
        "cost_ratio_to": reference.name,
    }


def _job(result: JobResult) -> dict[str, object]:
    """A row of jobs.csv."""
    row = job_row(result)
    return {"job": row.pop("job"), "arm": row.pop("arm"), "m": copies_of(result.job.config), **row}
