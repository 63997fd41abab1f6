"""What a recipe is: the parts of an experiment that differ from command to command; those over seeds."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from stopcli.analysis.decisions import ComparedValue
from stopcli.analysis.sweep import SweepResults, headline_of_runs, seed_results, sweep_arms
from stopcli.configs.base import RunConfig
from stopcli.configs.registry import command_classes
from stopcli.configs.training import TrainingConfig
from stopcli.quantities import counted
from stopcli.report.document import Table, values_figure
from stopcli.report.drawing import Figures
from stopcli.report.run_results import shown_rows
from stopcli.runs.headline import ROWS_IN_WORDS
from stopcli.runs.summary import RunSummary
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, JobResult

if TYPE_CHECKING:
    from stopcli.data.dataset import Splits
    from stopcli.report.curves import Marks
    from stopcli.report.drawing import Figures
    from stopcli.runs.folder import RunFolder
    from stopcli.runs.metrics import Columns
    from stopcli.source import Source
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.session import Observer
    from stopcli.training.trainer import Experiment


def recipe_of(command: object) -> Recipe:
    """The recipe of a command. Imports neither TensorFlow nor matplotlib. Raises ConfigError where there is no such
    command."""
    recipe: Recipe = pkgutil.resolve_name(command_classes(command).recipe)()
    return recipe


def recipe_for(config: RunConfig) -> Recipe:
    """The recipe of a config, with the same imports as `recipe_of`."""
    classes = command_classes(config.command)
    if not (config.is_code and classes.code_recipe):
        return recipe_of(config.command)
    recipe: Recipe = pkgutil.resolve_name(classes.code_recipe)()
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
        files: texts and bytes that each run leaves in its folder when it starts, by their paths there.
        source: the user's file that was executed; None where none was.
    """

    config: Any
    data: Any
    notes: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    seconds: float = 0.0
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    source: Source | None = None


class Recipe:
    """The parts of a command that need its data, TensorFlow or matplotlib; its methods import what they need.

    Attributes:
        resumed: the folder of the run that is resumed; None for a new one.
    """

    resumed: Path | None = None

    def load(self, config: Any, observer: Observer) -> LoadedConfig:
        """Read the data, before anything is started. Raises RequestError where the data are missing, damaged, or not as
        the config says."""
        raise NotImplementedError

    def build(self, loaded: LoadedConfig) -> Experiment:
        """Model and rules of one run."""
        raise NotImplementedError

    def parts_of(self, loaded: LoadedConfig, config: Any) -> Splits:
        """The rows of a run whose settings, such as the arm of a sweep, are a variant of those that were loaded."""
        parts: Splits = getattr(loaded.data, "parts", loaded.data)
        return parts

    def run_summary(self, loaded: LoadedConfig, experiment: Experiment, evaluation: Evaluation) -> RunSummary:
        """The summary of a run that has finished, with what its models are compared with."""
        return evaluation.summary

    def run_figures(
        self, config: Any, experiment: Experiment, evaluation: Evaluation, metrics: Columns, steps: Columns | None
    ) -> Figures:
        """How one run's figures are drawn, by name, from its metrics.csv and, where there is one, its steps.csv."""
        raise NotImplementedError

    def run_tables(self, experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
        """Tables of one run beside that of its results, by the name of their file."""
        return {}

    def run_after(self, loaded: LoadedConfig, evaluation: Evaluation, folder: RunFolder) -> tuple[str, ...]:
        """Run what the user's own code does once a run has finished. Returns warnings, a sentence without a full stop
        each."""
        return ()

    def check_fits(self, loaded: LoadedConfig, jobs: Sequence[Job[Any]], layout: Layout) -> None:
        """Check, before a sweep's jobs are started, that their batches fit into memory. Raises RequestError where they
        do not."""

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        """What a sweep's runs say together. Needs neither TensorFlow nor matplotlib."""
        raise NotImplementedError

    def compared_value(self, config: Any, results: Sequence[JobResult]) -> ComparedValue | None:
        """What a sweep's arms are compared by; None where it has one."""
        return None

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        """How the figures over a sweep's runs are drawn, by name; at least one of them has finished."""
        raise NotImplementedError


def run_marks(config: TrainingConfig, summary: RunSummary) -> Marks:
    """The stop, the best epoch, the saved one, and the value that a rule compares with."""
    # Where tables alone are made, matplotlib need not be there.
    from stopcli.report.curves import marks_of

    return marks_of(summary, _level(config))


def _level(config: TrainingConfig) -> tuple[str, float, str] | None:
    for name in ("threshold", "baseline"):
        value = getattr(config, name)
        if value is not None:
            return config.monitor, value, f"{name} {value:g} on {config.monitor}"
    return None


def which_model(summary: RunSummary) -> str:
    """The model that a run leaves, in words."""
    best = summary.best
    return f"model of epoch {best.epoch} (best)" if best else f"final model, epoch {summary.final.epoch}"


def val_rows(config: TrainingConfig) -> str:
    """What the `val_` metrics were measured on."""
    return "test" if config.validation == "test" else "validation"


class SeedRecipe(Recipe):
    """A recipe whose sweep is one arm with several seeds.

    Attributes:
        shows_best_epochs: whether the figures over seeds also show when the monitored value was best.
    """

    shows_best_epochs: ClassVar[bool] = False

    def title(self, config: Any, dataset: str | None = None) -> str:
        """What the figures are of: the model, its data (as the settings name it, where none is given) and its arm."""
        raise NotImplementedError

    def sweep_results(self, config: Any, results: Sequence[JobResult]) -> SweepResults:
        """A row for each seed, and mean and spread over those that finished."""
        return seed_results(config, results)

    def sweep_figures(self, config: Any, results: Sequence[JobResult]) -> Figures:
        """The curves of all seeds with their spread, where they stopped, and what they came to."""
        from stopcli.report.curves import seed_curves, seed_points

        (arm,) = sweep_arms(config, results)
        summaries = [summary for result in arm.runs if (summary := result.run.results)]
        metrics = [result.run.metrics for result in arm.runs]
        headline = headline_of_runs(summaries)
        rows = shown_rows(summaries, headline)
        title = f"{self.title(config)}: {counted(len(arm.runs), 'seed')}"
        epochs = {"stopped at": arm.values("epochs")}
        if self.shows_best_epochs:
            epochs[f"best {config.monitor}"] = [float(summary.stop.best_epoch) for summary in summaries]
        values = {
            f"{ROWS_IN_WORDS[of]}, final model": arm.values(f"final_{of}_{headline.name}")
            for of in dict.fromkeys(("train", rows))
        }
        if saved := arm.values("saved_epoch"):
            epochs[f"saved (best {config.checkpoint_monitor})"] = saved
            values[f"{ROWS_IN_WORDS[rows]}, saved model"] = arm.values(f"saved_{rows}_{headline.name}")
        return {
            "curves": lambda: seed_curves(
                metrics, val_rows(config), [summary.epochs for summary in summaries], title, headline
            ),
            "stop_epochs": lambda: seed_points(epochs, "epoch", "{:.0f}".format, title),
            values_figure(headline): lambda: seed_points(values, headline.axis, headline.show, title),
        }
