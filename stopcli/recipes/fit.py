"""The recipe of `stopcli fit`: the model, the data and the metrics of a Python file, or the rows of a table."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stopcli.analysis.arm_results import compared_by_headline
from stopcli.analysis.decisions import ComparedValue
from stopcli.analysis.sweep import SweepResults
from stopcli.configs.base import NAME_LENGTH
from stopcli.configs.fit import FitConfig
from stopcli.configs.training import POINT
from stopcli.configs.user_code import CodeTrainingConfig
from stopcli.errors import RequestError
from stopcli.quantities import counted
from stopcli.recipes.base import LoadedConfig, SeedRecipe
from stopcli.recipes.recorded_code import COPIES, read_code
from stopcli.recipes.table import TableNetwork, encoded, read_table_rows
from stopcli.report.before import sentence_of_seeds
from stopcli.report.document import Table
from stopcli.report.drawing import Figures
from stopcli.runs.metrics import Columns
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, JobResult

if TYPE_CHECKING:
    import keras

    from stopcli.data.dataset import Splits
    from stopcli.recipes.loop_choice import LoopChoice
    from stopcli.recipes.table import TableData
    from stopcli.recipes.user_code import UserCode
    from stopcli.recipes.user_data import UserRows
    from stopcli.recipes.user_model import ModelFacts
    from stopcli.runs.folder import RunFolder
    from stopcli.runs.summary import RunSummary
    from stopcli.source import Source
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.session import Observer
    from stopcli.training.step import Schedule
    from stopcli.training.trainer import Experiment

AnySettings = Any
"""CodeSettings with what says which rows train: `validation`, `validation_share`, `data_seed`, `seed`, `threads`."""
AnyCodeConfig = TypeVar("AnyCodeConfig", bound=Any)
AnyTraining = TypeVar("AnyTraining", bound=CodeTrainingConfig)


@dataclass(frozen=True)
class FitData:
    """A file that was executed, or the network that stands for one, and the rows: those of a table, or those that the
    file gives.

    The arms of a sweep may differ in settings of `data()`: rows are read once for each choice of these.
    """

    code: UserCode | TableNetwork
    config: AnySettings
    table: TableData | None = None
    _rows: dict[tuple[str, ...], UserRows] = field(default_factory=dict, repr=False)
    # Runs of a sweep may share it in threads.
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    # The trainable weights of the models that were built, by their ids.
    _weights: dict[int, weakref.ReferenceType[Any]] = field(default_factory=dict, repr=False)

    @property
    def source(self) -> Source | None:
        """The user's file; None where there is none."""
        return getattr(self.code, "source", None)

    @property
    def parts(self) -> Splits:
        """The rows under the settings that the file was loaded with."""
        return self.rows_of(self.config).parts

    def build(self, config: AnySettings, *, for_file: bool = False) -> tuple[keras.Model, ModelFacts]:
        """A run's model in its initial state, and what it is trained for.

        Args:
            for_file: whether it only takes the weights of a file, after training.

        Raises:
            RequestError: it cannot be trained on these rows as it is compiled, or not apart from another one.
        """
        from stopcli.recipes.model_identity import first_names, keep_loss_scaling, notes_on_file
        from stopcli.recipes.user_model import check_model
        from stopcli.training.model_files import ONE_AT_A_TIME

        parts, code = self.rows_of(config).parts, self.code.in_precision(config.precision)
        with ONE_AT_A_TIME, first_names(), code.policy():
            model = code.build(parts.train.x, parts.train.y, config.settings, config.seed)
            facts = check_model(model, parts, config)
            if not for_file:
                self._check_is_new(model)
        keep_loss_scaling(model)
        # A table's own network has nothing but Keras's layers.
        if self.table is not None and not isinstance(self.code, TableNetwork):
            facts = replace(facts, notes=(*facts.notes, *notes_on_file(model)))
        return model, facts

    def _check_is_new(self, model: Any) -> None:
        """Raise RequestError where a model has weights of one that was built before: the measurement of a few steps,
        another seed or a refit would train them."""
        weights: list[Any] = list(model.trainable_variables)
        shared = [str(weight.path) for weight in weights if self._was_built(weight)]
        if shared:
            file = Path(self.config.file).name
            raise RequestError(
                f"{file}: build returned a model with weights of the one before it ({shared[0]})",
                hint="It is called for each model. Make layers within it: all share those at the top of the file.",
            )
        self._weights.update((id(weight), weakref.ref(weight)) for weight in weights)

    def _was_built(self, weight: Any) -> bool:
        known = self._weights.get(id(weight))
        return known is not None and known() is weight

    def rows_of(self, config: AnySettings, observer: Observer | None = None) -> UserRows:
        """The rows in parts, as `data()` gives them under a config's settings.

        Args:
            observer: receives how reading proceeds, where rows come in batches.
        """
        from stopcli.recipes.user_code import UserCode
        from stopcli.recipes.user_data import read_parts
        from stopcli.training.session import NullObserver

        if self.table is not None:
            return self.table.rows
        code = self.code
        assert isinstance(code, UserCode)
        key = tuple(repr(config.settings.get(name)) for name in code.source.settings_of("data"))
        with self._lock:
            if key not in self._rows:
                observer = observer or NullObserver()
                content, origin = code.data(config.settings), f"{Path(config.file).name}, data()"
                self._rows[key] = read_parts(
                    content,
                    config,
                    observer.stage,
                    observer.counted,
                    source=origin,
                    executing=code.executing_data,
                )
            return self._rows[key]


class Fit(SeedRecipe):
    """The model, the data and the metrics of a Python file, or a network on the rows of a table."""

    def title(self, config: FitConfig, dataset: str | None = None) -> str:
        name = config.data_name
        return name if config.arm == config.rules else f"{name}, {config.arm_label(config.arm)}"

    def load(self, config: FitConfig, observer: Observer) -> LoadedConfig:
        """Execute the file or read the table, build and check the model of every arm, and measure what the settings
        leave open."""
        of_table = config.data_setting == "table"
        config, data = load_table(config, observer, self.resumed) if of_table else load_file(config, observer)
        source, rows = data.source, data.rows_of(data.config)
        observer.stage("building the model")
        config = replace(config, name=config.name or _name_of(Path(config.data_name)))
        config, notes, parameters = _checked(config, data)
        description = [*rows.description]
        if config.exact is None:
            config, choice = _with_loop(config, data, parameters, observer)
            description.append(choice.reason)
        train = rows.parts.train
        steps = counted(train.batches(config.batch_size), "step")
        training = f"{counted(config.epochs, 'epoch')} of {steps}, batch {min(config.batch_size, train.count)}"
        return LoadedConfig(
            config,
            data,
            notes=(*rows.notes, *notes, *config.notes_on_rows(rows.parts, POINT)),
            description=(f"Training: {config.data_name}, {training}.", *(f"{line}." for line in description)),
            files={**_copies(source), **(data.table.files() if data.table else {})},
            source=source,
        )

    def check_fits(self, loaded: LoadedConfig, jobs: Sequence[Job[Any]], layout: Layout) -> None:
        from stopcli.recipes.user_data import check_processes_fit

        # Threads share the rows, and Ray's machines have memory of their own.
        if layout.executor == "processes" and jobs:
            check_processes_fit(loaded.data.parts, min(layout.workers, len(jobs)))

    def build(self, loaded: LoadedConfig) -> Experiment:
        """Model and rules of a run."""
        return experiment_of(loaded.config, loaded.data)

    def parts_of(self, loaded: LoadedConfig, config: FitConfig) -> Splits:
        data: FitData = loaded.data
        return data.rows_of(config).parts

    def run_summary(self, loaded: LoadedConfig, experiment: Experiment, evaluation: Evaluation) -> RunSummary:
        """Of a table, with what simpler answers come to on the same test rows."""
        from stopcli.recipes.table_results import with_baselines

        return evaluation.summary if experiment.table is None else with_baselines(experiment, evaluation)

    def run_figures(
        self, config: FitConfig, experiment: Experiment, evaluation: Evaluation, metrics: Columns, steps: Columns | None
    ) -> Figures:
        from stopcli.recipes.fit_results import fit_figures
        from stopcli.recipes.table_results import table_figures

        figures = fit_figures if experiment.table is None else table_figures
        return figures(config, experiment, evaluation, metrics)

    def run_tables(self, experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
        from stopcli.recipes.fit_results import fit_tables
        from stopcli.recipes.table_results import table_tables

        return (fit_tables if experiment.table is None else table_tables)(experiment, evaluation)

    def run_after(self, loaded: LoadedConfig, evaluation: Evaluation, folder: RunFolder) -> tuple[str, ...]:
        """Let the file's `after` write to the run's folder."""
        from stopcli.recipes.fit_results import run_after

        config, data = loaded.config, loaded.data
        code = data.code
        if "after" not in code.functions or isinstance(code, TableNetwork):
            return ()
        parts = data.rows_of(config).parts
        return run_after(lambda path: code.after(evaluation.model, parts, path, config.settings), folder)

    def sweep_results(self, config: FitConfig, results: Sequence[JobResult]) -> SweepResults:
        """Of one arm a row for each seed; of several a row for each, with its paired difference to the first."""
        from stopcli.analysis.baseline_results import with_baselines
        from stopcli.recipes.fit_results import fit_sweep_results, with_failures_of_after

        sweep = fit_sweep_results(config, results) if config.vary else super().sweep_results(config, results)
        if sentence := sentence_of_seeds([result.summary for result in results if result.summary is not None]):
            sweep = replace(sweep, conclusions=(*sweep.conclusions, sentence))
        labels = {result.job.arm: config.arm_label(result.job.arm) for result in results}
        return with_baselines(with_failures_of_after(sweep, results), results, labels)

    def compared_value(self, config: FitConfig, results: Sequence[JobResult]) -> ComparedValue | None:
        return compared_by_headline(config, results) if len(config.arms()) > 1 else None

    def sweep_figures(self, config: FitConfig, results: Sequence[JobResult]) -> Figures:
        from stopcli.recipes.fit_results import fit_sweep_figures

        return fit_sweep_figures(config, results) if config.vary else super().sweep_figures(config, results)


def load_file(config: AnyCodeConfig, observer: Observer) -> tuple[AnyCodeConfig, FitData]:
    """Execute the file of a config and read its rows.

    Returns:
        The config with all settings of the file, its hash, and what validates; and the file with its rows.
    """
    from stopcli.recipes.user_code import load_code
    from stopcli.training.tf_setup import start_tensorflow

    source = read_code(config)
    observer.stage("starting TensorFlow")
    start_tensorflow(config.threads)
    observer.stage(f"reading the data of {source.path.name}")
    code = load_code(source, config.precision)
    config = replace(config.with_all_settings(code.settings), code_sha256=source.sha256)
    data = FitData(code, config.first_arm)
    return replace(config, **data.rows_of(data.config, observer).config_changes), data


def load_table(config: FitConfig, observer: Observer, run: Path | None = None) -> tuple[FitConfig, FitData]:
    """Read the table of a config, and execute its file, where there is one.

    Args:
        run: the folder of the run that is resumed.

    Returns:
        The config with all settings of the file, its hash, and what validates; and the rows of the table, with what
        builds their network.
    """
    from stopcli.recipes.user_code import load_code
    from stopcli.training.tf_setup import start_tensorflow

    source = read_code(config) if config.file else None
    # What is wrong with the table is said without TensorFlow.
    rows = read_table_rows(config, observer, run)
    observer.stage("starting TensorFlow")
    start_tensorflow(config.threads)
    table = encoded(rows, config, observer)
    code: UserCode | TableNetwork
    if source is None:
        code = TableNetwork(config, table.columns, table.encoder)
    else:
        code = load_code(source, config.precision)
        config = replace(config.with_all_settings(code.settings), code_sha256=source.sha256)
    return replace(config, **table.rows.config_changes), FitData(code, config.first_arm, table)


def _copies(source: Source | None) -> dict[str, str | bytes]:
    """The texts of the user's file as a run keeps them, by their paths in its folder."""
    return {} if source is None else {f"{COPIES}/{name}": text for name, text in source.files.items()}


def _name_of(file: Path) -> str:
    """A file's name as a run can have it, by which it is found among others."""
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in file.stem)
    return plain.encode()[:NAME_LENGTH].decode(errors="ignore")


def _checked(config: AnyTraining, data: FitData) -> tuple[AnyTraining, tuple[str, ...], int]:
    """A config with what the model measures, notes, and how many numbers the largest model trains, once those of all
    arms were built and checked."""
    arms: Mapping[str, Any] = config.arms()
    # Arms that differ in something else, such as their policy, have one model.
    models = {arm.settings: arm for arm in arms.values()}
    facts_of = {settings: data.build(arm)[1] for settings, arm in models.items()}
    facts = {name: facts_of[arm.settings] for name, arm in arms.items()}
    first = facts[config.reference_arm]
    for name, other in facts.items():
        if other.metrics != first.metrics:
            raise RequestError(
                f"{config.file}: its arms measure different metrics: {config.arm_label(config.reference_arm)} "
                f"{', '.join(first.metrics)}, {config.arm_label(name)} {', '.join(other.metrics)}"
            )
    notes = tuple(dict.fromkeys(note for of_arm in facts.values() for note in of_arm.notes))
    parameters = max(of_arm.parameters for of_arm in facts.values())
    return config.with_model(data.code.code_hash, first.metrics, first.headline.name), notes, parameters


def _with_loop(
    config: AnyTraining, data: FitData, parameters: int, observer: Observer
) -> tuple[AnyTraining, LoopChoice]:
    """A config with the loop that trains the first arm fastest, and whether that gives the same numbers twice, in every
    arm; and how it was chosen: a file's model is tried, a table's own network on a CPU goes by its size.

    Args:
        parameters: how many numbers the largest model trains.
    """
    from stopcli.recipes.loop_choice import choose_loop, loop_of_dense
    from stopcli.training.tf_setup import has_gpu

    if isinstance(data.code, TableNetwork) and config.xla != "no" and not has_gpu():
        choice = loop_of_dense(data.parts, config, config.batch_size, parameters)
        return config.with_loop(choice.loop, choice.xla, exact=choice.exact), choice
    first = config.first_arm
    arms: Mapping[str, Any] = config.arms()
    models = {arm.settings: arm for arm in arms.values() if arm.settings != first.settings}
    others = (experiment_of(arm, data) for arm in models.values() if _may_draw(arm, data))
    choice = choose_loop(experiment_of(first, data), first, observer.stage, others)
    return config.with_loop(choice.loop, choice.xla, exact=choice.exact), choice


def _may_draw(config: AnySettings, data: FitData) -> bool:
    """Whether a run may compute otherwise the second time although that of another arm does not: by code of the user's,
    or on a GPU, of which some operations of Keras's layers are not reproducible."""
    from stopcli.recipes.model_identity import uses_own_code
    from stopcli.training.tf_setup import has_gpu

    return "augment" in data.code.functions or has_gpu() or uses_own_code(data.build(config)[0])


def experiment_of(
    config: CodeTrainingConfig, data: FitData, schedule: Schedule | None = None, momentum: Schedule | None = None
) -> Experiment:
    """Model and rules of a run.

    Args:
        schedule, momentum: of every update, as for CompiledStep.
    """
    from stopcli.recipes.model_identity import loop_key, make_savable, saved_model_loader
    from stopcli.training.compiled_step import CompiledStep
    from stopcli.training.trainer import Experiment

    parts = data.rows_of(config).parts
    model = data.build(config)[0]
    make_savable(model)

    def build_for_file() -> keras.Model:
        return data.build(config, for_file=True)[0]

    step = CompiledStep(model, parts.train, data.code.augment(config.settings), schedule, momentum)
    experiment = Experiment(
        model,
        step.optimizer,
        model.loss,
        (),
        parts,
        config.batch_size,
        config.epochs,
        config.seed,
        config.stop_plan(parts.train.batches(config.batch_size)),
        dataset=config.data_name,
        jit_compile=config.xla == "yes",
        long_epochs=config.loop == "steps",
        headline=config.headline,
        step=step,
        load_saved=saved_model_loader(model, build_for_file),
        loop_key=loop_key(model, config.arm),
        identity=data.code.identity(model),
    )
    return experiment if data.table is None else _from_raw_rows(experiment, data.table, build_for_file)


def _from_raw_rows(experiment: Experiment, table: TableData, build: Callable[[], keras.Model]) -> Experiment:
    """An experiment on encoded rows whose files take rows as they stand in the table."""
    from stopcli.recipes.model_identity import saved_model_loader

    encoder = table.encoder
    return replace(
        experiment,
        classes=table.columns.classes,
        whole=encoder.whole,
        load_saved=saved_model_loader(experiment.model, build, encoder.whole, encoder.core_of),
        check_start=encoder.check_start,
        identity={**experiment.identity, **encoder.identity},
        table=table,
    )
