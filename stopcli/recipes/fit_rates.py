"""The model of a Python file under a learning rate that moves: a policy's, those of `stopcli clr`, a range test's."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.configs.classifier import ClassifierConfig
from stopcli.configs.lr_range import LrRangeConfig
from stopcli.configs.training import POINT, StopPlan, large_batch
from stopcli.data.dataset import Splits
from stopcli.recipes.base import LoadedConfig, Recipe
from stopcli.recipes.clr import PolicyComparison
from stopcli.recipes.fit import Fit, FitData, experiment_of, load_file
from stopcli.recipes.moved_rates import check_momentum_moves, check_rate_moves
from stopcli.recipes.recorded_code import COPIES
from stopcli.report.drawing import Figures
from stopcli.runs.metrics import Columns
from stopcli.schedules.policy import policies
from stopcli.stopping import BestEpoch, NonFinite

if TYPE_CHECKING:
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.session import Observer
    from stopcli.training.trainer import Experiment


class FitUnderPolicy(Fit):
    """The model, the data and the optimizer of a Python file, whose learning rate a policy moves."""

    def load(self, config: Any, observer: Observer) -> LoadedConfig:
        """As of a fit. Raises RequestError where the model's learning rate or its momentum cannot be moved."""
        loaded = super().load(config, observer)
        config, data = loaded.config, loaded.data
        model = data.build(config)[0]
        check_rate_moves(model, Path(config.file))
        momentum = ""
        if config.cycle_momentum:
            highest = check_momentum_moves(model, config.min_momentum)
            momentum = f" Momentum {highest:g}, down to {config.min_momentum:g} where the rate is highest."
        notes = config.notes_on_updates(data.parts.train.batches(config.batch_size))
        rates = config.describe_learning_rate()
        description = (loaded.description[0], f"{rates[0].upper()}{rates[1:]}.{momentum}", *loaded.description[1:])
        return replace(loaded, notes=(*loaded.notes, *notes), description=description)

    def build(self, loaded: LoadedConfig) -> Experiment:
        """The experiment of a fit, with the schedule of its policy."""
        from stopcli.schedules.cyclic import CyclicMomentum

        config: ClassifierConfig = loaded.config
        data: FitData = loaded.data
        policy = policies()[config.lr_policy]
        schedule = policy.schedule(config, data.rows_of(config).parts.train.batches(config.batch_size))
        momentum = None
        if config.cycle_momentum:
            highest = check_momentum_moves(data.build(config)[0], config.min_momentum)
            momentum = CyclicMomentum(schedule, config.min_momentum, highest)
        experiment = experiment_of(config, data, schedule, momentum)
        # What a rate that does not move from update to update begins with.
        experiment.optimizer.learning_rate = config.learning_rate
        return replace(experiment, log_steps=config.logs_steps, plateau=policy.plateau(config))

    def run_figures(
        self, config: Any, experiment: Experiment, evaluation: Evaluation, metrics: Columns, steps: Columns | None
    ) -> Figures:
        """The figures of a fit, and the learning rate of every update."""
        from stopcli.report.learning_rates import learning_rate_by_step

        figures = dict(super().run_figures(config, experiment, evaluation, metrics, steps))
        if steps is not None and len(steps["step"]):
            figures["learning_rate"] = lambda: learning_rate_by_step(steps, config.describe_learning_rate())
        return figures


class FitClr(PolicyComparison, FitUnderPolicy):
    """Policies of the learning rate against each other and against a fixed rate, with the model of a Python file."""


class FitLrRange(Recipe):
    """The range test of the model of a Python file."""

    def load(self, config: LrRangeConfig, observer: Observer) -> LoadedConfig:
        """Execute the file, read its rows, and build and check its model. Raises RequestError where its learning rate
        cannot be moved."""
        config, data = load_file(config, observer)
        source, rows = data.source, data.rows_of(data.config)
        assert source is not None
        observer.stage("building the model")
        model, facts = data.build(config)
        check_rate_moves(model, source.path)
        train = rows.parts.train
        large = large_batch(config, train.count, POINT)
        return LoadedConfig(
            replace(config, code_hash=source.code_hash),
            data,
            notes=(*rows.notes, *facts.notes, *filter(None, [large])),
            description=(
                f"Range test: {source.path.name}, {config.updates(train.batches(config.batch_size))} updates, "
                f"batch {min(config.batch_size, train.count)}, {config.describe_optimizer()}, "
                f"{config.describe_ramp()}; it stops where the smoothed loss is {config.stop_factor:g} times its "
                "lowest.",
                *(f"{line}." for line in rows.description),
            ),
            files={f"{COPIES}/{name}": text for name, text in source.files.items()},
            source=source,
        )

    def build(self, loaded: LoadedConfig) -> Experiment:
        """The model of one seed, with a learning rate that rises from update to update. Only its loss is of interest,
        on the rows that it trains on."""
        from stopcli.recipes.model_identity import loop_key
        from stopcli.schedules.cyclic import RampLR
        from stopcli.training.compiled_step import CompiledStep
        from stopcli.training.trainer import Experiment

        config: LrRangeConfig = loaded.config
        data: FitData = loaded.data
        train = data.parts.train
        model, facts = data.build(config)
        steps_per_epoch, unmeasured = train.batches(config.batch_size), train.take(0, 0)
        updates = config.updates(steps_per_epoch)
        schedule = RampLR(config.start_lr, config.end_lr, updates, config.ramp)
        return Experiment(
            model,
            model.optimizer,
            model.loss,
            (),
            Splits(train, unmeasured, unmeasured),
            config.batch_size,
            math.ceil(updates / steps_per_epoch),
            config.seed,
            StopPlan(NonFinite(("loss",)), BestEpoch("loss", "auto")),
            dataset=Path(config.file).name,
            # So few updates take less time than compiling them.
            jit_compile=False,
            long_epochs=True,
            log_steps=True,
            headline=facts.headline,
            step=CompiledStep(model, train, data.code.augment(config.settings), schedule),
            loop_key=loop_key(model, config.arm),
        )
