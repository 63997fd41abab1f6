"""Runs by experiment: those that differ only in their seed belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.configs.registry import experiment_settings
from stopcli.runs.run import Run


@dataclass(frozen=True)
class Experiment:
    """Runs that differ only in their seed."""

    label: str
    runs: tuple[Run, ...]


def experiment_of(run: Run) -> Mapping[str, Any]:
    """The command and the settings that a run shares with runs of other seeds, by name."""
    return {"command": run.command, **experiment_settings(run.command, run.settings)}


def experiments_of(runs: Iterable[Run]) -> list[Experiment]:
    """Runs by experiment, in the order in which each first appears, with labels that tell them apart."""
    groups: list[tuple[Mapping[str, Any], list[Run]]] = []
    for run in runs:
        for settings, group in groups:
            if settings == experiment_of(run):
                group.append(run)
                break
        else:
            groups.append((experiment_of(run), [run]))
    labels = [f"{group[0].command} {group[0].arm}" for _, group in groups]
    folders = [group[0].sweep or group[0].path for _, group in groups]
    # By the folder that they lie in, its name or its path; in one sweep by the run's own, whose rules may have changed.
    for names in ([folder.name for folder in folders], map(str, folders), [group[0].path.name for _, group in groups]):
        labels = _distinct(labels, list(names))
    return [Experiment(label, tuple(group)) for label, (_, group) in zip(labels, groups, strict=True)]


def _distinct(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Labels that are given several times with different names, each with its name in brackets."""
    pairs = list(zip(labels, names, strict=True))
    names_of = {label: {name for other, name in pairs if other == label} for label in labels}
    return [f"{label} ({name})" if len(names_of[label]) > 1 else label for label, name in pairs]
