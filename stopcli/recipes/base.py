"""What a recipe is: the parts of an experiment that differ from one command to the next."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stopcli.config import RunConfig
from stopcli.errors import ConfigError
from stopcli.report.document import Table
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, JobResult

if TYPE_CHECKING:
    from stopcli.report.drawing import Figures
    from stopcli.runs.metrics import Columns
    from stopcli.training.evaluate import Conclusion
    from stopcli.training.experiment import Experiment
    from stopcli.training.session import Observer

# Command → the module with its config class, the class, and the package with `load`, `build` and `figures`. Names, so
# that nothing is imported before a command is run.
_COMMANDS = {
    "moons": ("stopcli.recipes.moons.config", "MoonsConfig", "stopcli.recipes.moons"),
    "cifar-resnet": ("stopcli.recipes.cifar_resnet.config", "CifarResnetConfig", "stopcli.recipes.cifar_resnet"),
    "train": ("stopcli.recipes.train.config", "TrainConfig", "stopcli.recipes.train"),
    "clr": ("stopcli.recipes.clr.config", "ClrConfig", "stopcli.recipes.clr"),
    "lr-range": ("stopcli.recipes.lr_range.config", "LrRangeConfig", "stopcli.recipes.lr_range"),
    "cutout-sweep": ("stopcli.recipes.cutout_sweep.config", "CutoutSweepConfig", "stopcli.recipes.cutout_sweep"),
}


def config_class(command: object) -> type[RunConfig]:
    """The config class of a command. Imports neither TensorFlow nor matplotlib.

    Raises:
        ConfigError: there is no such command.
    """
    # A config.toml may have anything there, a list too.
    if not isinstance(command, str) or command not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise ConfigError("command", command, f"one of {known}")
    module, name, _ = _COMMANDS[command]
    found: type[RunConfig] = getattr(importlib.import_module(module), name)
    return found


@dataclass(frozen=True)
class Loaded:
    """A config with the data that it names.

    Attributes:
        config: as given, with what only the data could tell filled in.
        data: what the recipe builds from.
        notes: what the user should be told of the data, a sentence without a full stop each.
        words: what will be run, a line each.
        seconds: that reading the data took.
    """

    config: Any
    data: Any
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class SweepResults:
    """What a sweep's runs say together.

    Attributes:
        title: of the report.
        tables: the results, then further ones.
        files: text files of the sweep's folder by name, such as table.csv.
        words: what follows from the results, a sentence or two each.
        summary: what summary.json holds beside what it holds of every sweep.
    """

    title: str
    tables: tuple[Table, ...]
    files: Mapping[str, str]
    words: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)


class Recipe(Protocol):
    """The parts of a command that need its data, TensorFlow or matplotlib."""

    def load(self, config: Any, observer: Observer) -> Loaded:
        """Read the data, before anything is started.

        Raises:
            RequestError: the data are missing, damaged, or not as the config says.
        """

    def build(self, loaded: Loaded) -> Experiment:
        """Model and rules of one run."""

    def run_figures(
        self, config: Any, experiment: Experiment, conclusion: Conclusion, metrics: Columns, steps: Columns | None
    ) -> Figures:
        """How one run's figures are drawn, by name, from its metrics.csv and, where there is one, its steps.csv."""

    def run_tables(self, config: Any, experiment: Experiment, conclusion: Conclusion) -> dict[str, Table]:
        """Tables of one run beside that of its results, by the name of their file."""

    def check_fits(self, loaded: Loaded, jobs: Sequence[Job[Any]], layout: Layout) -> None:
        """Find out, before a sweep's jobs are started, whether they have room.

        Raises:
            RequestError: they have not.
        """

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        """What a sweep's runs say together. Needs neither TensorFlow nor matplotlib."""

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        """How the figures over a sweep's runs are drawn, by name; at least one of them has finished."""


class ModuleRecipe:
    """The recipe of a command, each of its modules imported when it is first needed."""

    def __init__(self, command: str) -> None:
        self._command, self._package = command, _COMMANDS[command][2]

    def load(self, config: Any, observer: Observer) -> Loaded:
        loaded: Loaded = self._module("load").load(config, observer)
        return loaded

    def build(self, loaded: Loaded) -> Experiment:
        built: Experiment = self._module("build").build(loaded)
        return built

    def run_figures(
        self, config: Any, experiment: Experiment, conclusion: Conclusion, metrics: Columns, steps: Columns | None
    ) -> Figures:
        module = self._module("figures")
        figures: Figures = module.run_figures(config, experiment, conclusion, metrics, steps)
        return figures

    def run_tables(self, config: Any, experiment: Experiment, conclusion: Conclusion) -> dict[str, Table]:
        tables: dict[str, Table] = self._module("figures").run_tables(config, experiment, conclusion)
        return tables

    def check_fits(self, loaded: Loaded, jobs: Sequence[Job[Any]], layout: Layout) -> None:
        self._module("sweep").check_fits(loaded, jobs, layout)

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        found: SweepResults = self._module("sweep").sweep_results(config, results)
        return found

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        figures: Figures = self._module("sweep_figures").sweep_figures(config, results)
        return figures

    def _module(self, name: str) -> Any:
        return importlib.import_module(f"{self._package}.{name}")
