"""A comparison's CSV files: everything in full precision, for those who go on elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.evidence.interval import MeanInterval
from stopcli.studies.compare.judging import Comparison, moments_of
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.outcomes import RunResult
from stopcli.studies.compare.sameness import machine_of, seeds_of
from stopcli.studies.compare.tables import mean_of
from stopcli.studies.compare.things import Arm


def arms_rows(arms: Sequence[Arm], measure: Measure, comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """A row of table.csv for each arm, in full precision."""
    by_arm = {(comparison.arm.label, comparison.view): comparison for comparison in comparisons}
    rows = []
    for arm in arms:
        run = arm.first
        row: dict[str, object] = {"label": arm.label, "command": run.command, "runs": len(arm.outcomes)}
        row |= {"left_out": len(arm.left_out), "seeds": seeds_of(arm)}
        for view in measure.views:
            row |= _view_values(f"{view}_{measure.name}", moments_of(arm, measure, view))
            row |= _difference_values(f"{view}_difference", by_arm.get((arm.label, view)))
        for name in ("epochs", "updates", "rows", "train_seconds"):
            row[f"{name}_mean"] = mean_of(arm, name)
        rows.append({**row, "machine": machine_of(arm)})
    return rows


def _view_values(name: str, moments: MeanInterval | None) -> dict[str, object]:
    return {f"{name}_{key}": getattr(moments, key) if moments else None for key in ("n", "mean", "sd", "low", "high")}


def _difference_values(name: str, comparison: Comparison | None) -> dict[str, object]:
    found = comparison.found if comparison else None
    return {
        f"{name}_against": comparison.base.label if comparison and found else None,
        f"{name}_paired": found.paired if found else None,
        f"{name}_n": found.n if found else None,
        f"{name}_mean": found.mean if found else None,
        f"{name}_low": found.low if found else None,
        f"{name}_high": found.high if found else None,
        f"{name}_p": found.p if found else None,
        f"{name}_share_higher": found.share_above if found else None,
        f"{name}_share_equal": found.share_equal if found else None,
        f"{name}_distinguishable": found.distinguishable if found else None,
    }


def runs_rows(arms: Sequence[Arm], measure: Measure) -> list[dict[str, object]]:
    """A row of runs.csv for each run, in full precision, also those that do not count."""
    return [
        _run_row(arm, outcome, counts, measure)
        for arm in arms
        for outcomes, counts in ((arm.outcomes, True), (arm.left_out, False))
        for outcome in outcomes
    ]


def _run_row(arm: Arm, outcome: RunResult, counts: bool, measure: Measure) -> dict[str, object]:
    models = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    row: dict[str, object] = {
        "label": arm.label,
        "run": str(outcome.run.path),
        "seed": outcome.run.seed,
        "state": outcome.run.state,
        "stop_reason": outcome.reason,
        "counts": counts,
        "measured": outcome.measured,
        **{f"final_{name}": outcome.final.get(name) for name in models},
        **{f"saved_{name}": outcome.saved.get(name) for name in models},
        **{name: outcome.cost.get(name) for name in ("epochs", "updates", "rows", "train_seconds")},
    }
    # A column of metrics.csv, where that is what is compared.
    return row | {
        f"{view}_{measure.name}": measure.of(outcome, view)
        for view in measure.views
        if measure.name not in row and f"{view}_{measure.name}" not in row
    }
