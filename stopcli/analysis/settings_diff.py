"""In what arms differ beside their results: settings, test rows, machines, versions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.analysis.arms import RunArm
from stopcli.analysis.experiments import experiment_of
from stopcli.configs.options import settings_with
from stopcli.configs.registry import COMMANDS, config_class
from stopcli.configs.training import TrainingConfig
from stopcli.quantities import counted, in_words
from stopcli.runs.environment import read_environment
from stopcli.runs.run import Run

UNSET = "–"
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


def settings_of(arms: Sequence[RunArm]) -> Settings:
    """How the settings of arms differ. One that a config lacks, because it has no value or because an older version
    knew no such setting, is unset."""
    experiments = [experiment_of(arm.runs[0].run) for arm in arms]
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


def seeds_of(arm: RunArm) -> str:
    """The seeds of an arm in few words: `0 to 9`, `0, 3, 4`."""
    return in_words([result.run.seed for result in arm.runs])


def other_test_rows(arm: RunArm, other: RunArm) -> list[str]:
    """The settings by which two arms are measured on different test rows, with both values; none for the same."""
    rows, other_rows = _test_rows(arm), _test_rows(other)
    # Of other data, the rest follows.
    names = ["dataset"] if rows["dataset"] != other_rows["dataset"] else list(dict.fromkeys([*rows, *other_rows]))
    # A share that was asked for may be what is taken where none is.
    if "validation_share" in names and _rows_of(arm) == _rows_of(other) != (None, None):
        names.remove("validation_share")
    return [
        f"{name} {_text(other_rows.get(name))} and {_text(rows.get(name))}"
        for name in names
        if _text(rows.get(name)) != _text(other_rows.get(name))
    ]


def _rows_of(arm: RunArm) -> tuple[object, object]:
    """How many rows validate and how many test, as far as its summary tells."""
    results = arm.runs[0].run.results
    return (results.rows.validation, results.rows.test) if results else (None, None)


def _test_rows(arm: RunArm) -> dict[str, Any]:
    run = arm.runs[0].run
    known = config_class(run.command) if run.command in COMMANDS else TrainingConfig
    deciding = settings_with(known, "test-rows")
    rows = {name: value for name, value in run.settings.items() if name in deciding}
    rows.setdefault("dataset", run.results.dataset if run.results else run.command)
    if run.settings.get("validation") == "holdout":
        rows |= {"validation": "holdout", "validation_share": run.settings.get("validation_share")}
    return rows


def experiments_differ(arms: Sequence[RunArm]) -> list[str]:
    """A warning where the arms are no variants of one experiment."""
    commands = dict.fromkeys(arm.runs[0].run.command for arm in arms)
    if len(commands) == 1:
        return []
    return [f"these are different experiments ({', '.join(commands)}): what differs may be due to anything"]


def machine_of(arm: RunArm) -> str:
    """On what an arm's runs were computed, as far as their environment.json tell."""
    return " / ".join(dict.fromkeys(_machine(result.run) for result in arm.runs))


def environments_differ(arms: Sequence[RunArm]) -> list[str]:
    """Warnings where machines or versions are not the same for all runs, or are not known any more."""
    runs = [result.run.path for arm in arms for result in arm.runs]
    damages = [f"{run}/{damage}" for run in runs if (damage := read_environment(run)[1])]
    warnings = [f"{damage}: the machine and the versions it was made with are unknown" for damage in damages]
    machines = _labels_by_value(arms, _machine)
    if len(machines) > 1:
        on = "; ".join(f"{', '.join(labels)} on {machine}" for machine, labels in machines.items())
        warnings.append(f"they ran on different machines ({on}), so a difference in time may be due to that")
    versions = _labels_by_value(arms, _made_with)
    if len(versions) > 1:
        by = "; ".join(f"{', '.join(labels)} with {text}" for text, labels in versions.items())
        warnings.append(f"they were made with different versions ({by})")
    return warnings


def _labels_by_value(arms: Sequence[RunArm], value_of: Callable[[Run], str]) -> dict[str, list[str]]:
    """Labels of arms by a value of their runs."""
    labels: dict[str, list[str]] = {}
    for arm in arms:
        for value in dict.fromkeys(value_of(result.run) for result in arm.runs):
            labels.setdefault(value, []).append(arm.label)
    return labels


def _machine(run: Run) -> str:
    environment = run.environment
    if "cpu" not in environment:
        return "an unknown machine"
    gpus = len(environment.get("gpus", ()))
    threads = environment.get("threads", {}).get("intra_op", 0)
    cores = counted(environment["cores"], "core") if "cores" in environment else "? cores"
    parts = [f"{environment['cpu']}, {cores}"]
    parts += [counted(gpus, "GPU")] if gpus else []
    parts += [counted(threads, "thread")] if threads else []
    parts += [str(environment["precision"])] if environment.get("precision", "float32") != "float32" else []
    return ", ".join(parts)


def _made_with(run: Run) -> str:
    versions = run.environment.get("versions", {})
    return ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions) or "unknown versions"
