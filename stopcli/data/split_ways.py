"""How each way of splitting assigns the rows of a table to training, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import fraction_of, proportional_rows
from stopcli.data.row_parts import TEST, TRAIN, VALIDATION, drawn_parts, last_parts
from stopcli.data.table_file import TableFile, cell_at
from stopcli.data.time_order import TimeTextError, time_order
from stopcli.data.value_hash import scrambled, value_hashes
from stopcli.errors import ConfigError, RequestError, did_you_mean, shown
from stopcli.quantities import agreeing, counted
from stopcli.seeding import derive_seed

if TYPE_CHECKING:
    import pandas

    from stopcli.data.table_parts import Split

PART_NAMES = ("train", "validation", "test")
NO_ROWS_APART = "--validation none and --test-share 0 set no rows aside."
# What a column may say, in small letters.
_PART_OF_TEXT = {"train": TRAIN, "test": TEST, **dict.fromkeys(("validation", "val", "valid", "dev"), VALIDATION)}


@dataclass(frozen=True, eq=False)
class Request:
    """What was requested. `rows` are the numbers of those that are parted."""

    table: TableFile
    split: Split
    target: str
    task: str
    validation_share: float
    test_share: float
    seed: int
    rows: NDArray[np.intp]

    @property
    def shares(self) -> dict[int, float]:
        """Of the parts that are set apart, each of the rows that are there when it is."""
        shares = {TEST: self.test_share, VALIDATION: self.validation_share}
        return {part: share for part, share in shares.items() if share}

    @property
    def expected(self) -> dict[int, int]:
        """How many rows each part that is set apart is to have."""
        remaining, expected = len(self.rows), {}
        for part, share in self.shares.items():
            expected[part] = fraction_of(remaining, share)
            remaining -= expected[part]
        return expected

    def column(self) -> pandas.Series[Any]:
        """The values of the split's column in these rows. Raises where there is no such column, or one is missing."""
        name = self.split.column
        if name not in self.table.frame:
            near = did_you_mean(name, map(str, self.table.frame.columns))
            expected = f"{self.split.kind}:COLUMN with a column of {self.table.path.name}"
            raise ConfigError("split", str(self.split), expected, hint=near)
        values = self.table.frame[name].iloc[self.rows]
        missing = np.flatnonzero(values.isna().to_numpy())
        if len(missing):
            count = f", and in {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise self.error(int(missing[0]), f"received no value{count}, expected one in every row")
        return values

    def error(self, row: int, message: str, hint: str = "") -> RequestError:
        """An error in the column, at one of these rows."""
        where = cell_at(self.table, int(self.rows[row]), self.split.column)
        return RequestError(f"{where}: {message} (--split {self.split})", hint=hint)

    def too_few(self, count: int, noun: str, hint: str = "") -> ConfigError:
        """An error where there are not enough values of the column for all parts."""
        least = len(self.shares) + 1
        expected = f"a column with at least {least} {noun}, one for each part: it has {count}"
        return ConfigError("split", str(self.split), expected, hint=hint or NO_ROWS_APART)


@dataclass(frozen=True, eq=False)
class Assignment:
    """Parts of the rows of a request: int8 [rows]; how, in words; and what the report's table has beside their number,
    by column, a function of the rows' positions."""

    part: NDArray[np.int8]
    how: str = ""
    columns: Mapping[str, Callable[[NDArray[np.intp]], object]] | None = None
    notes: tuple[str, ...] = ()
    # Why parts may be far from their shares; empty where they cannot be.
    reason: str = ""


def _at_random(request: Request) -> Assignment:
    part = drawn_parts(len(request.rows), request.validation_share, request.test_share, request.seed)
    return Assignment(part, f"drawn at random by data seed {request.seed}" if request.shares else "")


def _last(request: Request) -> Assignment:
    part = last_parts(len(request.rows), request.validation_share, request.test_share)
    return Assignment(part, _which("the last", request))


def _which(rows: str, request: Request) -> str:
    """What rows of the end are for."""
    if len(request.shares) == 2:
        return f"{rows} rows test, those before them validate"
    return "".join(f"{rows} rows {'test' if part == TEST else 'validate'}" for part in request.shares)


def _by_class(request: Request) -> Assignment:
    import pandas

    if request.task != "classes":
        hint = "--split random draws without regard to the target."
        raise ConfigError("split", "stratified", "another one: the target is a number and has no classes", hint=hint)
    column = request.table.frame[request.target].iloc[request.rows]
    codes, values = pandas.factorize(column, use_na_sentinel=False)
    # By their texts, so that the parts do not depend on the order in which classes occur.
    names, classes_of_codes = np.unique([str(value) for value in values], return_inverse=True)
    classes = classes_of_codes[codes]
    sizes = np.bincount(classes)
    parts = len(request.shares) + 1
    large = np.flatnonzero(sizes >= parts)
    if not len(large):
        raise ConfigError(
            "split",
            "stratified",
            f"classes with at least {counted(parts, 'row')}, one for each part: none has as many",
            hint="--split random draws without regard to the class.",
        )
    part = np.zeros(len(request.rows), np.int8)
    remaining, leave = np.flatnonzero((sizes >= parts)[classes]), parts - 1
    for number, share in request.shares.items():
        count = fraction_of(int((part == TRAIN).sum()), share)
        count = min(max(count, len(large)), len(remaining) - leave * len(large))
        drawn = derive_seed(request.seed, "rows", "stratified", PART_NAMES[number])
        chosen = remaining[proportional_rows(classes[remaining], count, drawn, leave=leave)]
        part[chosen] = number
        remaining, leave = remaining[part[remaining] == TRAIN], leave - 1
    how = f"in each class the same shares, drawn by data seed {request.seed}" if request.shares else ""
    return Assignment(part, how, notes=_small_classes(names, sizes, parts))


def _small_classes(names: NDArray[Any], sizes: NDArray[np.intp], parts: int) -> tuple[str, ...]:
    small = np.flatnonzero(sizes < parts)
    if not len(small):
        return ()
    few = ", ".join(f"{shown(str(names[i]))} ({sizes[i]})" for i in small[:5])
    more = f" and {len(small) - 5} more" if len(small) > 5 else ""
    classes = agreeing(len(small), "a class has", f"{len(small)} classes have")
    return (f"{classes} fewer rows than there are parts, so all of them train: {few}{more}",)


def _by_time(request: Request) -> Assignment:
    column = request.column()
    try:
        order = time_order(column)
    except TimeTextError as error:
        raise request.error(error.row, error.message) from None
    except RequestError as error:
        where = f"{request.table.path}, column {request.split.column}"
        raise RequestError(f"{where}: {error.message} (--split {request.split})", hint=error.hint) from None
    counts = np.bincount(order)
    if len(counts) < len(request.shares) + 1:
        raise request.too_few(len(counts), "different times")
    # The number of rows before each of the different times, and after the last.
    before = np.concatenate([[0], np.cumsum(counts)])
    part_of_time = np.zeros(len(counts), np.int8)
    end, parts_before = len(counts), len(request.shares)
    for part in request.shares:
        wanted = fraction_of(int(before[end]), request.shares[part])
        # At least one time for each part that is still to come.
        cuts = np.arange(parts_before, end)
        start = int(cuts[np.argmin(np.abs(before[end] - before[cuts] - wanted))])
        part_of_time[start:end] = part
        end, parts_before = start, parts_before - 1

    def earliest(rows: NDArray[np.intp]) -> object:
        return _time_text(column.iloc[int(rows[np.argmin(order[rows])])])

    def latest(rows: NDArray[np.intp]) -> object:
        return _time_text(column.iloc[int(rows[np.argmax(order[rows])])])

    how = f"by {request.split.column}: {_which('the latest', request)}" if request.shares else ""
    columns = {"from": earliest, "to": latest}
    return Assignment(part_of_time[order], how, columns=columns, reason="rows of one time stay in one part")


def _time_text(value: object) -> str:
    """A time as the table has it, without the zeros of a day's beginning."""
    return str(value).removesuffix(" 00:00:00")


def _by_group(request: Request) -> Assignment:
    unique, groups, sizes = np.unique(value_hashes(request.column()), return_inverse=True, return_counts=True)
    if len(unique) < len(request.shares) + 1:
        raise request.too_few(len(unique), "groups")
    part_of_group = np.zeros(len(unique), np.int8)
    others = len(request.shares)
    for part, share in request.shares.items():
        free = np.flatnonzero(part_of_group == TRAIN)
        draw = np.random.Generator(np.random.PCG64(derive_seed(request.seed, "groups", PART_NAMES[part])))
        drawn = free[draw.permutation(len(free))]
        wanted = fraction_of(int(sizes[free].sum()), share)
        part_of_group[drawn[_filling(sizes[drawn].tolist(), wanted, len(free) - others)]] = part
        others -= 1
    how = f"whole groups by {request.split.column}, drawn by data seed {request.seed}" if request.shares else ""
    columns = {"groups": lambda rows: _different(groups[rows])}
    return Assignment(part_of_group[groups], how, columns=columns, reason="rows of one group stay in one part")


def _filling(sizes: Sequence[int], wanted: int, most: int) -> list[int]:
    """Which groups to take, in their order, to have about as many rows as are wanted: each that brings them nearer.

    Args:
        most: of how many groups, at least 1.
    """
    taken: list[int] = []
    rows = 0
    for i, size in enumerate(sizes):
        if rows >= wanted or len(taken) == most:
            break
        if abs(rows + size - wanted) < wanted - rows:
            taken.append(i)
            rows += size
    return taken or [int(np.argmin(sizes))]


def _by_column(request: Request) -> Assignment:
    import pandas

    column = request.column()
    codes, values = pandas.factorize(column)
    texts = [str(value).strip().casefold() for value in values]
    for code, text in enumerate(texts):
        if text not in _PART_OF_TEXT:
            row = int(np.flatnonzero(codes == code)[0])
            message = f"received {shown(str(values[code]))}, expected train, validation (or val, valid, dev) or test"
            raise request.error(row, message, did_you_mean(text, _PART_OF_TEXT))
    part = np.array([_PART_OF_TEXT[text] for text in texts], np.int8)[codes]
    for number in (VALIDATION, TEST):
        rows = np.flatnonzero(part == number)
        if len(rows) and number not in request.shares:
            setting = "--test-share 0" if number == TEST else "these settings (--validation test or none)"
            some = f"received {shown(str(column.iloc[int(rows[0])]))}"
            raise request.error(int(rows[0]), f"{some}, expected no {PART_NAMES[number]} rows with {setting}")
    how = f"as {request.split.column} has them"
    training = np.flatnonzero(part == TRAIN)
    if request.validation_share and not (part == VALIDATION).any() and len(training) > 1:
        # As where a file of one's own returns a part that trains and one that tests.
        drawn = drawn_parts(len(training), request.validation_share, 0.0, request.seed)
        part[training[drawn == VALIDATION]] = VALIDATION
        how += f"; those that validate are drawn from the training rows by data seed {request.seed}"
    return Assignment(part, how)


def _by_hash(request: Request) -> Assignment:
    hashes = value_hashes(request.column())
    part = np.zeros(len(hashes), np.int8)
    # Two numbers, so that another share for testing moves no row between training and validation.
    part[_uniform(hashes, request.seed, "validation") < request.validation_share] = VALIDATION
    part[_uniform(hashes, request.seed, "test") < request.test_share] = TEST
    how = f"by the hash of {request.split.column} and data seed {request.seed}: a row's part stays, whatever is added"
    columns = {"values": lambda rows: _different(hashes[rows])}
    reason = "rows of one value stay in one part, and values fall by their hash"
    return Assignment(part, how, columns=columns, reason=reason)


def _different(values: NDArray[Any]) -> int:
    """How many different ones there are of some values; several times as fast as np.unique where nearly all are."""
    return int(np.count_nonzero(np.diff(np.sort(values)))) + 1


def _uniform(hashes: NDArray[np.uint64], seed: int, part: str) -> NDArray[np.float64]:
    """Numbers in [0, 1), the same for the same hash, seed and part."""
    stream = scrambled(np.array([derive_seed(seed, "hash", part)], np.uint64))
    # float64 has 53 bits.
    numbers: NDArray[np.float64] = (scrambled(hashes ^ stream) >> np.uint64(11)) * 2.0**-53
    return numbers


WAYS: Mapping[str, Callable[[Request], Assignment]] = {
    "random": _at_random,
    "stratified": _by_class,
    "last": _last,
    "time": _by_time,
    "group": _by_group,
    "column": _by_column,
    "hash": _by_hash,
}
