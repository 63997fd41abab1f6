"""The figures of `stopcli cutout-sweep`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from stopcli.analysis.arms import RunArm
from stopcli.analysis.sweep import reference_of, sweep_arms, with_seeds
from stopcli.quantities import numbered
from stopcli.recipes.arms import watched_name
from stopcli.recipes.cutout_sweep.arms import ERROR, Front, costs_of, front_of
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig, copies_of
from stopcli.report.arm_curves import CostPoint, arm_curves, error_against_cost
from stopcli.report.curves import RunGroup
from stopcli.report.drawing import Figures, drawn_name
from stopcli.sweeps.plan import JobResult

# Where the published figure has its horizontal line.
PUBLISHED_LEVEL = 0.06


def sweep_figures(config: CutoutSweepConfig, results: Sequence[JobResult]) -> Figures:
    """The published figure (validation error by epoch, a line for each M), and error against cost."""
    scale = ", quick scale" if config.scale == "quick" else ""
    title = f"ResNet-{config.depth} on {drawn_name(Path(config.dataset).name)}, cutout {config.cutout_size}{scale}"
    if config.equal != "epochs":
        title += f"; equal {config.equal}"
    arms = sweep_arms(config, results)
    reference = reference_of(config, arms)
    front = front_of(arms, reference)
    finished = [arm for arm in arms if arm.runs]
    by_copies = sorted(finished, key=lambda arm: copies_of(arm.config))
    curves = [_curves(config, arm, with_seeds(arm, arms)) for arm in by_copies]
    points = [_point(arm, reference, front) for arm in finished if costs_of(arm, reference)]
    watched = watched_name(config)
    across = "epoch" if config.equal == "epochs" else "images trained on, copies counted"
    unit = f"{reference.label} of the same seed = 1" if reference.runs else "seconds"
    over = f" over {numbered('seed', front.seeds)}" if front.unequal and front.seeds else ""
    return {
        "validation_error": lambda: arm_curves(
            curves, f"{watched} error (1 − accuracy)", across, PUBLISHED_LEVEL, title, "seen", "error"
        ),
        "cost": lambda: error_against_cost(
            points, f"training time, {unit}", f"{watched} error at the end", title, over
        ),
    }


def _point(arm: RunArm, reference: RunArm, front: Front) -> CostPoint:
    costs, errors = costs_of(arm, reference), arm.by_seed(ERROR)
    shown = front.seeds if arm.name in front.costs else tuple(costs)
    return CostPoint(
        arm.label,
        arm.index,
        list(costs.values()),
        [errors[seed] for seed in costs],
        (statistics.fmean(costs[seed] for seed in shown), statistics.fmean(errors[seed] for seed in shown)),
        arm.name in front.names,
    )


def _curves(config: CutoutSweepConfig, arm: RunArm, label: str) -> RunGroup:
    runs = []
    for result in arm.runs:
        # What an epoch counts as on the horizontal axis.
        images = 1.0 if config.equal == "epochs" else result.cost["rows"] / result.cost["epochs"]
        columns = result.run.metrics
        runs.append({"seen": columns["epoch"] * images, "error": 1 - columns["val_accuracy"]})
    return RunGroup(label, arm.index, runs)
