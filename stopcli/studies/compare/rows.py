"""A comparison's CSV files: everything in full precision, for further use."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.analysis.arms import RunArm
from stopcli.analysis.results import RunResult
from stopcli.evidence.interval import MeanInterval
from stopcli.studies.compare.judging import Comparison
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.sameness import machine_of, seeds_of
from stopcli.studies.compare.things import first_run

_COST = ("epochs", "updates", "rows", "train_seconds")


def arms_rows(arms: Sequence[RunArm], measure: Measure, comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """A row of table.csv for each arm."""
    by_arm = {(comparison.arm.label, comparison.view): comparison for comparison in comparisons}
    rows = []
    for arm in arms:
        row: dict[str, object] = {"label": arm.label, "command": first_run(arm).command, "runs": len(arm.runs)}
        row |= {"left_out": len(arm.left_out), "seeds": seeds_of(arm)}
        for view in measure.views:
            row |= _interval_values(f"{view}_{measure.name}", arm.interval(measure.value_name(view)))
            row |= _difference_values(f"{view}_difference", by_arm.get((arm.label, view)))
        rows.append({**row, **{f"{name}_mean": arm.mean(name) for name in _COST}, "machine": machine_of(arm)})
    return rows


def _interval_values(name: str, interval: MeanInterval | None) -> dict[str, object]:
    return {f"{name}_{key}": getattr(interval, key, None) for key in ("n", "mean", "sd", "low", "high")}


def _difference_values(name: str, comparison: Comparison | None) -> dict[str, object]:
    difference = comparison.difference if comparison else None
    columns = {"share_higher": "share_above"}
    names = ("paired", "n", "mean", "low", "high", "p", "share_higher", "share_equal", "distinguishable")
    return {
        f"{name}_against": comparison.base.label if comparison and difference else None,
        **{f"{name}_{column}": getattr(difference, columns.get(column, column), None) for column in names},
    }


def runs_rows(arms: Sequence[RunArm], measure: Measure) -> list[dict[str, object]]:
    """A row of runs.csv for each run, also for those that do not count."""
    return [
        _run_row(arm, result, counts, measure)
        for arm in arms
        for results, counts in ((arm.runs, True), (arm.left_out, False))
        for result in results
    ]


def _run_row(arm: RunArm, result: RunResult, counts: bool, measure: Measure) -> dict[str, object]:
    models = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    row: dict[str, object] = {
        "label": arm.label,
        "run": str(result.run.path),
        "seed": result.seed,
        "state": result.run.state,
        "stop_reason": result.reason,
        "counts": counts,
        "measured": result.measured,
        **{f"{view}_{name}": result.model(view).get(name) for view in ("final", "saved") for name in models},
        **{name: result.cost.get(name) for name in _COST},
    }
    # A column of metrics.csv, where that is what is compared.
    return row | {
        f"{view}_{measure.name}": result.value(measure.value_name(view))
        for view in measure.views
        if measure.name not in row and f"{view}_{measure.name}" not in row
    }
