"""How a CSV file is written: its encoding, its delimiter, its decimal sign and the names of its columns."""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import RequestError, shown, system_words
from stopcli.quantities import counted

if TYPE_CHECKING:
    pass

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# What pandas takes as missing by default.
MISSING = frozenset(
    (
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"),
        *("NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)
# These mean something among other words: Namibia, no basement. R writes NA for a missing word too, which is said.
MEANT_AS_WORDS = frozenset(("NA", "None"))
MISSING_WORDS = MISSING - MEANT_AS_WORDS

_SAMPLE_BYTES, _SAMPLE_ROWS = 1 << 18, 200
_FEWEST_LINES, _MOST_BYTES = 10, 1 << 26

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)
# What may be thousands, and what stands beside them.
_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}([.,]\d{3})")
_FEW_DIGITS = re.compile(r"[+-]?\d{1,3}")
# Begins the names of columns that have none.
NAMELESS = "\0"
_LOGICAL = frozenset(("true", "false"))
# Control characters that no text has.
_BINARY = re.compile(r"[\x00-\x08\x0e-\x19\x1c-\x1f]")

# Of files that are often given in a CSV file's place, how they begin.
_OTHER_FILES = {
    b"PAR1": ("a Parquet file", "Name it .parquet."),
    b"PK\x03\x04": ("a ZIP archive, such as a workbook or an .npz file", "Save the sheet as CSV, or name it .npz."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV."),
    b"\x93NUMPY": ("a single array of NumPy", "Save arrays by name with numpy.savez, as .npz."),
    b"SQLite format 3": ("a database", "Export the table as CSV."),
}


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is written.

    Attributes:
        names: of its columns, in its order. One without a name, which is left out, has NAMELESS and its number.
        encoding: utf-8, utf-8-sig, utf-16, utf-32 or cp1252.
        delimiter: one of DELIMITERS.
        decimal: the sign before the decimals of its numbers.
        gzipped: whether it is compressed.
        spaces: whether there are any before cells, which are no part of them; it takes pandas a tenth longer.
        missing: by column, the cells that are missing values.
    """

    path: Path
    names: tuple[str, ...]
    encoding: str
    delimiter: str
    decimal: str
    gzipped: bool
    spaces: bool
    missing: tuple[frozenset[str], ...]


def csv_layout(path: Path) -> tuple[CsvLayout, tuple[str, ...]]:
    """How a file is written, and notes on what is not usual.

    Raises:
        RequestError: it cannot be read, is no text, has no rows, or its columns are not all named and named once.
    """
    start, gzipped, whole = _start_of(path)
    encoding, text = _decoded(path, start, whole)
    usual = "\t" if path.name.casefold().removesuffix(".gz").endswith(".tsv") else ","
    if not whole:
        # The last line may be cut off.
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    delimiter, (names, *rows) = _delimited(path, text, usual)
    names = _checked_names(path, names, rows)
    decimal = _decimal_of(rows, delimiter)
    columns = [[row[i] for row in rows if i < len(row)] for i in range(len(names))]
    missing = tuple(MISSING_WORDS if _has_words(column, decimal) else MISSING for column in columns)
    notes = [encoding_note(path, encoding)] if encoding in ("utf-16", "utf-32", "cp1252") else []
    if delimiter != usual:
        notes.append(f"{path.name} has {DELIMITERS[delimiter]} between its columns, not {DELIMITERS[usual]}")
    if decimal != ".":
        notes.append(f"numbers in {path.name} have decimal commas")
    notes += _on_groups(names, columns, decimal) if delimiter != "," else []
    if names[0].startswith(NAMELESS):
        notes.append(f"the first column of {path.name} has no name and counts the rows, so it is left out")
    layout = CsvLayout(
        path, tuple(names), encoding, delimiter, decimal, gzipped, spaces=f"{delimiter} " in text, missing=missing
    )
    return layout, tuple(notes)


def _start_of(path: Path) -> tuple[bytes, bool, bool]:
    """The first bytes of a file, decompressed, whether it is compressed, and whether they are all of it."""
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        with opened(path, gzipped) as file:
            start = part = file.read(_SAMPLE_BYTES)
            # Of thousands of columns, a few rows.
            while part and start.count(b"\n") + start.count(b"\r") < _FEWEST_LINES and len(start) < _MOST_BYTES:
                part = file.read(len(start))
                start += part
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None
    for magic, (what, hint) in _OTHER_FILES.items():
        if start.startswith(magic):
            raise RequestError(f"{path}: {what}, expected a CSV file", hint=hint)
    if not start.strip(b" \t\r\n\xef\xbb\xbf"):
        raise _empty(path)
    return start, gzipped, len(start) < _SAMPLE_BYTES or not part


def _empty(path: Path) -> RequestError:
    return RequestError(f"{path}: an empty file, expected the names of columns and rows below")


def opened(path: Path, gzipped: bool) -> Any:
    return gzip.open(path, "rb") if gzipped else path.open("rb")


def _decoded(path: Path, start: bytes, whole: bool) -> tuple[str, str]:
    """The encoding of a text, and the text itself. Raises RequestError where it is none."""
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16"}
    marks[codecs.BOM_UTF16_BE] = "utf-16"
    encodings = [name for mark, name in marks.items() if start.startswith(mark)][:1] or ["utf-8", "cp1252"]
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            # What is cut off at the end is not wrong.
            text = codecs.getincrementaldecoder(encoding)().decode(start, final=whole)
            if not text.strip():
                raise _empty(path)
            if not _BINARY.search(text):
                return encoding, text
    raise RequestError(
        f"{path}: a binary file, expected a CSV file",
        hint=f"It was read as {' and as '.join(encodings)}; UTF-16 needs a byte order mark at its beginning.",
    )


def encoding_note(path: Path, encoding: str) -> str:
    if encoding == "cp1252":
        return f"{path.name} is not UTF-8, so it is read as cp1252 (Windows, Western Europe)"
    return f"{path.name} is read as {encoding.upper()}, as its byte order mark says"


def _delimited(path: Path, text: str, usual: str) -> tuple[str, list[list[str]]]:
    """The delimiter, and the first rows by it, that with the names first."""
    problem = ""
    tables: dict[str, list[list[str]]] = {}
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            tables[delimiter] = list(itertools.islice(filter(None, reader), _SAMPLE_ROWS + 1))
        except csv.Error as error:
            # A thousand columns may be too long to be one.
            problem = str(error)
    if not tables:
        raise RequestError(f"{path}: not a CSV file ({problem})")

    def fit(delimiter: str) -> tuple[bool, bool, int, bool]:
        names, *rows = tables[delimiter]
        alike = sum(len(row) == len(names) for row in rows) >= 0.9 * len(rows)
        return len(names) > 1, len(names) > 1 and alike, len(names), delimiter == usual

    delimiter = max(tables, key=fit)
    return delimiter, tables[delimiter]


def _checked_names(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The names of the columns. Raises RequestError where one has none, or two have the same, or there are none."""
    names = [name.strip() for name in names]
    if names[0].casefold().startswith("sep="):
        raise RequestError(
            f"{path}: its first line is {shown(names[0])}, which Excel writes, expected the names of columns",
            hint="Delete the line.",
        )
    if not rows:
        raise no_rows(path)
    for name, count in Counter(names).items():
        if name and count > 1:
            raise RequestError(f"{path}: {counted(count, 'column')} have the name {shown(name)}, expected one")
    for name in names:
        if _DECIMAL_POINT.fullmatch(name):
            raise RequestError(
                f"{path}: its first line has the number {name}, expected the names of columns",
                hint="Write a line with a name for each column above the rows.",
            )
    nameless = [i for i, name in enumerate(names) if not name]
    for i in nameless:
        if any(row[i].strip() for row in rows if i < len(row)) and not (i == 0 and _count_rows(rows)):
            raise no_name(path, i)
    if len(nameless) == len(names):
        raise RequestError(f"{path}: no column has a name in its first line, expected names")
    return [name or f"{NAMELESS}{i}" for i, name in enumerate(names)]


def no_name(path: Path, index: int) -> RequestError:
    return RequestError(f"{path}: column {index + 1} has values and no name, expected one in its first line")


def no_rows(path: Path) -> RequestError:
    return RequestError(f"{path}: only the names of columns, expected rows below them")


def _count_rows(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column is an index that pandas wrote."""
    first = rows[0][0]
    return first in ("0", "1") and all(row[0] == str(int(first) + i) for i, row in enumerate(rows))


def _decimal_of(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    if delimiter == ",":
        return "."
    cells = [cell.strip() for row in rows for cell in row]
    return "," if any(map(_DECIMAL_COMMA.fullmatch, cells)) and not any(map(_DECIMAL_POINT.fullmatch, cells)) else "."


def _on_groups(names: Sequence[str], columns: Sequence[Sequence[str]], decimal: str) -> list[str]:
    """A note on columns whose decimals may be groups of digits: all have three, beside numbers without any."""
    notes = []
    for name, column in zip(names, columns, strict=True):
        cells = {cell.strip() for cell in column}
        signed = sorted(cell for cell in cells if decimal in cell)
        if signed and all(map(_GROUPS.fullmatch, signed)) and any(map(_FEW_DIGITS.fullmatch, cells)):
            value = float(signed[0].replace(decimal, "."))
            notes.append(f"{name}: {signed[0]} is read as {value:g}; thousands are to be written without a sign")
    return notes


def _has_words(cells: Sequence[str], decimal: str) -> bool:
    return any(
        cell not in MISSING and cell.casefold() not in _LOGICAL and not is_number(cell.replace(decimal, "."))
        for cell in {cell.strip() for cell in cells}
    )


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
