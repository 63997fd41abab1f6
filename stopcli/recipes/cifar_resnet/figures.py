"""The figures and tables of `stopcli cifar-resnet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from stopcli.recipes.cifar_resnet.config import CifarResnetConfig
from stopcli.recipes.images import results
from stopcli.report.tables import Table
from stopcli.runs.metrics import Columns
from stopcli.training.conclusion import Conclusion
from stopcli.training.experiment import Experiment


def run_figures(
    config: CifarResnetConfig,
    experiment: Experiment,
    conclusion: Conclusion,
    metrics: Columns,
    steps: Columns | None,
) -> dict[str, Figure]:
    """Curves, augmented images, confusions, worst mistakes."""
    title = f"{_title(config, experiment.dataset)}: seed {config.seed}"
    return results.run_figures(config, experiment, conclusion, metrics, steps, title)


def run_tables(config: CifarResnetConfig, experiment: Experiment, conclusion: Conclusion) -> dict[str, Table]:
    """Results by class."""
    return results.run_tables(experiment, conclusion)


def sweep_figures(
    config: CifarResnetConfig, summaries: Sequence[Mapping[str, Any]], metrics: Sequence[Columns]
) -> dict[str, Figure]:
    """Curves and accuracies over the seeds."""
    title = f"{_title(config, config.dataset)}: {len(summaries)} seeds"
    return results.sweep_figures(config, summaries, metrics, title)


def _title(config: CifarResnetConfig, dataset: str) -> str:
    scale = " (quick scale)" if config.scale == "quick" else ""
    return f"ResNet-{config.depth} v1 on {Path(dataset).name}, {config.arm.replace('-', ' ')}{scale}"
