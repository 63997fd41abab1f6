"""The recipe of `stopcli moons`: an MLP that overfits two moons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stopcli.analysis.sweep import SweepResults
from stopcli.configs.moons import MoonsConfig
from stopcli.configs.precision import policy_name
from stopcli.configs.training import POINT
from stopcli.data.dataset import Splits
from stopcli.data.toy import moons, split_moons
from stopcli.recipes.base import LoadedConfig, SeedRecipe, run_marks, val_rows
from stopcli.recipes.case_study import arms_of_run, moons_title, seeds_case_results
from stopcli.report.drawing import Draw, Figures
from stopcli.runs.metrics import Columns
from stopcli.runs.summary import RunSummary
from stopcli.sweeps.plan import JobResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stopcli.training.evaluate import Evaluation, Predict
    from stopcli.training.session import Observer
    from stopcli.training.trainer import Experiment


class Moons(SeedRecipe):
    """An MLP on two moons that overfits, as published, and its case study."""

    shows_best_epochs = True

    def title(self, config: MoonsConfig, dataset: str | None = None) -> str:
        return moons_title(config)

    def load(self, config: MoonsConfig, observer: Observer) -> LoadedConfig:
        """The two moons, split as the config says."""
        rows = moons(config.samples, config.noise, config.data_seed)
        parts = split_moons(rows, config.train_size, config.validation, config.share)
        return LoadedConfig(config, parts, config.notes_on_rows(parts, POINT))

    def build(self, loaded: LoadedConfig) -> Experiment:
        """Model and rules of a run."""
        import keras

        from stopcli.models.layers import make_optimizer
        from stopcli.models.mlp import binary_mlp
        from stopcli.recipes.case_study import CaseStudy
        from stopcli.training.step import BINARY_ACCURACY
        from stopcli.training.trainer import Experiment

        config: MoonsConfig = loaded.config
        precision = policy_name(config.precision)
        model = binary_mlp(loaded.data.train.x.shape[1], config.hidden, config.seed, precision)
        optimizer = make_optimizer(config.optimizer, config.learning_rate, precision=precision)
        loss = keras.losses.BinaryCrossentropy()
        # Compiled only for its file: whoever loads it can evaluate it and train it further.
        model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
        experiment = Experiment(
            model,
            optimizer,
            loss,
            (BINARY_ACCURACY,),
            loaded.data,
            config.batch_size,
            config.epochs,
            config.seed,
            config.stop_plan(loaded.data.train.batches(config.batch_size)),
            dataset="moons",
            jit_compile=True,
        )
        if not config.case_study:
            return experiment
        return replace(experiment, afterwards=CaseStudy(config, experiment, experiment.initial_state()))

    def run_figures(
        self,
        config: MoonsConfig,
        experiment: Experiment,
        evaluation: Evaluation,
        metrics: Columns,
        steps: Columns | None,
    ) -> Figures:
        """The learning curves, and the moons with the boundary of the model that the run leaves."""
        from stopcli.recipes.case_study import case_curves
        from stopcli.report.curves import learning_curves

        summary = evaluation.summary
        figures: dict[str, Draw] = {}
        if len(metrics["epoch"]):
            title = f"{self.title(config)}: seed {config.seed}"
            figures["curves"] = lambda: learning_curves(metrics, val_rows(config), run_marks(config, summary), title)
            if summary.case_study is not None:
                figures["case_study"] = lambda: case_curves(metrics, arms_of_run(summary), val_rows(config), title)
        figures["moons"] = lambda: _moons(config, experiment.parts, evaluation.predict, summary)
        return figures

    def sweep_results(self, config: MoonsConfig, results: Sequence[JobResult]) -> SweepResults:
        """A row for each seed, and mean and spread; of a case study, a row for each published arm."""
        finished = (result.summary for result in results if result.state == "finished" and result.summary)
        summaries = [summary for summary in finished if summary.case_study]
        if not config.case_study or not summaries:
            return super().sweep_results(config, results)
        runs = {summary.seed: arms_of_run(summary) for summary in summaries}
        return seeds_case_results(config, runs, summaries[0].test_rows)

    def sweep_figures(self, config: MoonsConfig, results: Sequence[JobResult]) -> Figures:
        """Curves, where they stopped and when they were best, and accuracies over the seeds."""
        if not config.case_study:
            return super().sweep_figures(config, results)
        from stopcli.recipes.case_study import seeds_case_figures

        return seeds_case_figures(config, results)


def _moons(config: MoonsConfig, parts: Splits, predict: Predict, summary: RunSummary) -> Figure:
    from stopcli.report.images import Points, decision_boundary, grid_around, plain_scatter

    groups = [
        Points("train", parts.train.x, parts.train.y[:, 0], "o"),
        Points("test", parts.test.x, parts.test.y[:, 0], "^"),
    ]
    if parts.test_is_held_out:
        groups.insert(1, Points("validation", parts.validation.x, parts.validation.y[:, 0], "s"))
    every_x = np.concatenate([group.x for group in groups])
    grid = grid_around(every_x)
    points = np.stack([side.ravel() for side in grid], axis=1).astype(np.float32)
    probability = predict(points).reshape(grid[0].shape)
    shown, which = (summary.best, "best") if summary.best else (summary.final, "final")
    scale = " (quick scale)" if config.scale == "quick" else ""
    title = f"Two moons, noise {config.noise:g}{scale}; {which} model, epoch {shown.epoch}: "
    title += f"test accuracy {shown.get('test', 'accuracy'):.3f}"
    if not np.isfinite(probability).all():
        return plain_scatter(groups, f"{title} (its outputs are not finite)")
    return decision_boundary(grid, probability, groups, title)
