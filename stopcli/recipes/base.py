"""What a recipe is: the parts of an experiment that differ from one command to the next."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stopcli.analysis.sweep import SweepResults
from stopcli.configs.registry import command_classes
from stopcli.report.document import Table
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, JobResult

if TYPE_CHECKING:
    from stopcli.report.drawing import Figures
    from stopcli.runs.metrics import Columns
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.experiment import Experiment
    from stopcli.training.session import Observer


def recipe_of(command: object) -> Recipe:
    """The recipe of a command. Imports neither TensorFlow nor matplotlib.

    Raises:
        ConfigError: there is no such command.
    """
    recipe: Recipe = pkgutil.resolve_name(command_classes(command).recipe)()
    return recipe


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
    """The parts of a command that need its data, TensorFlow or matplotlib; its methods import what they need."""

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
