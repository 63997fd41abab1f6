"""Runs that lie on the disk, as far as their files tell: read without TensorFlow, whatever command made them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stopcli.config import read_toml
from stopcli.errors import RunFolderError
from stopcli.paths import check_path
from stopcli.runs.files import read_json
from stopcli.runs.folder import check_is_run, holds_no_run
from stopcli.runs.listing import read_runs
from stopcli.runs.metrics import Columns, read_metrics

# Settings that say how or where a run is made, or which of several it is; none of them is its experiment.
NOT_THE_EXPERIMENT = frozenset(
    (
        *("name", "seed", "seeds", "scale", "save_every", "tensorboard"),
        *("executor", "jobs", "ray_address", "keep_going", "threads"),
    )
)


@dataclass(frozen=True)
class RecordedRun:
    """A run that was made, by its folder.

    Attributes:
        sweep: the sweep's folder that it is a job of; None where it stands alone.
        settings: of its config.toml, unchecked, without the command.
        summary: of its summary.json; empty where it never got so far.
        state: as in its status.json, or `died`.
    """

    path: Path
    sweep: Path | None
    command: str
    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    state: str

    @property
    def seed(self) -> int:
        return int(self.settings.get("seed", 0))

    @property
    def arm(self) -> str:
        """What distinguishes it from its sweep's other runs; a lone run's name, or its folder's."""
        if self.sweep is not None:
            return re.sub(r"-seed\d+$", "", self.path.name)
        return str(self.settings.get("name") or self.path.name)

    @property
    def experiment(self) -> Mapping[str, Any]:
        """The settings that it shares with runs of other seeds, by name."""
        kept = {key: value for key, value in self.settings.items() if key not in NOT_THE_EXPERIMENT}
        return {"command": self.command, **kept}

    @property
    def finished(self) -> bool:
        return self.state == "finished"

    @cached_property
    def metrics(self) -> Columns:
        """Its metrics.csv: all complete epochs.

        Raises:
            RequestError: there is none, or it is damaged.
        """
        return read_metrics(self.path / "metrics.csv")


def training_seconds(summary: Mapping[str, Any]) -> float | None:
    """Seconds that a run trained for, without validation, from its summary.json; None where it does not tell.

    What every table, file and figure calls training time. Where epochs are so short that a call of the compiled loop
    both trains and validates, they are not told apart.
    """
    seconds = summary.get("train_seconds")
    if not isinstance(seconds, (int, float)):
        return None
    if "train_and_validation_seconds" not in summary:
        # Of a stopcli that counted validation in.
        seconds -= summary.get("validation_seconds") or 0.0
    return float(seconds)


@dataclass(frozen=True)
class Experiment:
    """Runs that differ by their seed alone."""

    label: str
    runs: tuple[RecordedRun, ...]


def without_studies(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Folders without those that hold no run, such as a comparison's, which `runs/*` names too; and a sentence, without
    a full stop, on each that is passed over."""
    kept, told = [], []
    for path in paths:
        check_path(path)
        check_path(path / "status.json")
        if holds_no_run(path):
            told.append(f"{path} holds no run (a study of runs, or one that never began); it is passed over")
        else:
            kept.append(path)
    return kept, told


def read_recorded(paths: Iterable[Path]) -> list[RecordedRun]:
    """The runs in some folders, each a run's or a sweep's, whose jobs it stands for; each run once.

    Raises:
        RunFolderError: a folder is no run's, is a sweep's in which no job was begun, or holds a damaged run.
    """
    found: dict[Path, RecordedRun] = {}
    for path in paths:
        check_is_run(path)
        for run in _jobs(path) if (path / "jobs").is_dir() else [_read(path, None)]:
            found.setdefault(run.path.resolve(), run)
    return list(found.values())


def experiments_of(runs: Iterable[RecordedRun]) -> list[Experiment]:
    """Runs by experiment, in the order in which each first appears, with labels that tell them apart."""
    groups: list[tuple[Mapping[str, Any], list[RecordedRun]]] = []
    for run in runs:
        for settings, group in groups:
            if settings == run.experiment:
                group.append(run)
                break
        else:
            groups.append((run.experiment, [run]))
    labels = [f"{group[0].command} {group[0].arm}" for _, group in groups]
    folders = [group[0].sweep or group[0].path for _, group in groups]
    # By the folder that they lie in, its name or its path; in one sweep by the run's own, whose rules may have changed.
    own = [group[0].path.name for _, group in groups]
    for places in ([folder.name for folder in folders], [str(folder) for folder in folders], own):
        pairs = list(zip(labels, places, strict=True))
        places_of = {label: {place for other, place in pairs if other == label} for label in labels}
        labels = [f"{label} ({place})" if len(places_of[label]) > 1 else label for label, place in pairs]
    return [Experiment(label, tuple(group)) for label, (_, group) in zip(labels, groups, strict=True)]


def _jobs(sweep: Path) -> list[RecordedRun]:
    begun = [path for path in (sweep / "jobs").iterdir() if (path / "config.toml").is_file()]
    if not begun:
        raise RunFolderError(f"{sweep}: a sweep of which no run was begun yet")
    # As the plan has them, not as the file system does: by arm as first planned, then by seed.
    planned = [job["name"] for job in read_json(sweep / "summary.json").get("jobs") or ()]
    order = {name: i for i, name in enumerate(planned)}
    runs = [_read(path, sweep) for path in begun]
    return sorted(runs, key=lambda run: (order.get(run.path.name, len(order)), run.arm, run.seed))


def _read(path: Path, sweep: Path | None) -> RecordedRun:
    settings, summary = read_toml(path / "config.toml"), read_json(path / "summary.json")
    (line,) = read_runs(path.parent, only=path)
    if line.state == "damaged":
        raise RunFolderError(
            f"{path}/{line.reason}", hint=f"Leave the run out; or stopcli resume {path} writes the file again."
        )
    command, seed = str(settings.pop("command", "")), settings.get("seed", 0)
    if type(seed) is not int:
        raise RunFolderError(f"{path / 'config.toml'}: seed: received {seed!r}, expected a whole number")
    return RecordedRun(path, sweep, command, settings, summary, line.state)
