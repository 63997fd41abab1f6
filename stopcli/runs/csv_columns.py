"""Columns of numbers from a CSV file that another program wrote: a row an epoch, or several rows of which each has some
of an epoch's values."""

from __future__ import annotations

import contextlib
import csv
import functools
import itertools
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RequestError, did_you_mean, shortened, system_words
from stopcli.paths import check_path
from stopcli.quantities import counted
from stopcli.runs.headline import base_name, rows_of
from stopcli.stopping.rule import natural_direction

if TYPE_CHECKING:
    from stopcli.runs.metrics import Columns

Mask = NDArray[np.bool_]

_DELIMITERS = ",;\t"
# What programs write where an epoch has no value of a metric: Keras's CSVLogger, pandas, R, databases.
_MISSING = frozenset(("", "na", "n/a", "none", "null", "-", "–"))
# Columns that tell several rows of an epoch apart.
_STEPS = ("step", "global_step", "batch", "iteration", "iter", "update")
# What pandas calls a column without a name, such as the index that `to_csv` writes.
_NAMELESS = re.compile(r"(Unnamed: \d+)?")
# Bytes: some ten million rows, which take a minute to read and a few hundred megabytes.
_MOST_BYTES = 1 << 30
_MOST_EPOCHS = 10_000_000
_ROWS_AT_ONCE, _MOST_AT_ONCE = 1 << 12, 1 << 26
# Of names in an error, letters of them all.
_MOST_LETTERS = 200


@dataclass(frozen=True, eq=False)
class CsvColumns:
    """The content of a CSV file of metrics.

    Attributes:
        columns: by name, `epoch` first, counted from 1, each epoch up to the last one once; NaN where an epoch has no
            value.
        missing: of the columns that lack a value in some epochs, in which.
        notes: what is read otherwise than it is written, a sentence without a full stop each.
    """

    columns: Columns
    missing: Mapping[str, Mask]
    notes: tuple[str, ...]


def read_csv_columns(path: Path) -> CsvColumns:
    """Read a CSV file with a column `epoch`; its delimiter is a comma, a semicolon or a tab.

    Cells that are empty or `NA` are missing values. Rows of one epoch are merged; of several values of a metric, which
    need a column such as `step` beside them, the last counts. Epochs that are counted from 0 are counted from 1.

    Raises:
        RequestError: it cannot be read, is not such a file, or an epoch in it has two values of a metric.
    """
    _check_file(path)
    table = _read_numbers(path) or _read_cells(path)
    notes: list[str] = []
    table = _with_epochs(table, notes)
    metrics = _metrics_of(table, notes)
    return _by_epoch(table, metrics, notes)


def _read_numbers(path: Path) -> _Table | None:
    """The rows of a file of numbers and missing cells, one a line, in half of the time or less; None for any other, and
    for a large one, which is read in parts."""
    if path.stat().st_size > _MOST_AT_ONCE:
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, _, text = file.read().partition("\n")
        delimiter = _delimiter_of(header)
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        values, missing = _numbers(path, text, delimiter)
    except (OSError, ValueError, csv.Error):
        return None
    lines = text.count("\n") + (not text.endswith("\n"))
    # Where a row takes several lines, or none, another reader knows the lines.
    if values.shape != (lines, len(names)):
        return None
    _check_names(path, names)
    return _Table(path, names, np.arange(2, lines + 2), list(values.T.copy()), list(missing.T), {})


def _numbers(path: Path, text: str, delimiter: str) -> tuple[NDArray[np.float64], Mask]:
    """The numbers of a file, shape [rows, columns], and which are missing; `text` follows its first line. Raises
    ValueError where there is anything else."""
    if not text.strip():
        raise ValueError("no row")
    read = functools.partial(np.loadtxt, delimiter=delimiter, comments=None, ndmin=2, encoding="utf-8-sig")
    with contextlib.suppress(ValueError):
        # From the file, which NumPy reads faster than lines.
        values = read(path, skiprows=1)
        return values, np.zeros(values.shape, bool)
    if "nan" in text.casefold():
        raise ValueError("a NaN, which is not missing")
    values = read(_with_nan(text, delimiter).removesuffix("\n").split("\n"))
    return values, np.isnan(values)


def _with_nan(text: str, delimiter: str) -> str:
    """Rows with NaN in cells that are empty or `NA`."""
    rows = f"\n{text}".replace("\r\n", "\n")
    for cell in ("", "NA"):
        # The end of one cell may be the beginning of the next.
        for _ in range(2):
            rows = rows.replace(f"{delimiter}{cell}{delimiter}", f"{delimiter}nan{delimiter}")
        rows = rows.replace(f"{delimiter}{cell}\n", f"{delimiter}nan\n").replace(
            f"\n{cell}{delimiter}", f"\nnan{delimiter}"
        )
    return rows[1:]


def _read_cells(path: Path) -> _Table:
    """The rows of any CSV file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read_table(path, file)
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{path}: not UTF-8 ({error.reason}: byte 0x{error.object[error.start]:02x}), expected a CSV file in UTF-8",
        ) from None
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None
    except csv.Error as error:
        raise RequestError(f"{path}: not a CSV file ({error})") from None


def _check_file(path: Path) -> None:
    """Raise RequestError where a path is not a text file of a size that can be read."""
    check_path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RequestError(f"{path}: not a regular file, expected a CSV file")
        if status.st_size > _MOST_BYTES:
            raise RequestError(
                f"{path}: received {status.st_size:,} bytes, expected a CSV file of at most {_MOST_BYTES:,}",
                hint="A row an epoch is enough: leave out the rows of single steps.",
            )
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RequestError(f"{path}: its encoding is UTF-16, expected UTF-8", hint="Save it as CSV in UTF-8.")
    if b"\0" in start:
        raise RequestError(f"{path}: a binary file, expected a CSV file")
    if not start.strip(b" \t\r\n\xef\xbb\xbf"):
        raise RequestError(f"{path}: an empty file, expected a CSV file with a column epoch")


@dataclass
class _Column:
    """A column as it is read, in parts.

    Attributes:
        text: the first cell that is neither a number nor empty, and its line; None for none.
    """

    values: list[NDArray[np.float64]] = field(default_factory=list)
    missing: list[Mask] = field(default_factory=list)
    text: tuple[int, str] | None = None

    def add(self, cells: Sequence[str], lines: NDArray[np.int64], *, decimal_commas: bool) -> None:
        with contextlib.suppress(ValueError):
            # Most cells are numbers or empty; without a loop in Python.
            present = np.fromiter(map(bool, cells), bool, len(cells))
            values = np.full(len(cells), np.nan)
            values[present] = np.fromiter(map(float, filter(None, cells)), np.float64, int(present.sum()))
            self.values.append(values)
            self.missing.append(~present)
            return
        values, missing = np.full(len(cells), np.nan), np.zeros(len(cells), bool)
        for i, cell in enumerate(cells):
            text = cell.strip()
            if text.casefold() in _MISSING:
                missing[i] = True
                continue
            try:
                values[i] = float(text.replace(",", ".") if decimal_commas else text)
            except ValueError:
                missing[i] = True
                self.text = self.text or (int(lines[i]), cell)
        self.values.append(values)
        self.missing.append(missing)


@dataclass
class _Table:
    """The cells of a file as numbers.

    Attributes:
        names: of its columns.
        lines: in which its rows stand, counted from 1.
        values, missing: by column; text is missing too.
        text: of the columns that have any, the first cell that is neither a number nor empty, and its line.
    """

    path: Path
    names: list[str]
    lines: NDArray[np.int64]
    values: list[NDArray[np.float64]]
    missing: list[Mask]
    text: dict[int, tuple[int, str]]

    def rows(self, selected: Any) -> _Table:
        """With some of its rows."""
        values, missing = [v[selected] for v in self.values], [m[selected] for m in self.missing]
        return _Table(self.path, self.names, self.lines[selected], values, missing, self.text)

    def at(self, line: int, column: int | str) -> str:
        """Where a cell stands, as the beginning of an error."""
        name = column if isinstance(column, str) else self.names[column]
        return f"{self.path}, line {line}, column {name}"


def _read_table(path: Path, file: Iterator[str]) -> _Table:
    """All rows of an open file. Raises RequestError where its rows are not those of a table, or its columns are not
    named."""
    skipped = 0
    first = next(file)
    while not first.strip():
        first, skipped = next(file), skipped + 1
    delimiter = _delimiter_of(first)
    reader = csv.reader(itertools.chain([first], file), delimiter=delimiter, skipinitialspace=True, strict=True)
    names = [name.strip() for name in next(reader)]
    _check_names(path, names)
    columns, lines = [_Column() for _ in names], []
    line = skipped + reader.line_num
    while rows := list(itertools.islice(reader, _ROWS_AT_ONCE)):
        numbers = line + 1 + np.arange(len(rows))
        if skipped + reader.line_num != numbers[-1]:
            # Cells of several lines.
            breaks = [sum(cell.count("\n") for cell in row) for row in rows]
            numbers = numbers + np.cumsum([0, *breaks[:-1]])
        line = skipped + reader.line_num
        rows, numbers = _whole_rows(path, names, rows, numbers)
        lines.append(numbers)
        for column, cells in zip(columns, zip(*rows, strict=True), strict=rows != []):
            column.add(cells, numbers, decimal_commas=delimiter != ",")
    if not sum(map(len, lines)):
        raise RequestError(f"{path}: no row below the names of its columns, expected a row an epoch")
    return _Table(
        path,
        names,
        np.concatenate(lines),
        [np.concatenate(column.values) for column in columns],
        [np.concatenate(column.missing) for column in columns],
        {i: column.text for i, column in enumerate(columns) if column.text},
    )


def _delimiter_of(header: str) -> str:
    """The one by which a line has a column `epoch`, or the most columns."""

    def fit(delimiter: str) -> tuple[bool, int]:
        names = [name.strip().casefold() for name in next(csv.reader([header], delimiter=delimiter), [])]
        return "epoch" in names, len(names)

    return max(_DELIMITERS, key=fit)


def _check_names(path: Path, names: Sequence[str]) -> None:
    if len(names) == 1 and names[0].casefold() != "epoch":
        raise RequestError(
            f"{path}: not a CSV file: its first line, {shortened(names[0])!r}, has no comma, semicolon or tab"
        )
    counts = Counter(name for name in names if name)
    for name, count in counts.items():
        if count > 1:
            raise RequestError(f"{path}: {count} columns have the name {name!r}, expected one")


def _whole_rows(
    path: Path, names: Sequence[str], rows: list[list[str]], lines: NDArray[np.int64]
) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Rows without empty lines. Raises RequestError where one has more or fewer cells than there are names."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    if (lengths == len(names)).all():
        return rows, lines
    written = lengths > 0
    ragged = np.flatnonzero(written & (lengths != len(names)))
    if len(ragged):
        row = int(ragged[0])
        raise RequestError(
            f"{path}, line {lines[row]}: received {counted(int(lengths[row]), 'value')}, expected {len(names)}, as its "
            "first line has names"
        )
    return [row for row in rows if row], lines[written]


def _with_epochs(table: _Table, notes: list[str]) -> _Table:
    """The rows that have an epoch, with its column called `epoch`, in whole numbers that do not fall."""
    column = _epoch_column(table, notes)
    if column in table.text:
        line, cell = table.text[column]
        raise RequestError(f"{table.at(line, column)}: received {shortened(cell)!r}, expected a whole number")
    table.names[column] = "epoch"
    without = table.missing[column]
    if without.all():
        raise RequestError(f"{table.path}: its column epoch is empty")
    if without.any():
        notes.append("rows without an epoch are left out")
        table = table.rows(~without)
    epochs = table.values[column]
    wrong = np.flatnonzero(~((epochs >= 0) & (epochs <= _MOST_EPOCHS) & (epochs % 1 == 0)))
    if len(wrong):
        row = wrong[0]
        expected = f"a whole number from 0 to {_MOST_EPOCHS:,}"
        raise RequestError(f"{table.at(table.lines[row], column)}: received {epochs[row]:g}, expected {expected}")
    falls = np.flatnonzero(np.diff(epochs) < 0)
    if len(falls):
        row = falls[0] + 1
        raise RequestError(
            f"{table.at(table.lines[row], column)}: received {epochs[row]:.0f} after {epochs[row - 1]:.0f}, expected "
            "epochs that do not fall",
            hint="A file holds one run: write several into files of their own.",
        )
    if epochs[0] == 0:
        notes.append("epochs are counted from 0 in the file, and from 1 here")
        table.values[column] = epochs + 1
    return table


def _epoch_column(table: _Table, notes: list[str]) -> int:
    """Which column is the epoch: that of the name, else an index that pandas wrote."""
    for candidates in (["epoch"], [name for name in table.names if name.casefold() == "epoch"]):
        matches = [i for i, name in enumerate(table.names) if name in candidates]
        if len(matches) == 1:
            return matches[0]
    first = table.values[0]
    if _NAMELESS.fullmatch(table.names[0]) and first[0] in (0, 1) and (np.diff(first) == 1).all():
        notes.append("no column is called epoch; the first, which has no name and counts the rows, is taken for it")
        return 0
    names = [name for name in table.names if name]
    listed = ", ".join(names)
    listed = listed if len(listed) <= _MOST_LETTERS else f"{listed[:_MOST_LETTERS]} …"
    near = did_you_mean("epoch", names).removeprefix("Did you mean ").removesuffix("?")
    raise RequestError(
        f"{table.path}: no column is called epoch, expected one beside those that it has: {listed}",
        hint=f"Rename {near} to epoch." if near else "It says after which epoch a row was written, from 0 or from 1.",
    )


def _metrics_of(table: _Table, notes: list[str]) -> list[int]:
    """The columns of numbers beside the epoch."""
    metrics, textual = [], []
    for i, name in enumerate(table.names):
        if name == "epoch" or _NAMELESS.fullmatch(name):
            continue
        if table.missing[i].all():
            textual.append(name)
        elif i in table.text:
            line, cell = table.text[i]
            raise RequestError(f"{table.at(line, i)}: received {shortened(cell)!r}, expected a number")
        else:
            metrics.append(i)
    if textual:
        notes.append(f"columns without a number are left out ({', '.join(textual)})")
    if not metrics:
        raise RequestError(f"{table.path}: no column of numbers beside epoch, expected a metric")
    return metrics


def _by_epoch(table: _Table, metrics: Sequence[int], notes: list[str]) -> CsvColumns:
    """Rows merged by epoch, with a place for each epoch from 1 to the last one."""
    epochs = table.values[table.names.index("epoch")].astype(np.int64)
    starts = np.flatnonzero(np.diff(epochs, prepend=-1))
    _check_single_values(table, epochs, metrics, notes)
    last_rows = {table.names[i]: _last_rows(table.missing[i], starts) for i in metrics}
    recorded = _without_test_epoch(epochs[starts], last_rows)
    count = int(recorded[-1])
    if count > len(recorded):
        first = np.setdiff1d(np.arange(1, count + 1), recorded)[0]
        notes.append(f"epochs without a row are not on record, and rules skip them (the first is {first})")
    columns: Columns = {"epoch": np.arange(1.0, count + 1)}
    missing: dict[str, Mask] = {}
    for i in metrics:
        rows = last_rows[table.names[i]]
        values = np.full(count, np.nan)
        there = recorded[rows >= 0] - 1
        values[there] = table.values[i][rows[rows >= 0]]
        columns[table.names[i]] = values
        if len(there) < count:
            absent = missing[table.names[i]] = np.ones(count, bool)
            absent[there] = False
    notes += _on_losses_that_end(count, missing, columns)
    return CsvColumns(columns, missing, tuple(notes))


def _on_losses_that_end(count: int, missing: Mapping[str, Mask], columns: Collection[str]) -> list[str]:
    """A note where every loss ends before the other metrics do.

    pandas writes NaN as an empty cell, and what is empty was not measured: such a run would count by the last epoch
    before it diverged.
    """
    metrics = [name for name in columns if name != "epoch" and rows_of(name) != "test"]
    last = {name: int(np.max(np.flatnonzero(~missing[name]), initial=-1)) + 1 for name in metrics if name in missing}
    losses = [last.get(name, count) for name in metrics if base_name(name) == "loss"]
    # What has no direction, such as a learning rate, may be on record of an epoch that was interrupted.
    others = [last.get(name, count) for name in metrics if base_name(name) != "loss" and natural_direction(name)]
    is_alone = len(losses) == len(metrics)
    if not losses or max(losses) >= max(others, default=count if is_alone else 0):
        return []
    return [
        f"no loss is on record after epoch {max(losses)}, where training may have diverged: pandas writes NaN as an "
        "empty cell, and with to_csv(na_rep='nan') as what it is"
    ]


def _last_rows(missing: Mask, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of each epoch's last value; -1 where it has none."""
    rows = np.where(missing, -1, np.arange(len(missing)))
    last: NDArray[np.int64] = np.maximum.reduceat(rows, starts)
    return last


def _without_test_epoch(epochs: NDArray[np.int64], last_rows: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """The epochs that were trained, shortened together with `last_rows`: Lightning writes what a test after training
    came to in a row of an epoch of its own, which belongs to the last epoch."""
    tests = [name for name in last_rows if name.startswith("test")]
    metrics = [name for name in last_rows if name not in tests and name.casefold() not in _STEPS]
    if len(epochs) < 2 or not tests or any(last_rows[name][-1] >= 0 for name in metrics):
        return epochs
    for name, rows in last_rows.items():
        shorter = rows[:-1].copy()
        shorter[-1] = max(rows[-2:])
        last_rows[name] = shorter
    return epochs[:-1]


def _check_single_values(table: _Table, epochs: NDArray[np.int64], metrics: Sequence[int], notes: list[str]) -> None:
    """Raise RequestError where an epoch has two values of a metric that no step tells apart."""
    if (np.diff(epochs) > 0).all():
        return
    steps = [i for i in metrics if table.names[i].casefold() in _STEPS]
    repeated = []
    for i in metrics:
        if i in steps:
            continue
        rows = np.flatnonzero(~table.missing[i])
        values = table.values[i][rows]
        differ = (np.diff(values) != 0) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
        (again,) = np.nonzero((np.diff(epochs[rows]) == 0) & differ)
        if not len(again):
            continue
        earlier, later = rows[again], rows[again + 1]
        same_step = np.ones(len(again), bool)
        for step in steps:
            same_step &= table.values[step][earlier] == table.values[step][later]
        if same_step.any():
            conflict = int(same_step.argmax())
            row, before = later[conflict], earlier[conflict]
            raise RequestError(
                f"{table.at(table.lines[row], i)}: received {table.values[i][row]:g} for epoch {epochs[row]}, which "
                f"already has {table.values[i][before]:g}; expected one value an epoch",
                hint="" if steps else "Rows of single steps need a column step beside them.",
            )
        repeated.append(table.names[i])
    if repeated:
        notes.append(f"of several values in an epoch the last counts ({', '.join(repeated)})")
