"""metrics.csv: a row for each epoch, appended as the run goes on; the same bytes when the run is made again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RequestError, system_words
from stopcli.runs.files import AppendedFile, Prefix, replacing

Columns = dict[str, NDArray[np.float64]]
"""Columns of metrics.csv by name: `epoch` and `step` as counts, the rest as the values that were written: float32, but
float64 in recorded runs, where NaN is also what was not measured in an epoch."""

Row = tuple[float | None, ...]
"""An epoch's metrics in a recorded run; None for what was not measured."""


class MetricsFile(AppendedFile):
    """metrics.csv: a row for each epoch.

    Values are written in the shortest form that gives the same float32 back, so the file loses nothing. Time is not
    among them, because two runs of one config have to write the same bytes; it is in timing.csv.

    Args:
        names: the names of the metrics, after `epoch` and `step`.
    """

    def __init__(self, path: Path, names: Sequence[str], keep: Prefix | None = None) -> None:
        super().__init__(path, (",".join(["epoch", "step", *names]) + "\n").encode(), keep)

    def append(self, first_epoch: int, steps_per_epoch: int, rows: NDArray[np.float32]) -> None:
        """Append consecutive epochs.

        Args:
            first_epoch: the number of the first of them, counted from 1.
            rows: float32, shape [epochs, names].
        """
        # astype(str) writes the shortest text that reads back as the same float32.
        texts = rows.astype(str)
        lines = []
        for i, row in enumerate(texts.tolist()):
            epoch = first_epoch + i
            lines.append(f"{epoch},{epoch * steps_per_epoch},{','.join(row)}\n")
        self.write("".join(lines).encode())

    def append_recorded(self, first_epoch: int, steps_per_epoch: int, rows: Sequence[Row]) -> None:
        """The same for values that somebody else has computed: in the shortest form that gives the same float64 back,
        and an empty cell for what was not measured."""
        lines = []
        for epoch, row in enumerate(rows, start=first_epoch):
            cells = ",".join(["" if value is None else repr(value) for value in row])
            lines.append(f"{epoch},{epoch * steps_per_epoch},{cells}\n")
        self.write("".join(lines).encode())


def with_more_columns(path: Path, names: Sequence[str], more: int) -> MetricsFile:
    """A metrics.csv that is opened again with more columns, whose cells are empty in all epochs until now.

    Args:
        names: of all metrics, the new ones last.
        more: how many are new.
    """
    lines = path.read_bytes().splitlines()[1:]
    header = ",".join(["epoch", "step", *names]).encode()
    content = b"".join(line + b"\n" for line in [header, *(line + b"," * more for line in lines)])
    with replacing(path) as new:
        new.write_bytes(content)
    return MetricsFile(path, names, Prefix(len(content), hashlib.sha256(content).hexdigest()))


class TimingFile(AppendedFile):
    """timing.csv: how long the epochs took, a row for each call of the compiled loop."""

    def __init__(self, path: Path, keep: Prefix | None = None) -> None:
        super().__init__(path, b"first_epoch,last_epoch,seconds\n", keep)

    def append(self, first_epoch: int, last_epoch: int, seconds: float) -> None:
        self.write(f"{first_epoch},{last_epoch},{seconds:.6f}\n".encode())


class StepsFile(AppendedFile):
    """steps.csv: learning rate and loss of every step, for runs whose learning rate changes within an epoch."""

    def __init__(self, path: Path, keep: Prefix | None = None) -> None:
        super().__init__(path, b"step,learning_rate,loss\n", keep)

    def append(self, first_step: int, rows: NDArray[np.float32]) -> None:
        """Append consecutive steps.

        Args:
            first_step: the number of the first of them, counted from 1.
            rows: float32, shape [steps, 2].
        """
        texts = rows.astype(str).tolist()
        lines = [f"{first_step + i},{rate},{loss}\n" for i, (rate, loss) in enumerate(texts)]
        self.write("".join(lines).encode())


_EMPTY_CELL = re.compile(r"(?<=,)(?=[,\n])")


def read_metrics(path: Path, *, recorded: bool = False) -> Columns:
    """The columns of a metrics.csv, or of a steps.csv. A last line that a crash left unfinished is left out.

    Args:
        recorded: whether it is of a recorded run, whose values are float64, and whose cells may be empty.

    Raises:
        RequestError: the file is missing, or is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: damaged ({error})") from None
    text = text[: text.rfind("\n") + 1]
    header, *rows = (_EMPTY_CELL.sub("nan", text) if recorded else text).splitlines() or [""]
    names = header.split(",")
    if names[:2] not in (["epoch", "step"], ["step", "learning_rate"]):
        raise RequestError(f"{path}: not a metrics.csv (its first line should begin with epoch,step)")
    try:
        values = _numbers(rows, len(names))
    except ValueError as error:
        raise RequestError(f"{path}: damaged ({error})") from None
    # Through float32, of which the text is the shortest form: read as float64 it would be another number.
    exact = set(names) if recorded else {"epoch", "step"}
    return {
        name: values[:, i] if name in exact else values[:, i].astype(np.float32).astype(np.float64)
        for i, name in enumerate(names)
    }


def empty_cells(path: Path) -> dict[str, NDArray[np.bool_]]:
    """By the name of each column of a recorded run's metrics.csv that has empty cells, which of them are, shape
    [epochs]. The file can be read."""
    text = path.read_text(encoding="utf-8")
    text = text[: text.rfind("\n") + 1]
    if not _EMPTY_CELL.search(text):
        return {}
    header, *rows = text.splitlines()
    empty = np.array([[not cell for cell in row.split(",")] for row in rows])
    return {name: empty[:, i] for i, name in enumerate(header.split(",")) if empty[:, i].any()}


def read_rows(path: Path, columns: Sequence[str]) -> NDArray[np.float32]:
    """Some columns of a metrics.csv, a row an epoch, with the same errors as `read_metrics`."""
    metrics = read_metrics(path)
    return np.stack([metrics[name] for name in columns], axis=1).astype(np.float32)


def _numbers(rows: Sequence[str], columns: int) -> NDArray[np.float64]:
    """Rows of numbers, shape [rows, columns]. Raises ValueError where something is not a number, or a row has another
    length."""
    # NumPy skips empty rows.
    if not all(rows):
        raise ValueError(f"row {rows.index('') + 1} is empty")
    if not rows:
        return np.empty((0, columns))
    values = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
    if values.shape[1] != columns:
        raise ValueError(f"rows of {values.shape[1]} values below {columns} names")
    return values
