"""The figures of `stopcli cutout-sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from stopcli.recipes.arms import arms_of
from stopcli.recipes.cutout_sweep.arms import CutoutArm, pareto_front, reference_of
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig
from stopcli.recipes.run_marks import watched_name
from stopcli.recipes.seed_results import finished_runs
from stopcli.report.arm_figures import ArmCurves, CostPoint, arm_curves, error_against_cost
from stopcli.sweeps.collect import JobResult

# Where the published figure has its horizontal line.
PUBLISHED_LEVEL = 0.06


def sweep_figures(config: CutoutSweepConfig, results: Sequence[JobResult]) -> dict[str, Figure]:
    """The published figure (validation error by epoch, a line for each M), and error against cost."""
    scale = ", quick scale" if config.scale == "quick" else ""
    title = f"ResNet-{config.depth} on {Path(config.dataset).name}, cutout {config.cutout_size}{scale}"
    if config.equal != "epochs":
        title += f"; equal {config.equal}"
    arms = arms_of(results, CutoutArm)
    curves = [_curves(config, arm, results) for arm in arms if arm.runs]
    base, front = reference_of(arms), {arm.name for arm in pareto_front(arms)}
    # Something has finished, or there would be no figures.
    seconds = base.mean("seconds") if base else 1.0
    points = [
        CostPoint(
            arm.label, arm.m, [s / seconds for s in arm.values("seconds")], arm.values("error"), arm.name in front
        )
        for arm in arms
        if arm.runs
    ]
    watched = watched_name(config)
    across = "epoch" if config.equal == "epochs" else "images trained on, copies counted"
    of_base = base.label if base else ""
    return {
        "validation_error": arm_curves(curves, f"{watched} error (1 − accuracy)", across, PUBLISHED_LEVEL, title),
        "cost": error_against_cost(points, f"training time, {of_base} = 1", f"{watched} error at the end", title),
    }


def _curves(config: CutoutSweepConfig, arm: CutoutArm, results: Sequence[JobResult]) -> ArmCurves:
    summaries, metrics = finished_runs([result for result in results if result.job.arm == arm.name])
    # What an epoch counts as on the horizontal axis.
    images = [1 if config.equal == "epochs" else each["rows"]["train"] * each["copies"] for each in summaries]
    return ArmCurves(
        arm.label,
        arm.m,
        [columns["epoch"] * each for columns, each in zip(metrics, images, strict=True)],
        [1 - columns["val_accuracy"] for columns in metrics],
    )
