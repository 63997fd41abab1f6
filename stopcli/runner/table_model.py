"""The model of a table's run as it can be used on another table: its file, what it takes, and whose code it needs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stopcli.data.table_columns import TableColumns
from stopcli.errors import CheckpointError, ConfigError, RequestError, RunFolderError, in_a_line
from stopcli.recipes.recorded_code import file_of, read_code, with_code
from stopcli.runner.opened import CsvRun, Run, Sweep
from stopcli.runner.opened import open as open_run
from stopcli.runner.resume import read_config
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import Headline
from stopcli.runs.run import run_argument
from stopcli.runs.table_record import TABLE_NAME, TRAINED, VALIDATED, TableRecord, read_table_record
from stopcli.source import Source
from stopcli.training.model_files import load_model, own_code_of

if TYPE_CHECKING:
    import keras

ModelFile = Literal["best", "final", "refit"]
# Runs of a sweep that a message names.
_SHOWN = 6


@dataclass(frozen=True)
class TableModel:
    """The model that a table's run has saved.

    Attributes:
        run: the run's folder.
        name: of the model: `best`, `final` or `refit`.
        file: the .keras file.
        epoch: of the model, or whose number of updates the refit has; 0 where the summary does not say.
        headline: the metric that counts in the run.
        source: the user's file, where the model has code of it and that may be executed.
        notes: what has changed in that file, a sentence without a full stop each.
    """

    run: Path
    name: ModelFile
    file: Path
    epoch: int
    record: TableRecord
    headline: Headline
    source: Source | None = None
    notes: tuple[str, ...] = ()

    @property
    def training_bits(self) -> int:
        """Of KnownRows: what the rows were for that trained it, in this run or an earlier one."""
        return TRAINED | VALIDATED if self.name == "refit" else TRAINED

    @property
    def columns(self) -> TableColumns:
        """What it takes, and what it predicts."""
        record = self.record
        return TableColumns(
            record.target, record.task, record.classes, record.numbers, record.words, dict(record.unused)
        )

    def load(self) -> keras.Model:
        """The model, loaded by Keras in its safe mode; it takes rows as they stand in a table. Imports TensorFlow.

        Raises:
            CheckpointError: it cannot be loaded.
            RequestError: an error in the user's file.
        """
        model = load_model(self.file) if self.source is None else _with_definitions(self.file, self.source)
        takes = set(model.input) if isinstance(model.input, dict) else set()
        if takes != set(self.record.features):
            raise CheckpointError(
                f"{self.file}: does not take the columns that {TABLE_NAME} names: {', '.join(self.record.features)}"
            )
        return model


def open_table_model(run: Path, code: Path | None = None, name: ModelFile | None = None) -> TableModel:
    """The saved model of a run, which is not loaded yet. Needs no TensorFlow.

    Args:
        name: which model; None for that of the best epoch, or where none was saved the final one.
        code: the user's file that may be executed, where the model has code of one; None for the one that the run was
            started with, as it was.

    Raises:
        RunFolderError: it is no run, or has no model.
        RequestError: it is not the run of a table, or a file in it is damaged.
        CheckpointError: the model has code that nobody has named.
    """
    opened = open_run(run)
    if isinstance(opened, Sweep):
        raise _is_sweep(opened)
    record = read_table_record(opened.path) if isinstance(opened, Run) and not isinstance(opened, CsvRun) else None
    if record is None or not isinstance(opened, Run):
        raise _has_no_table(opened)
    if opened.damage:
        raise RunFolderError(f"{opened.path}/{opened.damage}")
    results = opened.results
    if results is None:
        resume = f"stopcli resume {shlex.quote(run_argument(opened.path))}"
        hint = "" if opened.state == "running" else f"{resume} trains it to its end."
        raise RunFolderError(f"{opened.path}: it has no results yet; its state is: {opened.state}", hint=hint)
    name, file = _model_file(opened, name)
    values = {"best": results.best, "final": results.final, "refit": results.refit and results.refit.values}[name]
    source, notes = _code_of(opened, file, code)
    epoch = values.epoch if values else 0
    return TableModel(opened.path, name, file, epoch, record, opened.headline, source, notes)


def _model_file(run: Run, requested: ModelFile | None) -> tuple[ModelFile, Path]:
    folder = RunFolder(run.path)
    files: dict[ModelFile, Path] = {
        "best": folder.best_model,
        "final": folder.final_model,
        "refit": folder.refit_model,
    }
    models = {name: path for name, path in files.items() if path.is_file()}
    name = requested or ("best" if "best" in models else "final")
    if name in models:
        return name, models[name]
    if models:
        raise RunFolderError(f"{run.path}: it has no {name} model", hint=f"It has: {', '.join(models)}.")
    why = "it was trained with --no-checkpoint" if run.settings.get("checkpoint") is False else "it has none"
    raise RunFolderError(f"{run.path}: no model in {folder.checkpoints.name}, because {why}")


def _is_sweep(sweep: Sweep) -> RequestError:
    names = [run_argument(run.path) for run in sweep.runs if run.results is not None]
    if not names:
        return RunFolderError(f"{sweep.path}: a sweep without a finished run")
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return RequestError(
        f"{sweep.path}: a sweep of several models, expected one of its runs: {', '.join(names[:_SHOWN])}{more}",
        hint=f"stopcli show {shlex.quote(run_argument(sweep.path))} says how they did on the rows that validate.",
    )


def _has_no_table(opened: Any) -> RequestError:
    if not isinstance(opened, Run) or isinstance(opened, CsvRun):
        what = f"the results of stopcli {opened.command}" if opened.command else "no run of stopcli's"
        return RequestError(f"{opened.path}: {what}, expected a run of `stopcli fit TABLE --target COLUMN`")
    return RequestError(
        f"{opened.path}: not the run of a table ({TABLE_NAME} missing), so it is not known what its model takes",
        hint=f"In Python, stopcli.open({str(opened.path)!r}).model() is its Keras model: model.predict(x).",
    )


def _code_of(run: Run, file: Path, code: Path | None) -> tuple[Source | None, tuple[str, ...]]:
    """The user's file that the model needs, and notes on it; None where it needs none."""
    own = own_code_of(file)
    if not own:
        if code is not None:
            raise ConfigError("code", str(code), "nothing: the model has no code of yours in it")
        return None, ()
    if "lambda" in own:
        raise CheckpointError(
            f"{file}: the model has a lambda, which is code in the file itself; it is not executed",
            hint="A function with a name, in the file that builds the model, takes its place.",
        )
    config = read_config(run.path)
    if not file_of(config):
        raise CheckpointError(f"{file}: the model needs {', '.join(own)}, and the run has no file that defines it")
    again = f"stopcli predict {shlex.quote(run_argument(run.path))} TABLE"
    try:
        config, notes = with_code(config, code, run=run.path, again=again)
    except RequestError as error:
        raise RequestError(
            f"the model has code of yours ({', '.join(own)}). {error.message}", hint=error.hint
        ) from None
    source = read_code(config)
    return source, notes


def _with_definitions(file: Path, source: Source) -> keras.Model:
    """A model with classes and functions of a user's file, which is executed for them."""
    import keras

    from stopcli.recipes.user_code import load_code

    definitions = load_code(source).definitions
    missing = [name for name in own_code_of(file) if name not in definitions]
    if missing:
        raise CheckpointError(f"{file}: the model needs {', '.join(missing)}, which {source.path} does not define")
    try:
        return keras.saving.load_model(file, custom_objects=definitions, safe_mode=True)
    except MemoryError:
        raise
    # By code of the user's, and by a file that somebody has changed: nearly any error.
    except Exception as error:
        raise CheckpointError(f"{file}: cannot be loaded with {source.path} ({in_a_line(error)})") from error
