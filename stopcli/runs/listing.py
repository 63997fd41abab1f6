"""The runs in a folder, as far as their files tell: read without TensorFlow."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stopcli.counts import counted
from stopcli.errors import RunFolderError, system_words
from stopcli.runs.files import read_checked
from stopcli.runs.lock import is_held


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
