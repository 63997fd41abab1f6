"""What arms are called: as briefly as tells them apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stopcli.runs.recorded import RecordedRun

# A run that nobody gave a name or a folder.
_BY_TIME = re.compile(r"\d{8}T\d{6}Z-")
# More settings in a label are no label.
_MOST_SETTINGS = 2


def short_labels(arms: Sequence[tuple[str, RecordedRun]]) -> list[str]:
    """Labels without the command where it is the same for all, and in the place of folders' times, as far as that tells
    them apart, the settings by which they differ.

    Args:
        arms: each with the label that it has, and a run of it.
    """
    commands = {run.command for _, run in arms}
    labels = []
    for label, run in arms:
        short = label.removeprefix(f"{run.command} ") if len(commands) == 1 else label
        # An arm's name is a folder's, of words between hyphens.
        labels.append(short.replace(run.arm, run.arm.replace("-", " "), 1) if run.sweep is not None else short)
    told = _by_settings([run for _, run in arms])
    for i, (_, run) in enumerate(arms):
        nameless = run.sweep is None and not run.settings.get("name") and _BY_TIME.match(run.path.name)
        if nameless and told[i] and told.count(told[i]) == 1 and told[i] not in labels:
            labels[i] = told[i]
    # Short is no use where it is the same.
    return labels if len(set(labels)) == len(labels) else [label for label, _ in arms]


def _by_settings(runs: Sequence[RecordedRun]) -> list[str]:
    """The settings by which runs differ, as words; empty where they are too many."""
    experiments = [run.experiment for run in runs]
    names = dict.fromkeys(name for experiment in experiments for name in experiment)
    differ = [name for name in names if any(each.get(name) != experiments[0].get(name) for each in experiments)]
    if len(differ) > _MOST_SETTINGS:
        return [""] * len(runs)
    return [", ".join(_words(name, experiment.get(name)) for name in differ) for experiment in experiments]


def _words(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if value is None or value is False:
        return f"no {words}"
    if value is True:
        return words
    return f"{words} {' '.join(map(str, value)) if isinstance(value, list) else value}"
