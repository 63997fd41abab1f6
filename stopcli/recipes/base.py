"""What a recipe is: the parts of an experiment that differ from one command to the next."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from stopcli.analysis.sweep import SweepResults
from stopcli.configs.base import RunConfig
from stopcli.errors import ConfigError
from stopcli.report.document import Table
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, JobResult

if TYPE_CHECKING:
    from stopcli.report.drawing import Figures
    from stopcli.runs.metrics import Columns
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.experiment import Experiment
    from stopcli.training.session import Observer

# Command → the module and name of its recipe. Text, so that nothing is imported before a command is run.
RECIPES = {
    "moons": "stopcli.recipes.moons:Moons",
    "cifar-resnet": "stopcli.recipes.classifier:CifarResnet",
    "train": "stopcli.recipes.classifier:Classifier",
    "clr": "stopcli.recipes.clr:Clr",
    "lr-range": "stopcli.recipes.lr_range:LrRange",
    "cutout-sweep": "stopcli.recipes.cutout_sweep:CutoutSweep",
}


def recipe_of(command: object) -> Recipe:
    """The recipe of a command. Imports neither TensorFlow nor matplotlib.

    Raises:
        ConfigError: there is no such command.
    """
    # A config.toml may have anything there, a list too.
    if not isinstance(command, str) or command not in RECIPES:
        raise ConfigError("command", command, f"one of {', '.join(RECIPES)}")
    module, name = RECIPES[command].split(":")
    recipe: Recipe = getattr(importlib.import_module(module), name)()
    return recipe


def config_class(command: object) -> type[RunConfig]:
    """The config class of a command, with the same errors as `recipe_of`."""
    return recipe_of(command).config


@dataclass(frozen=True)
class LoadedConfig:
    """A config with the data that it names.

    Attributes:
        config: as given, with what only the data could tell filled in.
        data: what the recipe builds from.
        notes: what the user should be told of the data, a sentence without a full stop each.
        description: what will be run, a line each.
        seconds: that reading the data took.
    """

    config: Any
    data: Any
    notes: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    seconds: float = 0.0


class Recipe:
    """The parts of a command that need its data, TensorFlow or matplotlib; its methods import what they need.

    Attributes:
        config: the class of its settings.
    """

    config: ClassVar[type[RunConfig]]

    def load(self, config: Any, observer: Observer) -> LoadedConfig:
        """Read the data, before anything is started.

        Raises:
            RequestError: the data are missing, damaged, or not as the config says.
        """
        raise NotImplementedError

    def build(self, loaded: LoadedConfig) -> Experiment:
        """Model and rules of one run."""
        raise NotImplementedError

    def run_figures(
        self, config: Any, experiment: Experiment, evaluation: Evaluation, metrics: Columns, steps: Columns | None
    ) -> Figures:
        """How one run's figures are drawn, by name, from its metrics.csv and, where there is one, its steps.csv."""
        raise NotImplementedError

    def run_tables(self, experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
        """Tables of one run beside that of its results, by the name of their file."""
        return {}

    def check_fits(self, loaded: LoadedConfig, jobs: Sequence[Job[Any]], layout: Layout) -> None:
        """Check, before a sweep's jobs are started, that their batches fit into memory.

        Raises:
            RequestError: they do not.
        """

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        """What a sweep's runs say together. Needs neither TensorFlow nor matplotlib."""
        raise NotImplementedError

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        """How the figures over a sweep's runs are drawn, by name; at least one of them has finished."""
        raise NotImplementedError
