"""The recipe of `stopcli cutout-sweep`: a training for each number of cutout copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stopcli.analysis.sweep import SweepResults
from stopcli.recipes.cifar_resnet.recipe import CifarResnet
from stopcli.recipes.cutout_sweep.config import CutoutSweepConfig
from stopcli.recipes.cutout_sweep.sweep import sweep_results
from stopcli.report.drawing import Figures
from stopcli.sweeps.plan import JobResult


class CutoutSweep(CifarResnet):
    """Numbers of cutout copies against simple augmentation."""

    config = CutoutSweepConfig

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        return sweep_results(config, results)

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        from stopcli.recipes.cutout_sweep.sweep_figures import sweep_figures

        return sweep_figures(config, results)
