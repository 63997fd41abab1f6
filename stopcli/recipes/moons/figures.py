"""The figures of `stopcli moons`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stopcli.data.dataset import Splits
from stopcli.recipes.arms import run_marks, watched_name
from stopcli.recipes.moons.case_tables import arms_of_run
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.title import moons_title
from stopcli.report.document import Table
from stopcli.report.drawing import Draw, Figures
from stopcli.runs.metrics import Columns
from stopcli.training.evaluate import Conclusion, Predict
from stopcli.training.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_figures(
    config: MoonsConfig, experiment: Experiment, conclusion: Conclusion, metrics: Columns, steps: Columns | None
) -> Figures:
    """The learning curves, and the moons with the boundary of the model that the run leaves."""
    from stopcli.recipes.moons.case_figures import case_curves
    from stopcli.report.curves import learning_curves

    summary = conclusion.summary
    figures: dict[str, Draw] = {}
    if len(metrics["epoch"]):
        title = f"{moons_title(config)}: seed {config.seed}"
        figures["curves"] = lambda: learning_curves(metrics, watched_name(config), run_marks(config, summary), title)
        if "case_study" in summary:
            figures["case_study"] = lambda: case_curves(metrics, arms_of_run(summary), watched_name(config), title)
    figures["moons"] = lambda: _moons(config, experiment.parts, conclusion.predict, summary)
    return figures


def run_tables(config: MoonsConfig, experiment: Experiment, conclusion: Conclusion) -> dict[str, Table]:
    """None beside that of the results."""
    return {}


def _moons(config: MoonsConfig, parts: Splits, predict: Predict, summary: Mapping[str, Any]) -> Figure:
    from stopcli.report.images import Points, decision_boundary, grid_around, plain_scatter

    groups = [
        Points("train", parts.train.x, parts.train.y[:, 0], "o"),
        Points("test", parts.test.x, parts.test.y[:, 0], "^"),
    ]
    if parts.test_is_held_out:
        groups.insert(1, Points("validation", parts.validation.x, parts.validation.y[:, 0], "s"))
    every_x = np.concatenate([group.x for group in groups])
    grid = grid_around(every_x)
    places = np.stack([side.ravel() for side in grid], axis=1).astype(np.float32)
    probability = predict(places).reshape(grid[0].shape)
    shown, which = (summary["best"], "best") if summary["best"] else (summary["final"], "final")
    scale = " (quick scale)" if config.scale == "quick" else ""
    title = f"Two moons, noise {config.noise:g}{scale}; {which} model, epoch {shown['epoch']}: "
    title += f"test accuracy {shown['test']['accuracy']:.3f}"
    if not np.isfinite(probability).all():
        return plain_scatter(groups, f"{title} (its outputs are no numbers)")
    return decision_boundary(grid, probability, groups, title)
