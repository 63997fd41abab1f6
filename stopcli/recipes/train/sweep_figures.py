"""The figures over the seeds of a training."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.recipes.arms import seed_figures
from stopcli.recipes.train.config import TrainConfig
from stopcli.recipes.train.title import train_title
from stopcli.report.drawing import Figures
from stopcli.sweeps.plan import JobResult


def sweep_figures(config: TrainConfig, results: Sequence[JobResult]) -> Figures:
    """Curves and accuracies over the seeds."""
    return seed_figures(config, results, train_title(config, config.dataset), best_epochs=False)
