"""The figures and tables of one training."""

from __future__ import annotations

from stopcli.recipes.images import results
from stopcli.recipes.train.config import TrainConfig
from stopcli.recipes.train.title import train_title
from stopcli.report.document import Table
from stopcli.report.drawing import Figures
from stopcli.runs.metrics import Columns
from stopcli.training.evaluate import Conclusion
from stopcli.training.experiment import Experiment


def run_figures(
    config: TrainConfig, experiment: Experiment, conclusion: Conclusion, metrics: Columns, steps: Columns | None
) -> Figures:
    """Curves with the cycles shaded, the learning rate of every update, and of images what they say beside."""
    title = f"{train_title(config, experiment.dataset)}: seed {config.seed}"
    return results.run_figures(config, experiment, conclusion, metrics, steps, title)


def run_tables(config: TrainConfig, experiment: Experiment, conclusion: Conclusion) -> dict[str, Table]:
    """Results by class, of images."""
    return results.run_tables(experiment, conclusion)
