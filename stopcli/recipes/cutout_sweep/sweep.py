"""What the runs of `stopcli cutout-sweep` say together: error and cost of each M, the published cost beside it."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.analysis.arms import RunArm, time_ratio
from stopcli.analysis.sweep import SweepResults, job_row, mean_cell, means_and_sds, reference_of, sweep_arms
from stopcli.quantities import counted, format_duration
from stopcli.recipes.cutout_sweep.arms import ERROR, Front, front_of, published_hours
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig, copies_of
from stopcli.recipes.cutout_sweep.recommendation import recommend
from stopcli.report.document import Table, csv_of
from stopcli.stats.differences import NONE
from stopcli.sweeps.plan import JobResult


def sweep_results(config: CutoutSweepConfig, results: Sequence[JobResult]) -> SweepResults:
    """A row for each arm, with mean and standard deviation over its seeds; what follows from them."""
    arms = sweep_arms(config, results)
    reference = reference_of(config, arms)
    front = front_of(arms, reference)
    rows = tuple(_row(arm, reference, front) for arm in arms)
    values = [_values(arm, reference, front) for arm in arms]
    return SweepResults(
        f"cutout-sweep: ResNet-{config.depth}, M = {', '.join(map(str, config.m))}, {counted(config.seeds, 'seed')}",
        (Table("Results", _columns(reference), rows),),
        {
            "table.csv": csv_of(values),
            "jobs.csv": csv_of([job_row(result, m=copies_of(result.job.config)) for result in results]),
        },
        (*recommend(arms, reference), *filter(None, [front.sentence()])),
        {"arms": values},
    )


def _columns(reference: RunArm) -> tuple[str, ...]:
    # With simple augmentation as the reference, as published, it goes without saying.
    to = f" to {reference.label}" if copies_of(reference.config) else ""
    return (
        *("arm", "runs", "error at the end", "best epoch's", "training", "validation"),
        *(f"cost ratio{to}", "published hours", f"published ratio{to}", "Pareto"),
    )


def _row(arm: RunArm, reference: RunArm, front: Front) -> tuple[str, ...]:
    hours, published = _published(arm, reference)
    ratio = time_ratio(arm, reference)
    on_front = {True: "yes", False: "", None: NONE}[_is_on(front, arm)]
    return (
        arm.label,
        f"{len(arm.runs)} of {arm.planned}",
        mean_cell(arm.interval(ERROR)),
        mean_cell(arm.interval("saved_test_error")),
        _duration_cell(arm, "train_seconds"),
        _duration_cell(arm, "validation_seconds"),
        NONE if ratio is None else str(ratio),
        NONE if hours is None else f"{hours:.2f}",
        NONE if published is None else f"{published:.2f}",
        on_front,
    )


def _duration_cell(arm: RunArm, name: str) -> str:
    seconds = arm.mean(name)
    return NONE if seconds is None else format_duration(seconds)


def _published(arm: RunArm, reference: RunArm) -> tuple[float | None, float | None]:
    """The published hours of an arm, and their ratio to those of the reference."""
    hours, of_reference = published_hours(arm), published_hours(reference)
    return hours, hours / of_reference if hours and of_reference else None


def _is_on(front: Front, arm: RunArm) -> bool | None:
    """Whether an arm is on the Pareto front; None where there is none that it could be on."""
    return arm.name in front.names if front.names and arm.name in front.costs else None


def _values(arm: RunArm, reference: RunArm, front: Front) -> dict[str, object]:
    """A row of table.csv, in full precision."""
    hours, published = _published(arm, reference)
    ratio = time_ratio(arm, reference)
    values: dict[str, object] = {
        "arm": arm.name,
        "m": copies_of(arm.config),
        "planned": arm.planned,
        "finished": len(arm.runs),
    }
    values |= means_and_sds(
        arm,
        error=ERROR,
        best_error="saved_test_error",
        seconds="train_seconds",
        validation_seconds="validation_seconds",
        images="rows",
    )
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
