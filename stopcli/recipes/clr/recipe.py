"""The recipe of `stopcli clr`: a training for each policy of the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stopcli.analysis.sweep import SweepResults
from stopcli.recipes.clr.config import ClrConfig
from stopcli.recipes.clr.sweep import sweep_results
from stopcli.recipes.train.recipe import Classifier
from stopcli.report.drawing import Figures
from stopcli.sweeps.plan import JobResult


class Clr(Classifier):
    """Policies of the learning rate against each other and against a fixed rate."""

    config = ClrConfig

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        return sweep_results(config, results)

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        from stopcli.recipes.clr.sweep_figures import sweep_figures

        return sweep_figures(config, results)
