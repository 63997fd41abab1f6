"""Tables from files that others wrote: CSV, TSV, Parquet and NPZ, with a name for each column."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stopcli.data.csv_layout import CsvLayout, csv_layout
from stopcli.data.dataset import OnProgress, ignore_progress
from stopcli.data.table_csv import csv_line, csv_lines, read_csv, written_cells
from stopcli.data.table_endings import CSV_ENDINGS, PARQUET_ENDINGS, TABLE_ENDINGS
from stopcli.errors import RequestError, did_you_mean, in_a_line, shown, system_words
from stopcli.paths import check_path
from stopcli.quantities import counted

if TYPE_CHECKING:
    import pandas

# What pandas calls an index without a name in a Parquet file.
_NAMELESS_INDEX = "__index_level_"


class NumberColumn(NamedTuple):
    """A column of numbers: float64 with NaN for missing ones, or whole numbers; and the smallest and the largest."""

    values: NDArray[Any]
    smallest: float
    largest: float


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table as it stands in a file.

    Attributes:
        frame: its rows, counted from 0; the columns' names are texts, and none is there twice. Types are those that
            pandas infers, so that a column with a type for words, or for anything, may have only some.
        notes: what is read otherwise than one may expect, a sentence without a full stop each.
        layout: how a CSV file is written; None for any other.
        numbers: columns of numbers that were checked, by name.
    """

    path: Path
    frame: pandas.DataFrame
    notes: tuple[str, ...] = ()
    layout: CsvLayout | None = None
    _cells: dict[str, pandas.Series] = field(default_factory=dict, repr=False)
    numbers: dict[str, NumberColumn] = field(default_factory=dict, init=False, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the table's order."""
        return tuple(self.frame.columns)

    def written(self, column: str) -> pandas.Series:
        """A column as text, missing cells as NaN: of a CSV file as it stands there, such as `007`, where pandas infers
        the number 7; of any other as Python shows it. Raises RequestError where the file cannot be read again."""
        self.read_cells([column])
        if column in self._cells:
            return self._cells[column]
        codes, values = self.frame[column].factorize()
        texts = np.array([*map(_as_text, values), np.nan], object)
        return type(self.frame[column])(texts[codes], dtype=object)

    def read_cells(self, columns: Sequence[str]) -> None:
        """Read those of some columns again of which `written` needs what stands in the file: all of them at once."""
        if self.layout is None:
            return
        inferred = [name for name in columns if name not in self._cells and _is_inferred(self.frame[name])]
        if inferred:
            cells = written_cells(self.layout, inferred)
            if len(cells) != len(self.frame):
                raise RequestError(f"{self.path}: changed while it was in use")
            self._cells.update({name: cells[name] for name in inferred})


def read_table(path: Path, on_progress: OnProgress = ignore_progress) -> TableFile:
    """Read a table; what its name ends in says what it is.

    Args:
        path: CSV (commas, semicolons, tabs or vertical bars; UTF-8, UTF-16 or cp1252), also compressed with gzip;
            Parquet; or NPZ, whose arrays of shape [rows] are columns by name, and those of shape [rows, k] k columns
            name_0, name_1, ….

    Raises:
        RequestError: it is not there, cannot be read, is not such a file, or has no rows; a column has no name or that
            of another; a row is longer than the first line has names; Parquet without pyarrow.
    """
    _check_is_table(path)
    ending = _ending_of(path)
    if ending in CSV_ENDINGS:
        layout, notes = csv_layout(path)
        frame, layout, more = read_csv(layout, on_progress)
        return TableFile(path, frame, (*notes, *more), layout)
    frame, notes = (_read_parquet if ending in PARQUET_ENDINGS else _read_npz)(path, on_progress)
    if not len(frame) or not len(frame.columns):
        raise RequestError(f"{path}: no rows, expected a table with some")
    return TableFile(path, frame, notes)


def line_of(table: TableFile, row: int) -> int:
    """Where a row, counted from 0, stands: in a CSV file the line, counted from 1, at which it begins; in any other the
    row, counted from 1. Reads a CSV file again until there."""
    return row + 1 if table.layout is None else csv_line(table.layout, row)


def lines_of(table: TableFile, rows: Sequence[int]) -> list[int]:
    """The same of several rows. Raises RequestError, or OSError, where a CSV file is not the one that was read."""
    return [row + 1 for row in rows] if table.layout is None else csv_lines(table.layout, rows)


def cell_at(table: TableFile, row: int, column: str) -> str:
    """Where a cell stands, as the beginning of an error: `houses.csv, line 7, column rooms`."""
    unit = "row" if table.layout is None else "line"
    return f"{table.path}, {unit} {line_of(table, row)}, column {column}"


def _ending_of(path: Path) -> str:
    name = path.name.casefold()
    return next((ending for ending in TABLE_ENDINGS if name.endswith(ending)), "")


def _check_is_table(path: Path) -> None:
    check_path(path)
    if not path.exists():
        folder = path.parent
        beside = [entry.name for entry in folder.iterdir() if _ending_of(entry)] if folder.is_dir() else []
        raise RequestError(f"{path}: no such file", hint=did_you_mean(path.name, beside))
    if path.is_dir():
        raise RequestError(f"{path}: a folder, expected a table ({_endings()})")
    if not path.is_file():
        raise RequestError(f"{path}: not a regular file, expected a table ({_endings()})")
    if not _ending_of(path):
        raise RequestError(
            f"{path}: its name does not say what it is, expected one that ends in {_endings()}",
            hint="A workbook can be saved as CSV." if path.suffix.casefold() in (".xls", ".xlsx", ".ods") else "",
        )


def _endings() -> str:
    return f"{', '.join(TABLE_ENDINGS[:-1])} or {TABLE_ENDINGS[-1]}"


def _read_parquet(path: Path, on_progress: OnProgress) -> tuple[pandas.DataFrame, tuple[str, ...]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        message = f"{path}: Parquet needs pyarrow, which is not installed"
        raise RequestError(message, hint="pip install 'stopcli[tables]'") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_names(path, file.schema_arrow.names)
            groups = []
            for group in range(file.num_row_groups):
                groups.append(file.read_row_group(group))
                on_progress(f"reading {path.name}, parts", group + 1, file.num_row_groups)
        table = pyarrow.concat_tables(groups) if groups else pyarrow.table({})
        frame = _plain(table).to_pandas(ignore_metadata=True)
    except (OSError, pyarrow.ArrowException) as error:
        raise RequestError(f"{path}: not a Parquet file that can be read ({in_a_line(error)})") from None
    index = [name for name in frame.columns if name.startswith(_NAMELESS_INDEX)]
    notes = (f"the index of {path.name} has no name, so it is left out",) if index else ()
    return frame.drop(columns=index), notes


def _plain(table: Any) -> Any:
    """An Arrow table without categories, whose values count, with decimals as numbers, whole ones where they have no
    decimals, and without empty texts, which a CSV file would not have either."""
    import pyarrow

    for i, column in enumerate(table.schema):
        values = before = table[i]
        if pyarrow.types.is_dictionary(column.type):
            values = values.cast(column.type.value_type)
        elif pyarrow.types.is_decimal(column.type):
            values = _from_decimals(values)
        if pyarrow.types.is_string(values.type) or pyarrow.types.is_large_string(values.type):
            values = _without_empty(values)
        if values is not before:
            table = table.set_column(i, column.name, values)
    return table


def _from_decimals(values: Any) -> Any:
    import pyarrow

    if values.type.scale <= 0:
        # Those that databases write whole numbers as; of more digits than int64 has they become floats.
        with contextlib.suppress(pyarrow.ArrowInvalid):
            return values.cast(pyarrow.int64())
    return values.cast(pyarrow.float64())


def _without_empty(texts: Any) -> Any:
    import pyarrow.compute

    is_empty = pyarrow.compute.equal(texts, "")
    if not pyarrow.compute.any(is_empty).as_py():
        return texts
    return pyarrow.compute.if_else(is_empty, pyarrow.scalar(None, texts.type), texts)


def _read_npz(path: Path, on_progress: OnProgress) -> tuple[pandas.DataFrame, tuple[str, ...]]:
    import pandas

    columns: list[tuple[str, NDArray[Any]]] = []
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with path.open("rb") as file:
            arrays: Any = np.load(file, allow_pickle=False)
            if not hasattr(arrays, "files"):
                raise RequestError(f"{path}: a single array, expected arrays by name, as numpy.savez writes them")
            for number, name in enumerate(arrays.files):
                array = _array(path, arrays, name)
                shapes[name] = array.shape
                columns += _columns_of(name, array)
                on_progress(f"reading {path.name}, arrays", number + 1, len(arrays.files))
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise RequestError(f"{path}: not an NPZ file that can be read ({system_words(error)})") from None
    _check_names(path, [name for name, _ in columns])
    _check_lengths(path, shapes)
    return pandas.DataFrame(dict(columns)), ()


def _array(path: Path, arrays: Any, name: str) -> NDArray[Any]:
    """One array. Raises RequestError where it is not of numbers, words, dates or logical values in one or two
    dimensions."""
    try:
        array: NDArray[Any] = arrays[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise RequestError(
            f"{path}, array {name}: received objects, which only pickle could read and which could run code; expected "
            "numbers or words",
            hint="Words are saved as words by array.astype(str).",
        ) from None
    if array.dtype.kind not in "biufUSMm":
        raise RequestError(f"{path}, array {name}: received the type {array.dtype}, expected numbers or words")
    if array.ndim not in (1, 2):
        raise RequestError(
            f"{path}, array {name}: received the shape {array.shape}, expected [rows] or [rows, columns]"
        )
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _columns_of(name: str, array: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    if array.dtype.kind == "U":
        objects = array.astype(object)
        objects[array == ""] = None
        array = objects
    if array.ndim == 1:
        return [(name, array)]
    if array.shape[1] == 1:
        return [(name, array[:, 0])]
    return [(f"{name}_{i}", array[:, i]) for i in range(array.shape[1])]


def _check_lengths(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        first = next(iter(shapes))
        if shape[0] != shapes[first][0]:
            raise RequestError(
                f"{path}: array {first} has {counted(shapes[first][0], 'row')} and array {name} "
                f"{counted(shape[0], 'row')}, expected as many in each"
            )


def _check_names(path: Path, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise RequestError(f"{path}: {counted(count, 'column')} have the name {shown(name)}, expected one")
        if not name:
            raise RequestError(f"{path}: a column has no name, expected one")


def _is_inferred(column: pandas.Series) -> bool:
    """Whether a column has numbers or logical values, which pandas made of texts."""
    from pandas.api.types import infer_dtype

    return column.dtype.kind in "biuf" or (column.dtype == object and infer_dtype(column, skipna=True) == "boolean")


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
