"""In what arms differ beside their results: settings, test rows, machines, versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stopcli.counts import agreeing, counted, in_words
from stopcli.runs.files import read_checked, read_json
from stopcli.studies.compare.things import Arm

UNSET = "–"
# The settings that decide which rows test, beside those of how many of them validate.
_TEST_ROWS = ("dataset", "image_size", "test_limit", "data_seed", "samples", "noise", "train_size")
_VERSIONS = ("stopcli", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Settings:
    """Settings of arms.

    Attributes:
        differ: those that differ, by name: the values as text, in the order of the arms.
        same: how many are the same.
    """

    differ: Mapping[str, tuple[str, ...]]
    same: int


def settings_of(arms: Sequence[Arm]) -> Settings:
    """How the settings of arms differ. One that a config lacks, because it has no value or because an older version
    knew no such setting, is unset."""
    experiments = [arm.first.experiment for arm in arms]
    names = list(dict.fromkeys(name for experiment in experiments for name in experiment))
    texts = {name: tuple(_text(experiment.get(name)) for experiment in experiments) for name in names}
    differ = {name: values for name, values in texts.items() if len(set(values)) > 1}
    return Settings(differ, len(names) - len(differ))


def _text(value: object) -> str:
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or UNSET
    # `1` and `1.0` are the same number.
    return f"{value:.10g}" if isinstance(value, float) else str(value) or UNSET


def seeds_of(arm: Arm) -> str:
    """The seeds of an arm in few words: `0 to 9`, `0, 3, 4`."""
    return in_words([outcome.run.seed for outcome in arm.outcomes])


def other_test_rows(arm: Arm, other: Arm) -> list[str]:
    """The settings by which two arms are measured on different test rows, with both values; none for the same."""
    ours, theirs = _test_rows(arm), _test_rows(other)
    # Of other data, the rest follows.
    names = ["dataset"] if ours["dataset"] != theirs["dataset"] else list(dict.fromkeys([*ours, *theirs]))
    # A share that was asked for may be what is taken where none is.
    if "validation_share" in names and _rows_of(arm) == _rows_of(other) != (None, None):
        names.remove("validation_share")
    return [
        f"{name} {_text(theirs.get(name))} and {_text(ours.get(name))}"
        for name in names
        if _text(ours.get(name)) != _text(theirs.get(name))
    ]


def _rows_of(arm: Arm) -> tuple[object, object]:
    """How many rows validate and how many test, as far as its summary tells."""
    rows = arm.first.summary.get("rows") or {}
    return rows.get("validation"), rows.get("test")


def _test_rows(arm: Arm) -> dict[str, Any]:
    run = arm.first
    rows = {name: run.settings[name] for name in _TEST_ROWS if name in run.settings}
    rows.setdefault("dataset", run.summary.get("dataset", run.command))
    if run.settings.get("validation") == "holdout":
        rows |= {"validation": "holdout", "validation_share": run.settings.get("validation_share")}
    return rows


def experiments_differ(arms: Sequence[Arm]) -> list[str]:
    """A warning where the arms are no variants of one experiment."""
    commands = dict.fromkeys(arm.first.command for arm in arms)
    if len(commands) == 1:
        return []
    return [f"these are different experiments ({', '.join(commands)}): what differs may be due to anything"]


def machine_of(arm: Arm) -> str:
    """On what an arm's runs were computed, as far as their environment.json tell."""
    told = dict.fromkeys(_machine(outcome.run.path) for outcome in arm.outcomes)
    return " / ".join(told)


def environments_differ(arms: Sequence[Arm]) -> list[str]:
    """Warnings where machines or versions are not the same for all runs, or are not known any more."""
    runs = [outcome.run.path for arm in arms for outcome in arm.outcomes]
    damaged = [f"{run}/{damage}" for run in runs if (damage := read_checked(run / "environment.json")[1])]
    told = [f"{words}: with what it was made is not known" for words in damaged]
    found = _by_value(arms, _machine)
    if len(found) > 1:
        on = "; ".join(f"{', '.join(labels)} on {machine}" for machine, labels in found.items())
        told.append(f"their times are of different machines ({on}), so a difference in time may be theirs")
    found = _by_value(arms, _made_with)
    if len(found) > 1:
        by = "; ".join(f"{', '.join(labels)} with {versions}" for versions, labels in found.items())
        told.append(f"they were made with different versions ({by})")
    return told


def _by_value(arms: Sequence[Arm], value_of: Callable[[Path], str]) -> dict[str, list[str]]:
    """Labels of arms by a value of their runs."""
    found: dict[str, list[str]] = {}
    for arm in arms:
        for value in dict.fromkeys(value_of(outcome.run.path) for outcome in arm.outcomes):
            found.setdefault(value, []).append(arm.label)
    return found


@cache
def _environment(run: Path) -> Mapping[str, Any]:
    return read_json(run / "environment.json")


def _machine(run: Path) -> str:
    made = _environment(run.resolve())
    if "cpu" not in made:
        return "an unknown machine"
    gpus = len(made.get("gpus") or ())
    threads = (made.get("threads") or {}).get("intra_op") or 0
    cores = made.get("cores", "?")
    parts = [f"{made['cpu']}, {cores} {agreeing(cores, 'core', 'cores')}"]
    parts += [counted(gpus, "GPU")] if gpus else []
    parts += [counted(threads, "thread")] if threads else []
    parts += [str(made["precision"])] if made.get("precision", "float32") != "float32" else []
    return ", ".join(parts)


def _made_with(run: Path) -> str:
    versions = _environment(run.resolve()).get("versions") or {}
    return ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions) or "unknown versions"
