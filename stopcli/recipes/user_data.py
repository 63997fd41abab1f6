"""From what `data()` of a user's file returned to rows that train, validate and test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from stopcli.configs.training import FEW_ROWS
from stopcli.control_groups import SHARE, available_bytes
from stopcli.data.dataset import Examples, OnProgress, Splits, ignore_progress
from stopcli.data.nest import leaves, named_leaves
from stopcli.data.row_parts import set_apart
from stopcli.data.same_rows import same_rows
from stopcli.data.user_rows import CONTRACT, PartRows, arrays_of, as_trained, check_like, read_rows
from stopcli.data.user_streams import Executing, is_stream, read_stream
from stopcli.errors import ConfigError, RequestError, did_you_mean, shown
from stopcli.quantities import agreeing, counted, format_bytes

PARTS = ("train", "validation", "test")
# Of the rows, and of those that are not set aside for testing.
DEFAULT_TEST_SHARE = DEFAULT_VALIDATION_SHARE = 0.2
# Rows of more than this in all are not compared with each other.
COMPARED_BYTES = 1 << 28
# Targets of more different whole numbers than this are not taken for classes.
_MOST_CLASSES = 1000

# What a process that trains takes, measured by benchmarks/memory.py: by itself, and as a multiple of its rows, where
# TensorFlow has a copy of them and where they are large.
_PROCESS_BYTES, _MULTIPLE, _LARGE_MULTIPLE = 900_000_000, 3.0, 1.3


class SplitSettings(Protocol):
    """The settings of a run that say which rows train, validate and test."""

    @property
    def validation(self) -> Any: ...

    @property
    def validation_share(self) -> Any: ...

    @property
    def test_share(self) -> Any: ...

    @property
    def data_seed(self) -> Any: ...


@dataclass(frozen=True)
class UserRows:
    """The rows of a user's file, in parts.

    Attributes:
        parts: what trains, validates and tests; parts without rows have 0 of them.
        config_changes: settings that the data decided: `validation`, where it was `auto` and the file has no part of
            its own that validates.
        notes: what the user should be told of the rows, a sentence without a full stop each.
        description: what they are, a line each.
        columns: names of columns by what their array is called (`x`, `x[rooms]`), where it was a table.
    """

    parts: Splits
    config_changes: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _ignore(text: str) -> None:
    pass


def read_parts(
    content: object,
    config: SplitSettings,
    stage: Callable[[str], None] = _ignore,
    on_progress: OnProgress = ignore_progress,
    *,
    source: str = "data()",
    executing: Executing = contextlib.nullcontext,
) -> UserRows:
    """The rows that a `data()` returned, in parts.

    Args:
        content: `(x, y)` or `(x, y, weight)`, of which the settings say what validates and tests; or a dict with such
            a tuple for `train` and perhaps `validation` and `test`, which are taken as they are. x and y are arrays
            [rows, …], or dicts or tuples of arrays; weight is an array [rows]. In place of a tuple, a
            `tf.data.Dataset` or `keras.utils.PyDataset` that ends is read into memory.
        stage: receives what takes a while, before it is begun.
        source: what the rows come from, which every message begins with.
        executing: as for `read_stream`. An error of the user's code says itself where it was raised.

    Raises:
        RequestError: they are not rows, or none that a model can be trained on; or too few.
        ConfigError: a setting contradicts the parts that the file has.
    """
    try:
        return _read_parts(content, config, stage, on_progress, executing)
    except ConfigError:
        raise
    except RequestError as error:
        if error.__cause__ is not None:
            # Raised by the user's code.
            raise
        raise RequestError(f"{source}: {error.message}", hint=error.hint) from None


def _read_parts(
    content: object,
    config: SplitSettings,
    stage: Callable[[str], None],
    on_progress: OnProgress,
    executing: Executing,
) -> UserRows:
    own = _own_parts(content)
    read = {
        name: _read(part, name if name != "all" else "", stage, on_progress, executing) for name, part in own.items()
    }
    total = sum(rows.bytes for rows in read.values())
    read = {name: replace(rows, examples=as_trained(rows.examples, total)) for name, rows in read.items()}
    first = next(iter(read.values()))
    read |= {name: check_like(rows, first, name) for name, rows in read.items() if rows is not first}
    if "all" in read:
        validation, parts, line = _split(read["all"].examples, config)
    else:
        validation, parts, line = _with_own(read, config)
    changes = {} if validation == config.validation else {"validation": validation}
    same, compared = _rows_in_both(parts)
    notes = (*same, *few_rows(parts), *_unknown_classes(parts))
    return UserRows(parts, changes, notes, (line, _arrays(parts), *_conversions(read), *compared), first.columns)


def check_processes_fit(parts: Splits, processes: int) -> None:
    """Raise RequestError where the processes of a sweep, which all read the rows, need more memory than there is.

    Args:
        parts: the rows that this process holds.
        processes: how many there are at a time.
    """
    size = sum(array.nbytes for rows in _different(parts) for array in arrays_of(rows))
    needed = _PROCESS_BYTES + size * (_LARGE_MULTIPLE if parts.train.is_large else _MULTIPLE)
    free = available_bytes()
    if free is None or processes * needed <= SHARE * free:
        return
    fitting = int(SHARE * free / needed)
    raise RequestError(
        f"{processes} runs at a time, each with its own copy of the rows ({format_bytes(size)}), need about "
        f"{format_bytes(int(processes * needed))} of memory, and {format_bytes(free)} are free",
        hint=f"--jobs {fitting} fits." if fitting else "--executor in-process trains one after the other.",
    )


def _own_parts(content: Any) -> dict[str, Any]:
    """Train, validation and test in this order, or `all`. Raises RequestError for a dict of something else."""
    if not isinstance(content, Mapping):
        return {"all": content}
    unknown = [key for key in content if key not in PARTS]
    if unknown:
        name = str(unknown[0])
        near = did_you_mean("validation" if name.casefold().startswith("val") else name, PARTS)
        raise RequestError(
            f"received a dict with the key {shown(unknown[0])}, expected {CONTRACT}",
            hint=near or "A dict of inputs is the x of (x, y).",
        )
    if "train" not in content:
        raise RequestError(f"received a dict without train, expected {CONTRACT}")
    return {name: content[name] for name in PARTS if name in content}


def _read(
    content: Any, name: str, stage: Callable[[str], None], on_progress: OnProgress, executing: Executing
) -> PartRows:
    if is_stream(content):
        content = read_stream(content, name, stage, on_progress, executing)
    return read_rows(content, name)


def _split(rows: Examples, config: SplitSettings) -> tuple[str, Splits, str]:
    """Rows that come without parts: what validates, the parts, and a line that says which they are."""
    validation = "split" if config.validation == "auto" else config.validation
    test_share = DEFAULT_TEST_SHARE if config.test_share is None else config.test_share
    if validation == "test" and not test_share:
        raise ConfigError("validation", "test", "split, last or none where no rows test (test_share 0)")
    expected = 1 + (validation in ("split", "last")) + bool(test_share)
    if rows.count < expected:
        raise RequestError(
            f"received {counted(rows.count, 'row')}, expected at least {expected}, one for each part",
            hint="--validation none and --test-share 0 set no rows aside.",
        )
    shares = _validation_share(validation, config), test_share
    parts = set_apart(rows, *shares, last=validation == "last", seed=config.data_seed)
    if validation == "test":
        parts = replace(parts, validation=parts.test)
    seed = f"drawn at random by data seed {config.data_seed}"
    how = "the last rows, test last of all" if validation == "last" else seed
    return validation, parts, f"{counted(rows.count, 'row')}: {_counts(parts)}{f' ({how})' if expected > 1 else ''}"


def _with_own(read: Mapping[str, PartRows], config: SplitSettings) -> tuple[str, Splits, str]:
    """Rows that come in parts."""
    train, test = read["train"].examples, read["test"].examples if "test" in read else None
    if config.test_share not in (None, DEFAULT_TEST_SHARE):
        raise ConfigError("test_share", config.test_share, f"none: data() gives its own parts ({', '.join(read)})")
    validation, validating = config.validation, None
    numbers: dict[str, Any] = {}
    how = ", as data() parts them"
    if "validation" in read:
        if validation != "auto":
            raise ConfigError("validation", validation, "auto: data() gives its own rows that validate")
        if config.validation_share not in (None, DEFAULT_VALIDATION_SHARE):
            raise ConfigError("validation_share", config.validation_share, "none: data() gives its own rows")
        validating = read["validation"].examples
    else:
        validation = "split" if validation == "auto" else validation
        if validation == "test":
            if test is None:
                raise ConfigError("validation", "test", "auto, split, last or none: data() gives no test rows")
            validating = test
        elif validation != "none" and train.count < 2:
            raise RequestError(
                "train: received 1 row, expected 2 or more to split some off for validation",
                hint="--validation none splits none off.",
            )
        else:
            share, last = _validation_share(validation, config), validation == "last"
            apart = set_apart(train, share, 0.0, last=last, seed=config.data_seed)
            train, validating = apart.train, apart.validation
            numbers = {name: of_part for name, of_part in apart.numbers.items() if name != "test"}
        if validation != "none":
            which = f"drawn from the training rows by data seed {config.data_seed}"
            sentences = {"last": "the last of the training rows validate", "split": f"those that validate are {which}"}
            how = f" ({sentences[validation]})" if validation in sentences else ""
    none = read["train"].examples.take(0, 0)
    parts = Splits(train, none if validating is None else validating, none if test is None else test, numbers)
    return (
        validation,
        parts,
        f"{counted(sum(rows.examples.count for rows in read.values()), 'row')}: {_counts(parts)}{how}",
    )


def _validation_share(validation: str, config: SplitSettings) -> float:
    """Of the rows that do not test."""
    if validation not in ("split", "last"):
        return 0.0
    return DEFAULT_VALIDATION_SHARE if config.validation_share is None else float(config.validation_share)


def _counts(parts: Splits) -> str:
    train, validation, test = parts.train.count, parts.validation.count, parts.test.count
    counts = [f"{train:,} {agreeing(train, 'trains', 'train')}"]
    if not parts.test_is_held_out:
        return f"{counts[0]}, {test:,} {agreeing(test, 'validates and tests', 'validate and test')}"
    for number, one, several in ((validation, "validates", "validate"), (test, "tests", "test")):
        counts.append(f"{number:,} {agreeing(number, one, several)}" if number else f"none {one}")
    return ", ".join(counts)


def _arrays(parts: Splits) -> str:
    """What a row has, such as `x float32 [28, 28, 3], y float32`."""
    arrays = []
    for role in ("x", "y"):
        for key, array in named_leaves(getattr(parts.train, role)):
            shape = f" {list(array.shape[1:])}" if array.ndim > 1 else ""
            arrays.append(f"{role}{f'[{key}]' if key else ''} {array.dtype}{shape}")
    size = sum(array.nbytes for rows in _different(parts) for array in arrays_of(rows))
    weighted = ["weight"] if parts.train.weight is not None else []
    return f"a row has {', '.join([*arrays, *weighted])}; {format_bytes(size)} in memory"


def _different(parts: Splits) -> list[Examples]:
    return [parts.train, parts.validation, *([parts.test] if parts.test_is_held_out else [])]


def _conversions(read: Mapping[str, PartRows]) -> list[str]:
    converted: dict[str, str] = {}
    for rows in read.values():
        converted |= rows.converted
    if not converted:
        return []
    dtypes = " and ".join(sorted(set(converted.values())))
    return [f"{', '.join(converted)}: {dtypes} became float32, in which Keras computes"]


def _rows_in_both(parts: Splits) -> tuple[list[str], list[str]]:
    """A note for rows that are also among the training rows; and a line where they were not compared."""
    train = [*leaves(parts.train.x), *leaves(parts.train.y)]
    others = {"test": parts.test, "validation": parts.validation}
    others = {name: rows for name, rows in others.items() if rows.count}
    if not parts.test_is_held_out:
        others.pop("validation", None)
    if sum(array.nbytes for rows in _different(parts) for array in arrays_of(rows)) > COMPARED_BYTES:
        line = f"not looked for, above {format_bytes(COMPARED_BYTES)}: rows that are in two parts"
        return [], [line] if others else []
    notes = []
    for name, rows in others.items():
        same = same_rows([*leaves(rows.x), *leaves(rows.y)], train)
        if same:
            are = agreeing(same, "is the same as a training row", "are the same as a training row")
            notes.append(f"{same:,} of {counted(rows.count, f'{name} row')} {are}, in inputs and targets")
    return notes, []


def few_rows(parts: Splits) -> list[str]:
    """A note where so few rows test that the result says little."""
    count = parts.test.count
    if not 0 < count < FEW_ROWS or not parts.test_is_held_out:
        return []
    return [f"{counted(count, 'row')} {agreeing(count, 'tests', 'test')}, so the result says little; use more rows"]


def _unknown_classes(parts: Splits) -> list[str]:
    """A note for classes of which there is no training row: rows are not drawn by class."""
    arrays = leaves(parts.train.y)
    if len(arrays) != 1 or arrays[0].dtype.kind not in "iub" or arrays[0].size != parts.train.count:
        return []
    classes = np.unique(arrays[0])
    if len(classes) > _MOST_CLASSES:
        return []
    notes = []
    for name, rows in (("validation", parts.validation), ("test", parts.test)):
        missing = np.setdiff1d(leaves(rows.y)[0], classes)
        if len(missing) and (name == "test" or parts.test_is_held_out):
            which = ", ".join(map(str, missing[:5].tolist()))
            notes.append(
                f"no training row has a target that {name} rows have: {which}{' …' if len(missing) > 5 else ''}"
            )
    return notes
