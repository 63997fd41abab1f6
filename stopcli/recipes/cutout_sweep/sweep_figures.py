"""The figures of `stopcli cutout-sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stopcli.recipes.cutout_sweep.arms import arms_of, pareto_front, reference_of
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig, copies_of
from stopcli.recipes.run_marks import watched_name
from stopcli.report.arm_figures import ArmCurves, CostPoint, arm_curves, error_against_cost
from stopcli.runs.metrics import Columns
from stopcli.sweeps.collect import JobResult

# Where the published figure has its horizontal line.
PUBLISHED_LEVEL = 0.06


def sweep_figures(config: CutoutSweepConfig, results: Sequence[JobResult]) -> dict[str, Figure]:
    """The published figure (validation error by epoch, a line for each M), and error against cost."""
    scale = ", quick scale" if config.scale == "quick" else ""
    title = f"ResNet-{config.depth} on {Path(config.dataset).name}, cutout {config.cutout_size}{scale}"
    if config.equal != "epochs":
        title += f"; equal {config.equal}"
    arms = arms_of(results)
    curves = []
    for arm in arms:
        of = [result for result in results if result.job.arm == arm.name and result.state == "finished"]
        if of:
            curves.append(ArmCurves(arm.label, arm.m, [_places(config, result) for result in of], _errors(of)))
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


def _places(config: CutoutSweepConfig, result: JobResult) -> NDArray[np.float64]:
    metrics: Columns = result.metrics()
    if config.equal == "epochs":
        return metrics["epoch"]
    summary = result.summary or {}
    images = summary["rows"]["train"] * max(copies_of(result.job.config), 1)
    places: NDArray[np.float64] = metrics["epoch"] * images
    return places


def _errors(results: Sequence[JobResult]) -> list[NDArray[np.float64]]:
    return [1 - result.metrics()["val_accuracy"] for result in results]
