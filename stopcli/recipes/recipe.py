"""What a recipe is: the parts of an experiment that differ from one command to the next."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from stopcli.config import RunConfig
from stopcli.errors import RequestError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stopcli.runs.metrics import Columns
    from stopcli.training.experiment import Experiment

# Command → the module with its config class, the class, and the package with `build` and `figures`. Names, so that
# nothing is imported before a command is run.
_COMMANDS = {"moons": ("stopcli.recipes.moons.config", "MoonsConfig", "stopcli.recipes.moons")}


def config_class(command: object) -> type[RunConfig]:
    """The config class of a command. Imports neither TensorFlow nor matplotlib.

    Raises:
        RequestError: there is no such command.
    """
    if command not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise RequestError(f"command: received {command!r}, expected one of {known}")
    module, name, _ = _COMMANDS[str(command)]
    found: type[RunConfig] = getattr(importlib.import_module(module), name)
    return found


class Recipe(Protocol):
    """The parts of a command that need TensorFlow or matplotlib."""

    def build(self, config: Any) -> Experiment:
        """Data, model and rules of one run."""

    def run_figures(
        self, config: Any, experiment: Experiment, model: Any, summary: Mapping[str, Any], metrics: Columns
    ) -> dict[str, Figure]:
        """The figures of one run, by name."""

    def sweep_figures(
        self, config: Any, summaries: Sequence[Mapping[str, Any]], metrics: Sequence[Columns]
    ) -> dict[str, Figure]:
        """The figures over a sweep's runs, by name."""


class ModuleRecipe:
    """The recipe of a command, each of its modules imported when it is first needed."""

    def __init__(self, command: str) -> None:
        self._package = _COMMANDS[command][2]

    def build(self, config: Any) -> Experiment:
        built: Experiment = importlib.import_module(f"{self._package}.build").build(config)
        return built

    def run_figures(
        self, config: Any, experiment: Experiment, model: Any, summary: Mapping[str, Any], metrics: Columns
    ) -> dict[str, Figure]:
        module = importlib.import_module(f"{self._package}.figures")
        figures: dict[str, Figure] = module.run_figures(config, experiment, model, summary, metrics)
        return figures

    def sweep_figures(
        self, config: Any, summaries: Sequence[Mapping[str, Any]], metrics: Sequence[Columns]
    ) -> dict[str, Figure]:
        module = importlib.import_module(f"{self._package}.figures")
        figures: dict[str, Figure] = module.sweep_figures(config, summaries, metrics)
        return figures
