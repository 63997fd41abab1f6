"""The figures over the seeds of `stopcli cifar-resnet`."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.recipes.arms import seed_figures
from stopcli.recipes.cifar_resnet.config import CifarResnetConfig
from stopcli.recipes.cifar_resnet.title import resnet_title
from stopcli.report.drawing import Figures
from stopcli.sweeps.plan import JobResult


def sweep_figures(config: CifarResnetConfig, results: Sequence[JobResult]) -> Figures:
    """Curves and accuracies over the seeds."""
    return seed_figures(config, results, resnet_title(config, config.dataset), best_epochs=False)
