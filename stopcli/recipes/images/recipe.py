"""The recipe of a run on images, which those of single commands build on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stopcli.recipes.arms import SeedRecipe
from stopcli.recipes.base import Loaded
from stopcli.recipes.images.load import load
from stopcli.recipes.images.memory import check_fits
from stopcli.report.document import Table
from stopcli.report.drawing import Figures
from stopcli.runs.metrics import Columns
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job

if TYPE_CHECKING:
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.experiment import Experiment
    from stopcli.training.session import Observer


class ImageRecipe(SeedRecipe):
    """A classifier of images: its data, and what a run says of them."""

    def load(self, config: Any, observer: Observer) -> Loaded:
        return load(config, observer)

    def build(self, loaded: Loaded) -> Experiment:
        """Model, augmentation, schedule and rules of a run."""
        from stopcli.recipes.images.experiment import image_experiment

        return image_experiment(loaded.config, loaded.data)

    def run_figures(
        self, config: Any, experiment: Experiment, evaluation: Evaluation, metrics: Columns, steps: Columns | None
    ) -> Figures:
        """Curves, learning rates by step, augmented images, confusions, worst mistakes."""
        from stopcli.recipes.images.results import run_figures

        title = f"{self.title(config, experiment.dataset)}: seed {config.seed}"
        return run_figures(config, experiment, evaluation, metrics, steps, title)

    def run_tables(self, experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
        """Results by class."""
        from stopcli.recipes.images.results import run_tables

        return run_tables(experiment, evaluation)

    def check_fits(self, loaded: Loaded, jobs: Sequence[Job[Any]], layout: Layout) -> None:
        check_fits(loaded, jobs, layout)
