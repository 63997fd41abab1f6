"""What the JSON files of a run folder hold, as shapes: whatever somebody made of a file is found out where it is read.

A shape is a leaf, a list of one shape, or an object's shapes by key. A key that ends in `?` may be missing from a whole
file; `*` stands for all keys that are not named. Keys that are not named at all may hold anything: they are another
version's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stopcli.errors import shown

Shape = Any


@dataclass(frozen=True)
class Leaf:
    """A value that is looked at as a whole.

    Attributes:
        expected: what it has to be, in words.
    """

    expected: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class Maybe:
    """A shape, or null."""

    shape: Shape


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_table(value: Any) -> bool:
    """Whether it is what `Table.for_summary` wrote, perhaps without a title: rows of as many cells as columns."""
    if not isinstance(value, dict):
        return False
    rows, sums = value.get("rows"), value.get("sums", 0)
    if not isinstance(rows, list) or type(sums) is not int or not 0 <= sums <= len(rows):
        return False
    lists = [value.get("columns"), *rows]
    if not all(isinstance(cells, list) and all(isinstance(cell, str) for cell in cells) for cells in lists):
        return False
    return len({len(cells) for cells in lists}) == 1 and isinstance(value.get("title", ""), str)


TEXT = Leaf("text", lambda value: isinstance(value, str))
FLAG = Leaf("true or false", lambda value: isinstance(value, bool))
COUNT = Leaf("a whole number ≥ 0", lambda value: type(value) is int and value >= 0)
POSITIVE = Leaf("a whole number ≥ 1", lambda value: type(value) is int and value >= 1)
NUMBER = Leaf("a number", _is_number)
TABLE = Leaf("a table: columns, and rows of as many cells", _is_table)
# Part of a path below the run's folder.
NAME = Leaf("a name", lambda value: isinstance(value, str) and bool(re.fullmatch(r"[\w.-]{1,80}", value)))
ANYTHING = Leaf("anything", lambda _: True)

_VALUES = {"*": Maybe(NUMBER)}
_MODEL = {"epoch": COUNT, "train?": _VALUES, "test?": _VALUES, "val?": _VALUES}
_STOP = {
    "reason": TEXT, "rule": TEXT, "epoch": COUNT, "wait": COUNT, "best_epoch": COUNT, "best_value": Maybe(NUMBER),
    "margin": Maybe(NUMBER),
}  # fmt: skip
_CHOSEN = {"monitor": TEXT, "epoch": COUNT, "value": NUMBER, "test_accuracy": NUMBER}
_INTERVAL = Maybe({"right": COUNT, "rows": COUNT, "low": NUMBER, "high": NUMBER})

# Of everything that leaves a summary.json.
_ANY_SUMMARY = {
    "command": TEXT, "state": TEXT, "name?": TEXT, "reason?": TEXT, "arm?": TEXT, "scale?": TEXT, "dataset?": TEXT,
    "seed?": COUNT, "seeds?": POSITIVE, "finished?": COUNT, "epochs?": COUNT, "max_epochs?": COUNT, "steps?": COUNT,
    "steps_per_epoch?": POSITIVE, "copies?": POSITIVE, "parameters?": COUNT, "monitor?": TEXT, "conclusions?": [TEXT],
    "warnings?": [TEXT], "seconds?": {"*": NUMBER}, "samples_per_second?": Maybe(NUMBER),
    "train_seconds?": Maybe(NUMBER), "validation_seconds?": Maybe(NUMBER), "projected_train_seconds?": Maybe(NUMBER),
    "rows?": {"test?": COUNT, "*": COUNT}, "stop?": Maybe(_STOP), "final?": Maybe(_MODEL), "best?": Maybe(_MODEL),
    "test_interval?": Maybe({"*": _INTERVAL}), "table?": TABLE, "test_rows_chose?": FLAG,
    "bounds?": Maybe({"base_lr": NUMBER, "max_lr": NUMBER}),
    "jobs?": [{"name": TEXT, "state": TEXT, "reason": TEXT}],
    "report?": {"title": TEXT, "words": [TEXT], "tables": [TABLE], "figures": [NAME]},
}  # fmt: skip
# What else has to be there, by what it is a summary of.
_OF_TRAINING = {
    "scale": TEXT, "dataset": TEXT, "seed": COUNT, "warnings": [TEXT], "seconds": {"*": NUMBER},
}  # fmt: skip
_OF_RUN = {
    **_OF_TRAINING,
    "epochs": COUNT, "max_epochs": COUNT, "parameters": COUNT, "monitor": TEXT, "stop": _STOP, "best": Maybe(_MODEL),
    "final": {"epoch": COUNT, "train": _VALUES, "test": _VALUES, "val?": _VALUES}, "rows": {"test": COUNT, "*": COUNT},
    "train_seconds": NUMBER, "selection?": Maybe({"honest": _CHOSEN, "claimed": _CHOSEN}),
}  # fmt: skip
_OF_SWEEP = {**_OF_TRAINING, "reason": TEXT, "finished": COUNT, "test_rows_chose": FLAG, "conclusions": [TEXT]}
_OF_RANGE_TEST = {**_OF_TRAINING, "reason": TEXT, "finished": COUNT, "seeds": POSITIVE, "conclusions": [TEXT]}

_STATUS = {
    "state": TEXT, "reason?": TEXT, "epoch?": COUNT, "outside?": FLAG, "started?": TEXT, "heartbeat?": TEXT,
    "process?": {"host": TEXT, "pid": COUNT},
    "progress?": {
        "metrics?": _VALUES, "samples_per_second?": NUMBER, "seconds?": NUMBER, "seconds_left?": NUMBER,
        "updates?": COUNT,
    },
}  # fmt: skip
_COMPUTES_ON = {"cpu?": TEXT, "cores?": COUNT, "gpus?": [TEXT], "variables?": {"*": TEXT}}
_SESSION = {
    "from_epoch": COUNT, "argv?": [TEXT], "versions?": {"*": TEXT}, "computes_with?": {"*": ANYTHING},
    "computes_otherwise?": [TEXT], "notes?": [TEXT],
}  # fmt: skip
_ENVIRONMENT = {
    **_COMPUTES_ON,
    "argv?": [TEXT], "versions?": {"*": TEXT}, "platform?": TEXT, "executor?": TEXT, "precision?": TEXT,
    "threads?": {"intra_op?": COUNT, "inter_op?": COUNT}, "init_from?": {"*": ANYTHING}, "resumed?": [_SESSION],
}  # fmt: skip
_REPRODUCTION = {"command": TEXT, "scale": TEXT, "experiments": [{"name": TEXT}]}
_SEEDS = {"fingerprint": {"*": ANYTHING}, "seeds": {"*": {"updates": COUNT, "ended": TEXT}}}

_BY_FILE: Mapping[str, Shape] = {
    "status.json": _STATUS,
    "summary.json": _ANY_SUMMARY,
    "environment.json": _ENVIRONMENT,
    "seeds.json": _SEEDS,
}


def misfit(file_name: str, values: Any) -> str:
    """Where the values of a file are not what stopcli writes; empty where they are.

    What is missing is no misfit: an older version did not write it.

    Args:
        file_name: which file of a run folder it is; of others nothing is known.
    """
    shape = _BY_FILE.get(file_name, {})
    if file_name == "summary.json" and isinstance(values, dict) and values.get("command") == "reproduce":
        shape = _REPRODUCTION
    return _misfit(shape, values, (), whole=False)


def missing_in_summary(values: Mapping[str, Any]) -> str:
    """What a summary.json lacks, or has otherwise, of what its results are shown from; empty for nothing."""
    shapes = [_ANY_SUMMARY]
    if "stop" in values or not ("table" in values or "jobs" in values):
        shapes.append(_OF_RUN)
    if "jobs" in values:
        shapes.append({**_OF_SWEEP, "table": TABLE})
    elif values.get("command") == "lr-range":
        shapes.append({**_OF_RANGE_TEST, "table": TABLE})
    return next(filter(None, (_misfit(shape, values, (), whole=True) for shape in shapes)), "")


def _misfit(shape: Shape, value: Any, place: tuple[str, ...], *, whole: bool) -> str:
    """The first value that does not fit.

    Args:
        whole: whether keys that are missing count.
    """
    if isinstance(shape, Maybe):
        return "" if value is None else _misfit(shape.shape, value, place, whole=whole)
    if isinstance(shape, Leaf):
        return "" if shape.fits(value) else _words(place, value, shape.expected)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _words(place, value, "a list")
        items = (_misfit(shape[0], item, (*place, str(i)), whole=whole) for i, item in enumerate(value, start=1))
        return next(filter(None, items), "")
    if not isinstance(value, dict):
        return _words(place, value, "values by name")
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if whole and name == key and key != "*" and key not in value:
            return f"{'.'.join((*place, name))}: missing"
        others = [each for each in value if each not in shape and f"{each}?" not in shape] if key == "*" else [name]
        for each in others:
            if each in value and (found := _misfit(inner, value[each], (*place, each), whole=whole)):
                return found
    return ""


def _words(place: tuple[str, ...], value: Any, expected: str) -> str:
    where = f"{'.'.join(place)}: " if place else ""
    return f"{where}received {shown(value)}, expected {expected}"
