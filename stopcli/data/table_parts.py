"""Which rows of a table train, validate and test: at random, by class, by their order, or by what a column says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.data.row_parts import TEST, TRAIN, VALIDATION
from stopcli.data.split_ways import NO_ROWS_APART, PART_NAMES, WAYS, Assignment, Request
from stopcli.errors import ConfigError, RequestError, did_you_mean
from stopcli.quantities import agreeing, counted

if TYPE_CHECKING:
    from stopcli.data.table_file import TableFile

SPLITS = ("random", "stratified", "last", "time", "group", "column", "hash")
_BY_COLUMN = ("time", "group", "column", "hash")
# A part that has less or more than its share by this factor is worth a note.
_FAR = 1.25


@dataclass(frozen=True)
class Split:
    """How the rows of a table are parted.

    Attributes:
        kind: one of SPLITS.
        column: of `time`, `group`, `column` and `hash`, the column that they go by; else empty.
    """

    kind: str
    column: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.column}" if self.column else self.kind


@dataclass(frozen=True, eq=False)
class RowParts:
    """What each row of a table is for.

    Attributes:
        part: int8 [rows]: 0 trains, 1 validates, 2 tests, -1 is not used.
        description: how they were parted, a line each.
        table: a row for each part that has rows: `part`, `rows`; for groups and hashes also the number of `groups` or
            `values`; for times `from` and `to`, as the table writes them.
        notes: what the user should be told of it, a sentence without a full stop each.
    """

    part: NDArray[np.int8]
    description: tuple[str, ...]
    table: tuple[Mapping[str, object], ...]
    notes: tuple[str, ...] = ()

    def rows(self, part: Literal["train", "validation", "test"]) -> NDArray[np.intp]:
        """The numbers of the rows of a part, ascending."""
        return np.flatnonzero(self.part == PART_NAMES.index(part))


def parse_split(text: str) -> Split:
    """How rows are parted, from a text such as `random` or `time:sold`.

    Raises:
        ConfigError: it is none of SPLITS; it lacks the column that it goes by, or has one that it does not go by.
    """
    kind, colon, column = text.partition(":")
    if kind not in SPLITS:
        known = [f"{name}:COLUMN" if name in _BY_COLUMN else name for name in SPLITS]
        # With the column that was written: time:sold, of tme:sold.
        near = did_you_mean(text, (f"{name}:{column}" for name in _BY_COLUMN)) if column else did_you_mean(kind, SPLITS)
        raise ConfigError("split", text, f"one of {', '.join(known)}", hint=near)
    if kind in _BY_COLUMN and not column:
        raise ConfigError("split", text, f"{kind}:COLUMN, with the name of a column of the table")
    if kind not in _BY_COLUMN and colon:
        raise ConfigError("split", text, f"{kind}, which goes by no column")
    return Split(kind, column)


def assign_parts(
    table: TableFile,
    split: Split,
    *,
    target: str,
    task: str,
    validation_share: float,
    test_share: float,
    seed: int,
    used: NDArray[np.bool_] | None = None,
) -> RowParts:
    """Part the rows of a table.

    Args:
        target: the column that is predicted, which `stratified` goes by.
        task: `classes` or `regression`.
        validation_share: of the rows that do not test, in [0, 1); 0 for none.
        test_share: in [0, 1); 0 for none.
        seed: the data seed.
        used: bool [rows], the rows that are parted at all, such as those with a target; all where it is None.

    Raises:
        ConfigError: the table does not have the column, or too few different values in it; or classes are needed.
        RequestError: a value of the column cannot be used, or a part would have no rows.
    """
    number_of_rows = len(table.frame)
    rows = np.arange(number_of_rows) if used is None else np.flatnonzero(used)
    request = Request(table, split, target, task, validation_share, test_share, seed, rows)
    least = len(request.shares) + 1
    if len(rows) < least:
        message = f"received {counted(len(rows), 'row')}, expected at least {least}, one for each part"
        raise RequestError(f"{table.path}: {message}", hint=NO_ROWS_APART)
    assigned = WAYS[split.kind](request)
    _check_none_empty(request, assigned.part)
    part = np.full(number_of_rows, -1, np.int8)
    part[rows] = assigned.part
    counts = _counts(assigned.part)
    how = f" ({assigned.how})" if assigned.how else ""
    description = (f"{counted(len(rows), 'row')}: {counts}{how}",)
    notes = (*assigned.notes, *_far_from_shares(request, assigned))
    return RowParts(part, description, _rows_of_table(assigned), notes)


def _check_none_empty(request: Request, part: NDArray[np.int8]) -> None:
    for number in (TRAIN, *request.shares):
        if (part == number).any():
            continue
        name, split = PART_NAMES[number], request.split
        if split.kind == "column":
            setting = {VALIDATION: "--validation none trains without.", TEST: "--test-share 0 tests none."}
            problem, hint = f"no row says {name}", setting.get(number, "")
        else:
            problem = f"no row falls to {name}"
            hint = f"Use more rows, another column, another share or another --data-seed. {NO_ROWS_APART}"
        raise ConfigError("split", str(split), f"a column by which every part has rows: {problem}", hint=hint)


def _counts(part: NDArray[np.int8]) -> str:
    """Such as `640 train, 160 validate, 200 test`."""
    counts = np.bincount(part, minlength=3).tolist()
    verbs = (("trains", "train"), ("validates", "validate"), ("tests", "test"))
    return ", ".join(f"{count:,} {agreeing(count, *verb)}" for count, verb in zip(counts, verbs, strict=True) if count)


def _rows_of_table(assigned: Assignment) -> tuple[Mapping[str, object], ...]:
    rows = []
    for number, name in enumerate(PART_NAMES):
        of_part = np.flatnonzero(assigned.part == number)
        if len(of_part):
            more = {column: of(of_part) for column, of in (assigned.columns or {}).items()}
            rows.append({"part": name, "rows": len(of_part), **more})
    return tuple(rows)


def _far_from_shares(request: Request, assigned: Assignment) -> tuple[str, ...]:
    if not assigned.reason:
        return ()
    notes = []
    for part, wanted in request.expected.items():
        count = int((assigned.part == part).sum())
        if not wanted / _FAR <= count <= wanted * _FAR:
            verb = "tests" if part == TEST else "validates"
            verb = agreeing(count, verb, verb.removesuffix("s"))
            notes.append(f"{counted(count, 'row')} {verb}, where the share is {wanted:,}: {assigned.reason}")
    return tuple(notes)
