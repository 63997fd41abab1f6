"""The rows of a table as a network trains on them, and the network where no file of the user's builds one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.configs.precision import PrecisionName, policy_name
from stopcli.data.dataset import Examples, Splits
from stopcli.data.row_hash import row_hashes
from stopcli.data.table_columns import RawRows, TableColumns, choose_columns, has_target, raw_rows
from stopcli.data.table_file import TableFile, read_table
from stopcli.data.table_leaks import leaks
from stopcli.data.table_parts import RowParts, Split, assign_parts, parse_split
from stopcli.data.table_target import untrained_classes
from stopcli.data.user_rows import arrays_of, as_trained
from stopcli.recipes.table_growth import (
    TRAINED_BEFORE,
    Ancestor,
    check_settings,
    find_ancestor,
    new_rows,
    words_note,
)
from stopcli.recipes.user_data import DEFAULT_TEST_SHARE, DEFAULT_VALIDATION_SHARE, UserRows, few_rows
from stopcli.runs.table_record import PARTS, ROWS_NAME, TABLE_NAME, KnownRows, TableRecord
from stopcli.seeding import derive_seed
from stopcli.training.session import NullObserver

if TYPE_CHECKING:
    import keras

    from stopcli.recipes.table_encoder import Encoder
    from stopcli.source import Value
    from stopcli.training.session import Observer


@dataclass(frozen=True, eq=False)
class TableRows:
    """A table whose columns and rows are known to be such that a network can be trained on them.

    Attributes:
        raw: its values, also of rows without a target, which are in no part.
        split: what says which rows test and validate.
        row_parts: which they are.
        key: the column that the split goes by, where it is no feature.
        hashes: of every row, by which another run knows it; uint64 [rows].
        notes: what the user should be told of them, a sentence without a full stop each.
        ancestor: the run whose columns and statistics these are; None for their own.
    """

    table: TableFile
    columns: TableColumns
    raw: RawRows
    split: Split
    row_parts: RowParts
    key: tuple[str, ...]
    hashes: NDArray[np.uint64]
    notes: tuple[str, ...]
    ancestor: Ancestor | None = None

    def numbers_of(self, part: int) -> NDArray[Any]:
        """The numbers in the table of the rows of a part, from 0; int [rows]."""
        return np.flatnonzero(self.row_parts.part == part)

    @property
    def known_rows(self) -> KnownRows:
        """The rows that this run has in a part, and those that its ancestors had."""
        in_part = self.row_parts.part >= 0
        known = KnownRows.of(self.hashes[in_part], self.row_parts.part[in_part])
        return known if self.ancestor is None else known.after(self.ancestor.known)

    def files(self, statistics: Mapping[str, Any]) -> Mapping[str, str | bytes]:
        """What a run leaves in its folder to know columns and rows again, by file name.

        Args:
            statistics: that its rows are encoded by, plain.
        """
        columns = self.columns
        record = TableRecord(
            str(self.table.path),
            columns.target,
            columns.task,
            columns.classes,
            columns.numbers,
            columns.words,
            columns.unused,
            self.key,
            str(self.split),
            {name: len(self.numbers_of(part)) for part, name in enumerate(PARTS)},
            statistics,
        )
        return {TABLE_NAME: record.text(), ROWS_NAME: self.known_rows.to_bytes()}


@dataclass(frozen=True, eq=False)
class TableData:
    """The same rows as a network takes them.

    Attributes:
        encoder: from a row of the table to one of the network's.
        rows: encoded, in parts; `parts.numbers` are those of the file.
    """

    of_table: TableRows
    encoder: Encoder
    rows: UserRows

    @property
    def table(self) -> TableFile:
        return self.of_table.table

    @property
    def columns(self) -> TableColumns:
        return self.of_table.columns

    @property
    def raw(self) -> RawRows:
        return self.of_table.raw

    @property
    def row_parts(self) -> RowParts:
        return self.of_table.row_parts

    @property
    def parts(self) -> Splits:
        return self.rows.parts

    def trained_before(self) -> Examples | None:
        """The rows of the training part that have trained an ancestor, encoded; None where there are none."""
        numbers = self.of_table.numbers_of(TRAINED_BEFORE)
        return _examples(self.encoder, self.raw, NullObserver(), numbers) if len(numbers) else None

    def files(self) -> Mapping[str, str | bytes]:
        """What a run leaves in its folder to know columns and rows again, by file name."""
        return self.of_table.files(self.encoder.statistics.plain)


def read_table_rows(config: Any, observer: Observer, run: Path | None = None) -> TableRows:
    """Read the table of a config, and choose its columns and parts. Needs no TensorFlow.

    Args:
        config: has TableSettings, and which rows validate.
        run: the folder of the run that is resumed.

    Raises:
        RequestError: it cannot be read, or no network can be trained on it as the settings say.
        ConfigError: a setting names something that it does not have.
    """
    path, ancestor = Path(config.table), find_ancestor(config, run)
    if ancestor is not None:
        check_settings(config, ancestor)
    observer.stage(f"reading {path.name}")
    table = read_table(path, observer.counted)
    chosen = config.split if ancestor is None else ancestor.record.split
    split = parse_split(chosen) if chosen != "auto" else None
    apart = {split.column: f"says which rows test ({chosen})"} if split is not None and split.column else {}
    columns, notes = _columns(table, config, apart) if ancestor is None else ancestor.columns_of(table)
    raw = raw_rows(table, columns) if ancestor is None else ancestor.raw_rows(table, columns)
    split = split or Split("stratified" if columns.task == "classes" else "random")
    validation = _validation_of(config)
    row_parts = assign_parts(
        table,
        split,
        target=columns.target,
        task=columns.task,
        validation_share=_share(config.validation_share, DEFAULT_VALIDATION_SHARE) if validation == "split" else 0.0,
        test_share=_share(config.test_share, DEFAULT_TEST_SHARE),
        seed=config.data_seed,
        used=has_target(table, columns),
    )
    observer.stage(f"comparing the rows of {path.name}")
    hashes = row_hashes(table, columns)
    of_parts = leaks(raw, columns, row_parts.part, hashes)
    if raw.target is not None and columns.task == "classes":
        of_parts += untrained_classes(columns.classes, raw.target, row_parts.part)
    key = tuple(apart)
    hashes = row_hashes(table, columns, key) if key else hashes
    notes = (*table.notes, *notes, *row_parts.notes, *of_parts)
    if ancestor is not None:
        row_parts, of_ancestor = new_rows(ancestor, table, row_parts, hashes, config)
        notes += of_ancestor
    return TableRows(table, columns, raw, split, row_parts, key, hashes, notes, ancestor)


def _columns(table: TableFile, config: Any, apart: Mapping[str, str]) -> tuple[TableColumns, tuple[str, ...]]:
    return choose_columns(
        table,
        target=config.target,
        task=config.task,
        features=config.features,
        ignore=config.ignore,
        categorical=config.categorical,
        apart=apart,
    )


def _validation_of(config: Any) -> str:
    """Which rows validate: a table has none of its own for that, but for those that its split names."""
    return "split" if config.validation == "auto" else str(config.validation)


def _share(share: float | None, default: float) -> float:
    return default if share is None else share


def encoded(read: TableRows, config: Any, observer: Observer) -> TableData:
    """The rows as a network takes them, by the statistics of those that train, or of its ancestor's. Imports Keras."""
    from stopcli.recipes.table_encoder import Encoder, statistics_from, statistics_of

    numbers, ancestor = {name: read.numbers_of(part) for part, name in enumerate(PARTS)}, read.ancestor
    notes = read.notes
    if ancestor is None:
        encoder = Encoder(read.columns, statistics_of(read.raw, read.columns, numbers["train"]))
        # Numbers, which may be large, have none to tell.
        if read.columns.words:
            others = np.concatenate([numbers["validation"], numbers["test"]])
            notes += encoder.notes_on(read.raw.at(others))
    else:
        encoder = Encoder(read.columns, statistics_from(ancestor.record.statistics))
        in_part = read.raw.at(np.concatenate([*numbers.values()]))
        notes += words_note(encoder.unknown_words(in_part), ancestor)
    observer.stage(f"encoding the rows of {read.table.path.name}")
    examples = [_examples(encoder, read.raw, observer, rows) for rows in numbers.values()]
    total = sum(array.nbytes for rows in examples for array in arrays_of(rows))
    train, validation, test = (as_trained(rows, total) for rows in examples)
    validation_rows = _validation_of(config)
    if validation_rows == "test":
        validation = test
    parts = Splits(train, validation, test, numbers)
    changes = {} if validation_rows == config.validation else {"validation": validation_rows}
    how = encoder.description if ancestor is None else (f"Columns and their statistics are those of {ancestor.name}",)
    description = (*filter(None, [read.columns.reason]), *read.row_parts.description, *how)
    notes = (*notes, *encoder.notes, *few_rows(parts))
    return TableData(read, encoder, UserRows(parts, changes, notes, description))


def _examples(encoder: Encoder, raw: RawRows, observer: Observer, rows: NDArray[Any]) -> Examples:
    """Some rows, by their indices, encoded."""
    target = None if raw.target is None else raw.target[rows]
    return Examples(encoder.encode(raw, observer.counted, rows), target)


class TableNetwork:
    """The multilayer perceptron of a table, in the place of a file's functions.

    Attributes:
        functions: of those that a file may define; none.
        code_hash: of a file's code; empty.
    """

    functions: frozenset[str] = frozenset()
    code_hash = ""

    def __init__(self, config: Any, columns: TableColumns, encoder: Encoder) -> None:
        self._config, self._columns, self._encoder = config, columns, encoder

    def in_precision(self, precision: PrecisionName) -> TableNetwork:
        """The same network in another precision."""
        return TableNetwork(replace(self._config, precision=precision), self._columns, self._encoder)

    def policy(self) -> contextlib.AbstractContextManager[None]:
        """Around `build`, as of a file: its layers have their own."""
        return contextlib.nullcontext()

    def build(self, x: Any, y: Any, settings: Mapping[str, Value], seed: int) -> keras.Model:
        """The compiled network in the initial state that a seed determines, its layers named as in a new process.

        Args:
            x, y: the rows that train, encoded.
        """
        import keras

        from stopcli.models.table_mlp import table_mlp
        from stopcli.recipes.model_identity import first_names

        config, is_regression = self._config, self._columns.task == "regression"
        # Not those of these rows: a network that starts from another one's weights has its statistics.
        statistics = self._encoder.statistics
        with first_names():
            keras.utils.set_random_seed(derive_seed(seed, "weights"))
            return table_mlp(
                self._encoder.width,
                self._encoder.vocabulary_sizes,
                0 if is_regression else len(self._columns.classes),
                config.hidden,
                config.dropout,
                config.learning_rate,
                statistics.target_mean,
                statistics.target_deviation,
                policy_name(config.precision),
            )

    def augment(self, settings: Mapping[str, Value]) -> None:
        """No rows are changed."""

    def identity(self, model: keras.Model) -> dict[str, str]:
        from stopcli.recipes.model_identity import model_fingerprint

        return {**model_fingerprint(model), "code": ""}
