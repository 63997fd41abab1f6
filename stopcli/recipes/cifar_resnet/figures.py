"""The figures and tables of `stopcli cifar-resnet`."""

from __future__ import annotations

from stopcli.recipes.cifar_resnet.config import CifarResnetConfig
from stopcli.recipes.cifar_resnet.title import resnet_title
from stopcli.recipes.images import results
from stopcli.report.document import Table
from stopcli.report.drawing import Figures
from stopcli.runs.metrics import Columns
from stopcli.training.evaluate import Conclusion
from stopcli.training.experiment import Experiment


def run_figures(
    config: CifarResnetConfig,
    experiment: Experiment,
    conclusion: Conclusion,
    metrics: Columns,
    steps: Columns | None,
) -> Figures:
    """Curves, augmented images, confusions, worst mistakes."""
    title = f"{resnet_title(config, experiment.dataset)}: seed {config.seed}"
    return results.run_figures(config, experiment, conclusion, metrics, steps, title)


def run_tables(config: CifarResnetConfig, experiment: Experiment, conclusion: Conclusion) -> dict[str, Table]:
    """Results by class."""
    return results.run_tables(experiment, conclusion)
