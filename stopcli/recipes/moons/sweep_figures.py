"""The figures over the seeds of `stopcli moons`."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.recipes.arms import seed_figures
from stopcli.recipes.moons.case_figures import seeds_case_figures
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.title import moons_title
from stopcli.report.drawing import Figures
from stopcli.sweeps.plan import JobResult


def sweep_figures(config: MoonsConfig, results: Sequence[JobResult]) -> Figures:
    """Curves, where they stopped and when they were best, and accuracies over the seeds."""
    if config.case_study:
        return seeds_case_figures(config, results)
    return seed_figures(config, results, moons_title(config), best_epochs=True)
