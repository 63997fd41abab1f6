"""The rows of a CSV file by pandas, and the lines at which they stand."""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import itertools
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.csv_layout import (
    DELIMITERS,
    MISSING,
    MISSING_WORDS,
    NAMELESS,
    CsvLayout,
    encoding_note,
    no_name,
    no_rows,
    opened,
)
from stopcli.data.dataset import OnProgress, ignore_progress
from stopcli.errors import RequestError, in_a_line, system_words
from stopcli.quantities import agreeing, counted

if TYPE_CHECKING:
    import pandas

# Cells of several lines that are looked at in a column.
_MOST_CELLS = 1000
_BYTES_A_REPORT, _MEGABYTE = 1 << 23, 1_000_000
# Files with quotes are read once more in Python to count their short rows: no more than a few seconds.
_MOST_BYTES_IN_PYTHON = 1 << 26


def read_csv(layout: CsvLayout, on_progress: OnProgress) -> tuple[pandas.DataFrame, CsvLayout, tuple[str, ...]]:
    """The rows, the layout with the encoding that the whole file has, and notes. Raises RequestError where a row is
    longer than the first line has names, or the file ends within a quoted cell or a compressed block."""
    notes: list[str] = []
    try:
        frame = _parsed(layout, on_progress)
    except UnicodeDecodeError:
        if layout.encoding != "utf-8":
            raise RequestError(f"{layout.path}: not text in {layout.encoding}, which it begins with") from None
        layout = replace(layout, encoding="cp1252")
        notes.append(encoding_note(layout.path, "cp1252"))
        frame = _parsed(layout, on_progress)
    if not len(frame):
        raise no_rows(layout.path)
    frame = _without_mixtures(layout, frame)
    notes += _short_rows(layout, frame)
    notes += _on_cells_with_rows(layout, frame)
    return _without_nameless(layout, frame, notes), layout, tuple(notes)


def _on_cells_with_rows(layout: CsvLayout, frame: pandas.DataFrame) -> list[str]:
    """A note on cells in which whole rows stand, between two quotation marks that were not meant as such."""
    from pandas.api.types import infer_dtype

    notes = []
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind != "O" or infer_dtype(column, skipna=True) != "string":
            continue
        for row in np.flatnonzero(column.str.contains("\n", regex=False, na=False).to_numpy())[:_MOST_CELLS]:
            inner = column.iloc[row].split("\n")[1:-1]
            if inner and all(line.count(layout.delimiter) == len(layout.names) - 1 for line in inner):
                lines = counted(len(inner), "line")
                where = f"{layout.path.name}, line {csv_line(layout, int(row))}, column {name}"
                notes.append(f"{where}: a cell in quotation marks goes on over {lines} that look like rows")
                break
    return notes


def _without_nameless(layout: CsvLayout, frame: pandas.DataFrame, notes: list[str]) -> pandas.DataFrame:
    """The rows without columns that have no name. Raises RequestError where one has values and is no index."""
    nameless = [name for name in layout.names if name.startswith(NAMELESS)]
    empty = [name for name in nameless if frame[name].isna().all()]
    for name in nameless:
        if name not in empty and name != layout.names[0]:
            raise no_name(layout.path, layout.names.index(name))
    if empty:
        have, are = agreeing(len(empty), "has", "have"), agreeing(len(empty), "it is", "they are")
        columns = counted(len(empty), "column")
        notes.append(f"{columns} of {layout.path.name} {have} neither a name nor values, so {are} left out")
    return frame.drop(columns=nameless) if nameless else frame


def written_cells(layout: CsvLayout, columns: Sequence[str]) -> pandas.DataFrame:
    """Some columns as text, as it stands in the file; NaN where a cell is missing."""
    return _parsed(layout, ignore_progress, columns)


def csv_line(layout: CsvLayout, row: int) -> int:
    """The line, counted from 1, at which a row, counted from 0, begins."""
    return csv_lines(layout, [row])[0]


def csv_lines(layout: CsvLayout, rows: Sequence[int]) -> list[int]:
    """The same of several rows, in any order: the file is read once. Raises RequestError where it does not have as many
    rows any more, or one of them has a cell that Python's csv takes for too long."""
    wanted, lines = set(rows), dict[int, int]()
    try:
        for row, (line, _) in enumerate(itertools.islice(_records(layout), 1, max(wanted, default=-1) + 2)):
            if row in wanted:
                lines[row] = line
    except csv.Error as error:
        raise RequestError(f"{layout.path}: its lines cannot be counted ({error})") from None
    if len(lines) < len(wanted):
        raise RequestError(f"{layout.path}: changed while it was in use")
    return [lines[row] for row in rows]


class _Utf8:
    """A file's bytes in UTF-8, which pandas' parser takes as they are: text would be decoded and encoded again."""

    def __init__(self, layout: CsvLayout, on_progress: OnProgress) -> None:
        self._raw = layout.path.open("rb")
        self._file: Any = gzip.GzipFile(fileobj=self._raw) if layout.gzipped else self._raw
        self._name, self._bytes, self._on_progress = layout.path.name, layout.path.stat().st_size, on_progress
        self._reported = 0
        utf8 = layout.encoding == "utf-8"
        self._decoder = (
            None
            if utf8
            else codecs.getincrementaldecoder(layout.encoding)("replace" if layout.encoding == "cp1252" else "strict")
        )

    def __enter__(self) -> _Utf8:
        return self

    def __exit__(self, *error: object) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._file.read(size)
        done = self._raw.tell()
        # Of a smaller file it would be 0 of 0.
        if self._bytes >= _MEGABYTE and (done - self._reported >= _BYTES_A_REPORT or not content):
            self._reported = done
            self._on_progress(f"reading {self._name}, megabytes", done // _MEGABYTE, self._bytes // _MEGABYTE)
        if self._decoder is None:
            return content
        text = self._decoder.decode(content, final=not content)
        # Nothing would be the end of the file.
        return text.encode() if text or not content else self.read(size)


@contextlib.contextmanager
def _source(layout: CsvLayout, on_progress: OnProgress) -> Iterator[_Utf8 | Path]:
    """What pandas reads: where it can, the path of a file, which it then reads with all cores."""
    if layout.gzipped or layout.encoding != "utf-8":
        with _Utf8(layout, on_progress) as file:
            yield file
        return
    what, size = f"reading {layout.path.name}, megabytes", layout.path.stat().st_size // _MEGABYTE
    if size:
        on_progress(what, 0, size)
    yield layout.path
    if size:
        on_progress(what, size, size)


def _parsed(layout: CsvLayout, on_progress: OnProgress, columns: Sequence[str] = ()) -> pandas.DataFrame:
    """The rows by pandas: with its inference, or some columns as text. Raises UnicodeDecodeError where text is not in
    the layout's encoding."""
    import pandas

    selected = {"usecols": list(columns), "dtype": str} if columns else {}
    cells = (MISSING_WORDS,) * len(layout.names) if columns else layout.missing
    missing: Any = {name: list(cells) for name, cells in zip(layout.names, cells, strict=True)}
    if len(set(cells)) == 1:
        # Of ten thousand columns, pandas takes longer for the dict than for the rows.
        missing = list(cells[0])
    try:
        with _source(layout, on_progress) as source, warnings.catch_warnings():
            warnings.simplefilter("ignore", pandas.errors.DtypeWarning)
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            return pandas.read_csv(
                source,
                sep=layout.delimiter,
                decimal=layout.decimal,
                header=0,
                names=list(layout.names),
                index_col=False,
                skipinitialspace=layout.spaces,
                na_values=missing,
                keep_default_na=False,
                **selected,
            )
    except pandas.errors.EmptyDataError:
        raise no_rows(layout.path) from None
    except (pandas.errors.ParserError, pandas.errors.ParserWarning) as error:
        _check_lengths(layout, empty=False)
        if "Expected" in str(error):
            _check_lengths(layout, empty=True)
        raise _unreadable(layout, error) from None
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{layout.path}: cannot be read ({system_words(error)})") from None


def _records(layout: CsvLayout) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, that with the names first, and the line at which it begins."""
    encoding = layout.encoding
    with (
        opened(layout.path, layout.gzipped) as raw,
        io.TextIOWrapper(raw, encoding=encoding, errors="replace", newline="") as file,
    ):
        reader = csv.reader(file, delimiter=layout.delimiter, skipinitialspace=True)
        line = 1
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1


def _check_lengths(layout: CsvLayout, *, empty: bool) -> None:
    """Raise RequestError where a row has more cells than there are names, with its line.

    Args:
        empty: whether cells count that are empty, which pandas allows from the first row on.
    """
    expected = len(layout.names)
    with contextlib.suppress(csv.Error):
        for line, cells in _records(layout):
            if len(cells) > expected and (empty or any(map(str.strip, cells[expected:]))):
                hint = f"A cell that has {DELIMITERS[layout.delimiter]} in it needs quotes around it."
                if expected == 1:
                    hint = f"Its first line has none of {', '.join(DELIMITERS.values())} between names."
                raise RequestError(
                    f"{layout.path}, line {line}: received {counted(len(cells), 'value')}, expected {expected}, as its "
                    "first line has names",
                    hint=hint,
                )


def _unreadable(layout: CsvLayout, error: Exception) -> RequestError:
    """The error of a file that the parser refuses."""
    if "EOF inside string" in str(error):
        with contextlib.suppress(csv.Error):
            # The last row has the rest of the file in it.
            *_, (line, _) = _records(layout)
            return RequestError(f"{layout.path}, line {line}: a cell begins with a quotation mark and does not end")
    return RequestError(f"{layout.path}: not a CSV file that can be read ({in_a_line(error)})")


def _without_mixtures(layout: CsvLayout, frame: pandas.DataFrame) -> pandas.DataFrame:
    """The rows, where a column that has text has nothing else: pandas infers it for a part of the file at a time. What
    is missing among words is decided by all of them, too."""
    from pandas.api.types import infer_dtype

    mixtures = []
    for name, missing, dtype in zip(layout.names, layout.missing, frame.dtypes, strict=True):
        if dtype.kind != "O":
            continue
        column = frame[name]
        inferred = infer_dtype(column, skipna=True)
        if inferred == "string":
            if missing == MISSING and column.isna().any():
                mixtures.append(name)
        elif inferred not in ("boolean", "empty"):
            mixtures.append(name)
    if not mixtures:
        return frame
    cells = written_cells(layout, mixtures)
    if len(cells) != len(frame):
        raise RequestError(f"{layout.path}: changed while it was read")
    return frame.assign(**{name: cells[name] for name in mixtures})


def _short_rows(layout: CsvLayout, frame: pandas.DataFrame) -> list[str]:
    """A note on rows that have fewer cells than there are names; pandas takes what they lack as missing."""
    last = frame[layout.names[-1]]
    if len(layout.names) == 1 or not last.isna().any():
        return []
    count, line = _short_lines(layout)
    if not count:
        return []
    have = agreeing(count, "has", "have")
    return [
        f"{counted(count, 'row')} of {layout.path.name} {have} fewer values than there are columns (the first is line "
        f"{line}): what is not there is missing"
    ]


def _short_lines(layout: CsvLayout) -> tuple[int, int]:
    """How many rows are short, and the line of the first one."""
    count, first, line = 0, 0, 1
    expected = len(layout.names) - 1
    for block in _blocks(layout):
        content = np.frombuffer(block, np.uint8)
        if layout.encoding not in ("utf-8", "utf-8-sig", "cp1252") or (content == ord('"')).any():
            return _short_records(layout)
        ends = np.flatnonzero(content == ord("\n"))
        delimiters = np.searchsorted(np.flatnonzero(content == ord(layout.delimiter)), ends)
        starts = np.concatenate([[-1], ends[:-1]])
        blank = _blank_lines(content, starts, ends)
        short = np.flatnonzero((np.diff(delimiters, prepend=0) < expected) & ~blank)
        if len(short) and not count:
            first = line + int(short[0])
        count, line = count + len(short), line + len(ends)
    return count, first


def _blank_lines(content: NDArray[np.uint8], starts: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.bool_]:
    lengths = ends - starts - 1
    blank: NDArray[np.bool_] = (lengths == 0) | ((lengths == 1) & (content[ends - 1] == ord("\r")))
    return blank


def _blocks(layout: CsvLayout) -> Iterator[bytes]:
    """A file's content in parts that end with a line."""
    rest = b""
    with opened(layout.path, layout.gzipped) as file:
        while content := file.read(_BYTES_A_REPORT):
            content = rest + content
            end = content.rfind(b"\n") + 1
            rest = content[end:]
            yield content[:end]
    if rest:
        yield rest + b"\n"


def _short_records(layout: CsvLayout) -> tuple[int, int]:
    """As `_short_lines`, of any file; nothing of a large one."""
    if layout.path.stat().st_size > _MOST_BYTES_IN_PYTHON:
        return 0, 0
    try:
        lines = [line for line, cells in _records(layout) if len(cells) < len(layout.names)]
    except csv.Error:
        # Only a note depends on it.
        return 0, 0
    return len(lines), min(lines, default=0)
