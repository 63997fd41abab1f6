"""The runs in a folder, as far as their files tell: read without TensorFlow.

Runs that lie on the disk, as far as their files tell: read without TensorFlow, whatever command made them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from stopcli.errors import RunFolderError, system_words
from stopcli.paths import check_path
from stopcli.quantities import counted
from stopcli.runs.files import read_checked, read_json, read_toml
from stopcli.runs.folder import check_is_run, holds_no_run, is_held
from stopcli.runs.metrics import Columns, read_metrics


@dataclass(frozen=True)
class RunLine:
    """A run in a line.

    Attributes:
        state: as in status.json; `died` where it says `running` and no process holds the folder; `damaged` where
            status.json or summary.json is no such file (any more), and `reason` then says why.
        epochs: done of how many, as text.
        monitor, best_epoch, best_value: the best epoch for stopping; None where there is none yet.
        age_seconds: since the run was begun; None where that is not known.
    """

    path: Path
    state: str
    reason: str
    epochs: str
    monitor: str
    best_epoch: int
    best_value: float | None
    age_seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def read_runs(root: Path, only: Path | None = None) -> list[RunLine]:
    """The runs directly in a folder, by the time they were begun. Folders that are no runs are passed over.

    Args:
        only: just this one of them.

    Raises:
        RequestError: the folder cannot be read.
    """
    folders = _runs_in(root) if only is None else [only]
    lines = [_line(path) for path in folders]
    return sorted(lines, key=lambda line: -(line.age_seconds or 0.0))


def _runs_in(root: Path) -> list[Path]:
    try:
        return [path for path in root.iterdir() if _may_be_run(path)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{root}: cannot be read as a folder of runs ({system_words(error)})") from None


def _may_be_run(path: Path) -> bool:
    try:
        return (path / "status.json").is_file()
    except OSError:
        # One that may not be looked into is shown as what it is.
        return path.is_dir()


def _line(path: Path) -> RunLine:
    status, status_damage = read_checked(path / "status.json")
    summary, summary_damage = read_checked(path / "summary.json")
    state, reason = status.get("state", "unknown"), status.get("reason", "")
    if state == "running" and not is_held(path):
        state = "died"
    if status_damage or summary_damage:
        state, reason = "damaged", status_damage or summary_damage
    stop = summary.get("stop") or {}
    done = summary.get("epochs", status.get("epoch", 0))
    if "jobs" in summary:
        epochs = f"{summary.get('finished', 0)}/{counted(len(summary['jobs']), 'run')}"
    elif "max_epochs" in summary:
        epochs = f"{done}/{summary['max_epochs']}"
    elif "seeds" in summary and "table" in summary:
        epochs = f"{summary.get('finished', 0)}/{counted(summary['seeds'], 'seed')}"
    elif "table" in summary or status_damage:
        # A study of runs, which trains nothing; or it is not known.
        epochs = "–"
    else:
        epochs = str(done)
    best_value = stop.get("best_value")
    return RunLine(
        path,
        state,
        reason,
        epochs,
        summary.get("monitor", ""),
        stop.get("best_epoch", 0),
        None if best_value is None else float(best_value),
        _age(status.get("started")),
    )


def _age(started: str | None) -> float | None:
    try:
        begun = datetime.fromisoformat(started or "")
    except ValueError:
        return None
    if begun.tzinfo is None:
        begun = begun.replace(tzinfo=timezone.utc)
    return max((datetime.now(timezone.utc) - begun).total_seconds(), 0.0)


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
