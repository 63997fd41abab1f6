"""A table that grows: what a run takes over from the one whose model it starts from, and which rows are new to both.

A network goes on only with the numbers that it was trained on. So a run that starts from the model of another run of a
table has that one's columns, classes and statistics, whatever the table has become.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.table_columns import RawRows, TableColumns, has_target, raw_rows
from stopcli.data.table_file import line_of
from stopcli.errors import ConfigError, NothingNewError, RequestError, did_you_mean
from stopcli.quantities import agreeing, counted, first_few
from stopcli.runs.ancestry import run_of
from stopcli.runs.files import read_toml
from stopcli.runs.folder import check_is_run
from stopcli.runs.run import Run, run_argument
from stopcli.runs.summary import FOREIGN
from stopcli.runs.table_record import (
    PARTS,
    ROWS_NAME,
    TABLE_NAME,
    TRAINED,
    VALIDATED,
    KnownRows,
    TableRecord,
    read_known_rows,
    read_table_record,
)

if TYPE_CHECKING:
    from stopcli.data.table_file import TableFile
    from stopcli.data.table_parts import RowParts

TRAIN, VALIDATION, TEST = 0, 1, 2
# In the place of a part: rows of the training part that have trained an ancestor.
TRAINED_BEFORE = -2
# What a run takes over where it is not given: which rows are which, what is predicted from what, and the network.
_TAKEN_OVER = ("test_share", "validation", "validation_share", "data_seed", "metric", "unit")
_OF_NETWORK = ("hidden", "dropout", "learning_rate")
# States of runs to start from. A time budget ends a night as it was meant to.
_ENDED = ("finished", "paused")
_NEW_RUN = "Without --init-from, a new run starts with the table as it is."


@dataclass(frozen=True, eq=False)
class Ancestor:
    """The run of a table whose model another run starts from; or that other run itself, when it is resumed.

    Attributes:
        folder: of the ancestor.
        known: the rows that it and its own ancestors have seen.
        is_resumed: whether record and rows are those of the run itself, which needs its ancestor no more.
    """

    folder: Path
    record: TableRecord
    known: KnownRows
    is_resumed: bool = False

    @property
    def name(self) -> str:
        """As commands take it."""
        return run_argument(self.folder)

    def columns_of(self, table: TableFile) -> tuple[TableColumns, tuple[str, ...]]:
        """The columns of a table as this run used them, and a note on those that it had not. Raises RequestError where
        one is missing."""
        record = self.record
        features = dict.fromkeys(record.features, "which the model takes") | {record.target: "the target"}
        for name, what in features.items():
            if name not in table.columns:
                message = f"{table.path}: no column {name}, {what}, as {self.name} has it"
                raise RequestError(message, hint=did_you_mean(name, table.columns) or _NEW_RUN)
        others = [str(name) for name in table.columns if name not in features]
        added = [name for name in others if name not in record.unused and name not in record.key]
        unused = {name: record.unused.get(name, f"not among the columns of {self.name}") for name in others}
        columns = TableColumns(record.target, record.task, record.classes, record.numbers, record.words, unused)
        verb = agreeing(len(added), "is", "are")
        notes = [f"{first_few(added)} {verb} not used: {self.name} was trained without"] if added else []
        if absent := int((~has_target(table, columns)).sum()):
            have, are = agreeing(absent, "has", "have"), agreeing(absent, "it is", "they are")
            notes.append(f"{counted(absent, 'row')} {have} no value of {record.target}, so {are} left out")
        return columns, tuple(notes)

    def raw_rows(self, table: TableFile, columns: TableColumns) -> RawRows:
        """The values of a table's rows. Raises RequestError where one is of another kind, or a class is new."""
        try:
            return raw_rows(table, columns)
        except RequestError as error:
            hint = f"{error.hint} The columns and classes are those of {self.name}. {_NEW_RUN}".lstrip()
            raise RequestError(error.message, hint=hint) from None

    def trained(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which rows trained this run or one of its ancestors, other than those that train where it is resumed; bool
        [rows]."""
        trained = (self.known.parts_of(hashes) & TRAINED) > 0
        return trained & ~self.known.is_in("train", hashes) if self.is_resumed else trained


def find_ancestor(config: Any, run: Path | None = None) -> Ancestor | None:
    """What a config with a table takes over; None where it starts from drawn weights, or from a model that is of no run
    of a table.

    Args:
        config: has TableSettings, and those of a run.
        run: the folder of the run that is resumed; it has all that is needed once it has begun.

    Raises:
        RequestError: only new rows are to train, and it cannot be told which these are; or the run's files are damaged.
    """
    if not config.init_from:
        return None
    source = Path(config.init_from)
    if run is not None and (run / TABLE_NAME).is_file() and (run / ROWS_NAME).is_file():
        record = read_table_record(run)
        assert record is not None
        return Ancestor(run_of(source) or source, record, read_known_rows(run), is_resumed=True)
    if config.rows == "new":
        return _checked(source)
    folder = run_of(source)
    record = None if folder is None else read_table_record(folder)
    return None if folder is None or record is None else Ancestor(folder, record, read_known_rows(folder))


def _checked(source: Path) -> Ancestor:
    """The run whose rows are known. Raises RequestError where it is none, has not ended, or is of no table."""
    if source.is_file():
        folder = run_of(source)
        hint = "" if folder is None else f"--init-from {shlex.quote(run_argument(folder))} starts from its saved model."
        raise RequestError(f"{source}: a file, expected a run: only that says which rows it was trained on", hint=hint)
    check_is_run(source)
    run, name = Run.read(source), shlex.quote(run_argument(source))
    if (source / "jobs").is_dir():
        jobs = sorted(path for path in (source / "jobs").iterdir() if path.is_dir())
        hint = f"--init-from {shlex.quote(run_argument(jobs[0]))} starts from the first of them." if jobs else ""
        raise RequestError(f"{source}: a sweep, expected one of its runs", hint=hint)
    record = read_table_record(source)
    if record is None:
        command = run.label("command") or "another command"
        what = "something else than stopcli" if command in FOREIGN else f"{command}, and not on a table"
        raise RequestError(
            f"{source}: a run of {what}, expected one of stopcli fit TABLE: --rows new asks which rows it knows",
            hint="Without --rows new, its weights alone are taken.",
        )
    if run.state not in _ENDED:
        raise RequestError(
            f"{source}: {run.state}, expected a run that has finished, or was paused by a time budget",
            hint=f"stopcli resume {name} trains it to its end; an earlier run of the table can be named instead.",
        )
    return Ancestor(source, record, read_known_rows(source))


def taken_over(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a new run has from its ancestor where it is given no others: which rows are which, what is
    predicted, and the network.

    Args:
        settings: those that are given, by name, unchecked.

    Raises:
        RequestError: only new rows are to train, and the ancestor is no run of a table that has ended.
    """
    source, table = settings.get("init_from"), settings.get("table")
    if not (isinstance(source, str) and source and isinstance(table, str) and table):
        return {}
    if settings.get("rows") == "new":
        ancestor = _checked(Path(source))
        folder, record = ancestor.folder, ancestor.record
    else:
        run = run_of(Path(source))
        known = None if run is None else read_table_record(run)
        if run is None or known is None:
            return {}
        folder, record = run, known
    before = read_toml(folder / "config.toml")
    _check_file(folder, before, settings)
    names = (*_TAKEN_OVER, *(() if settings.get("file") else _OF_NETWORK))
    if settings.get("validation") in ("none", "test"):
        names = tuple(name for name in names if name != "validation_share")
    values = {name: before[name] for name in names if name in before}
    return {**values, "target": record.target, "task": record.task, "split": record.split}


def _check_file(folder: Path, before: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise RequestError where the ancestor's network is that of a Python file, and none is named."""
    file = before.get("file")
    if file and not settings.get("file"):
        table = shlex.quote(str(settings["table"]))
        raise RequestError(
            f"{run_argument(folder)}: its network is that of {file}, which is not named",
            hint=f"stopcli fit {shlex.quote(str(file))} {table} … names it: no file is executed that is not.",
        )


def check_settings(config: Any, ancestor: Ancestor) -> None:
    """Raise ConfigError where a setting contradicts what the ancestor was trained for."""
    record, name = ancestor.record, ancestor.name
    of = f"as {name} has it"
    if config.target != record.target:
        raise ConfigError("target", config.target, f"{record.target}, {of}", hint=_NEW_RUN)
    if config.task not in ("auto", record.task):
        raise ConfigError("task", config.task, f"{record.task}, {of}", hint=_NEW_RUN)
    if config.split not in ("auto", record.split):
        expected = f"{record.split}, {of}: by another one, rows that trained would test"
        raise ConfigError("split", config.split, expected, hint=_NEW_RUN)
    features = record.features
    for setting in ("features", "ignore", "categorical"):
        _check_columns(setting, getattr(config, setting), ancestor, features)
    if config.features and (missing := [feature for feature in features if feature not in config.features]):
        expected = f"{first_few(list(missing))} too, among which {name} predicts from"
        raise ConfigError("features", ", ".join(config.features), expected, hint=_NEW_RUN)


def _check_columns(setting: str, named: Sequence[str], ancestor: Ancestor, features: Sequence[str]) -> None:
    record, name = ancestor.record, ancestor.name
    for column in named:
        if setting == "features" and column not in features:
            hint = did_you_mean(column, features) or _NEW_RUN
            raise ConfigError(setting, column, f"the columns that {name} predicts from", hint=hint)
        if setting == "ignore" and column in features:
            raise ConfigError(setting, column, f"a column that {name} does not predict from", hint=_NEW_RUN)
        if setting == "categorical" and column in record.numbers:
            raise ConfigError(setting, column, f"a column of words: {name} takes it as numbers", hint=_NEW_RUN)


def new_rows(
    ancestor: Ancestor, table: TableFile, row_parts: RowParts, hashes: NDArray[np.uint64], config: Any
) -> tuple[RowParts, tuple[str, ...]]:
    """The parts of a table's rows for a run that starts from an ancestor: with `rows` new, those of the training part
    that trained it or one of its own ancestors are in none.

    Args:
        row_parts: as the split has them.
        hashes: of the rows.

    Returns:
        The parts, and notes.

    Raises:
        RequestError: rows that trained an ancestor would test or validate.
        NothingNewError: no rows are new.
    """
    part, trained = row_parts.part, ancestor.trained(hashes)
    # Of a run that is resumed they were checked; that they are the same rows still is checked by their values.
    if not ancestor.is_resumed:
        _check_untrained(ancestor, table, part, trained)
    notes = (*_validated_before(ancestor, part, hashes), *_paused_before(ancestor))
    if config.rows != "new":
        how = f"The columns, their statistics and the parts of the rows are those of {ancestor.name}"
        return row_parts, (*notes, how)
    is_known = (part == TRAIN) & trained
    new = int((part == TRAIN).sum() - is_known.sum())
    if not new and not ancestor.is_resumed:
        rows = counted(int(is_known.sum()), "row")
        raise NothingNewError(
            f"{table.path}: no new rows: all {rows} that train have trained {ancestor.name} or a run before it",
            hint="There is nothing to do until rows are added; --rows all trains on the old ones again.",
        )
    line = (
        f"{counted(new, 'row')} of the {int((part == TRAIN).sum()):,} in the training part "
        f"{agreeing(new, 'is new and trains', 'are new and train')}; the others trained an earlier run"
    )
    changed = replace(
        row_parts,
        part=np.where(is_known, np.int8(TRAINED_BEFORE), part),
        description=(*row_parts.description, line),
        table=_with_new_rows(row_parts.table, new),
    )
    return changed, notes


def _with_new_rows(parts: Sequence[Mapping[str, Any]], new: int) -> tuple[Mapping[str, Any], ...]:
    """The report's rows by part, with the new ones above all of the training part."""
    rows: list[Mapping[str, Any]] = []
    for row in parts:
        is_training = row["part"] == PARTS[TRAIN]
        rows += [{"part": row["part"], "rows": new}, {**row, "part": "train, earlier too"}] if is_training else [row]
    return tuple(rows)


def _check_untrained(ancestor: Ancestor, table: TableFile, part: NDArray[np.int8], trained: NDArray[np.bool_]) -> None:
    """Raise RequestError where rows that measure or choose a model trained an ancestor of it."""
    for number, verb, why in (
        (TEST, "test", "their score would say nothing of rows that are new"),
        (VALIDATION, "validate", "they would choose an epoch too late"),
    ):
        leaking = np.flatnonzero((part == number) & trained)
        if len(leaking):
            total = int((part == number).sum())
            row = int(table.frame.index[leaking[0]])
            raise RequestError(
                f"{table.path}: {len(leaking):,} of the {counted(total, 'row')} that {verb} trained {ancestor.name} or "
                f"a run before it, the first in line {line_of(table, row)}: {why}",
                hint=f"{_hash_hint(ancestor)} A row's part then stays, whatever is added.",
            )


def _hash_hint(ancestor: Ancestor) -> str:
    if ancestor.record.split.startswith("hash:"):
        return "--test-share, --validation-share and --data-seed have to be those of the earlier runs."
    return "Train the first run with --split hash:COLUMN, by a column that tells rows apart, such as an id."


def _validated_before(ancestor: Ancestor, part: NDArray[np.int8], hashes: NDArray[np.uint64]) -> tuple[str, ...]:
    """A note where rows that test have chosen an ancestor's epoch."""
    tests = part == TEST
    validated = int((tests & ((ancestor.known.parts_of(hashes) & VALIDATED) > 0)).sum())
    if not validated:
        return ()
    verb = agreeing(validated, "row that tests has", f"of the {int(tests.sum()):,} rows that test have")
    return (f"{validated:,} {verb} validated an earlier run, whose epoch they chose",)


def _paused_before(ancestor: Ancestor) -> tuple[str, ...]:
    """A note where the ancestor would have trained its rows further."""
    run = Run.read(ancestor.folder)
    if ancestor.is_resumed or run.state != "paused":
        return ()
    return (f"{ancestor.name} was paused at epoch {run.progress}; the rows that it trained on count as trained",)


def words_note(unknown: Mapping[str, int], ancestor: Ancestor) -> tuple[str, ...]:
    """A note on words that the ancestor has not seen.

    Args:
        unknown: by column, in how many rows.
    """
    if not unknown:
        return ()
    columns = ", ".join(f"{name} in {counted(count, 'row')}" for name, count in unknown.items())
    return (f"words that {ancestor.name} never saw count as unknown: {columns}",)
