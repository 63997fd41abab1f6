"""What a run of the user's own model leaves, and what a sweep of such runs says together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stopcli.analysis.sweep import SweepResults, seed_results
from stopcli.configs.fit import FitConfig
from stopcli.recipes.base import run_marks
from stopcli.report.document import Table
from stopcli.report.drawing import Figures
from stopcli.runs.metrics import Columns
from stopcli.sweeps.plan import JobResult

if TYPE_CHECKING:
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.trainer import Experiment


def fit_figures(config: FitConfig, experiment: Experiment, evaluation: Evaluation, metrics: Columns) -> Figures:
    """The curves of loss and of the metric that counts."""
    from stopcli.report.curves import learning_curves

    title = f"{Path(config.file).name}: seed {config.seed}"
    marks = run_marks(config, evaluation.summary)
    if not len(metrics["epoch"]):
        return {}
    return {"curves": lambda: learning_curves(metrics, "validation", marks, title, config.headline)}


def fit_tables(experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
    return {}


def fit_sweep_results(config: FitConfig, results: Sequence[JobResult]) -> SweepResults:
    return seed_results(config, results)


def fit_sweep_figures(config: FitConfig, results: Sequence[JobResult]) -> Figures:
    return {}
