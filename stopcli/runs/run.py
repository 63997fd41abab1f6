"""A run, a sweep or an analysis as its folder describes it: read without TensorFlow, whatever command left it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import RunFolderError, system_words
from stopcli.paths import check_path
from stopcli.quantities import counted
from stopcli.runs.environment import Environment, read_environment
from stopcli.runs.files import read_checked, read_toml
from stopcli.runs.folder import Status, check_is_run, holds_no_run, is_held
from stopcli.runs.summary import AnalysisSummary, RangeSummary, RunSummary, Summary, SweepSummary, parse_summary
from stopcli.runs.typed_json import from_json

if TYPE_CHECKING:
    from stopcli.runs.metrics import Columns

NOT_STARTED = "not begun"


@dataclass(frozen=True)
class Run:
    """A folder's status and summary at the time of reading; its other files are read when they are first used.

    Attributes:
        status: of its status.json; without one, the run has not started.
        summary: of its summary.json; None where there is none (yet), or where the file is damaged.
        damages: what is wrong with status.json and summary.json, each beginning with the file's name.
        sweep: the folder of the sweep that it belongs to; None for a single run.
    """

    path: Path
    status: Status
    summary: Summary | None = None
    damages: tuple[str, ...] = ()
    sweep: Path | None = None

    @classmethod
    def read(cls, path: Path, sweep: Path | None = None) -> Run:
        """Read a folder, which need not exist. Damaged files are no error here."""
        status, status_damage = read_checked(path / "status.json", lambda values: from_json(Status, values))
        summary, summary_damage = read_checked(path / "summary.json", parse_summary)
        # Of a damaged status nothing is known.
        absent = Status(state="damaged" if status_damage else NOT_STARTED)
        return cls(path, status or absent, summary, tuple(filter(None, (status_damage, summary_damage))), sweep)

    @property
    def damage(self) -> str:
        """The first of its damages; empty for none."""
        return next(iter(self.damages), "")

    @cached_property
    def state(self) -> str:
        """As in status.json; `died` where that is `running` and no process holds the folder; `damaged` where
        status.json or summary.json is."""
        if self.damage:
            return "damaged"
        if self.status.state == "running" and not is_held(self.path):
            return "died"
        return self.status.state

    @property
    def reason(self) -> str:
        """Why it is in this state; empty where it needs no reason."""
        return self.damage or self.status.reason

    @property
    def finished(self) -> bool:
        return self.state == "finished"

    @property
    def results(self) -> RunSummary | None:
        """The summary of a single run; None where it has none."""
        return self.summary if isinstance(self.summary, RunSummary) else None

    @property
    def diverged(self) -> bool:
        """Whether it failed because a metric was not finite, and would again."""
        return self.status.state == "failed" and self.results is not None and self.results.diverged

    @property
    def progress(self) -> str:
        """Epochs done, of how many where that is known; for a sweep its runs, for a range test its seeds. A dash where
        nothing is trained, or where it is not known."""
        summary = self.summary
        if isinstance(summary, SweepSummary):
            return f"{summary.finished}/{counted(len(summary.jobs), 'run')}"
        if isinstance(summary, RunSummary):
            return f"{summary.epochs}/{summary.max_epochs}"
        if isinstance(summary, RangeSummary):
            return f"{summary.finished}/{counted(summary.seeds, 'seed')}"
        if isinstance(summary, AnalysisSummary) or self.status.state == "damaged":
            return "–"
        return str(self.status.epoch)

    @cached_property
    def age_seconds(self) -> float | None:
        """Since it was started; None where that is not known."""
        try:
            started = datetime.fromisoformat(self.status.started)
        except ValueError:
            return None
        if started.tzinfo is None:
            started = started.replace(tzinfo=timezone.utc)
        return max((datetime.now(timezone.utc) - started).total_seconds(), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """A line of `stopcli list --json`."""
        results = self.results
        return {
            "path": str(self.path),
            "state": self.state,
            "reason": self.reason,
            "epochs": self.progress,
            "monitor": getattr(self.summary, "monitor", ""),
            "best_epoch": results.stop.best_epoch if results else 0,
            "best_value": results.stop.best_value if results else None,
            "age_seconds": self.age_seconds,
        }

    @cached_property
    def _config(self) -> dict[str, Any]:
        return read_toml(self.path / "config.toml")

    @property
    def command(self) -> str:
        return str(self._config.get("command", ""))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The settings in its config.toml, unchecked, without the command. Raises RequestError where the file is
        missing or damaged."""
        return {name: value for name, value in self._config.items() if name != "command"}

    @property
    def seed(self) -> int:
        seed = self.settings.get("seed", 0)
        if type(seed) is not int:
            raise RunFolderError(f"{self.path / 'config.toml'}: seed: received {seed!r}, expected a whole number")
        return seed

    @property
    def arm(self) -> str:
        """What distinguishes it from its sweep's other runs; the name of a single run, or of its folder."""
        if self.sweep is not None:
            return re.sub(r"-seed\d+$", "", self.path.name)
        return str(self.settings.get("name") or self.path.name)

    @cached_property
    def environment(self) -> Environment:
        """Its environment.json; empty where there is none, or it is damaged."""
        return read_environment(self.path)[0]

    @cached_property
    def metrics(self) -> Columns:
        """Its metrics.csv: all complete epochs. Raises RequestError where there is none, or it is damaged."""
        from stopcli.runs.metrics import read_metrics

        return read_metrics(self.path / "metrics.csv")


def runs_in(root: Path) -> list[Run]:
    """The runs directly in a folder, in the order in which they were started. Other folders are skipped. Raises
    RunFolderError where the folder cannot be read."""
    try:
        runs = [Run.read(path) for path in root.iterdir() if _may_be_run(path)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{root}: cannot be read as a folder of runs ({system_words(error)})") from None
    return sorted(runs, key=lambda run: -(run.age_seconds or 0.0))


def _may_be_run(path: Path) -> bool:
    try:
        return (path / "status.json").is_file()
    except OSError:
        # A folder that may not be read is listed as damaged.
        return path.is_dir()


def without_analyses(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Folders without those that hold no run, such as a comparison's, which `runs/*` names too; and a sentence, without
    a full stop, on each that is skipped."""
    folders, warnings = [], []
    for path in paths:
        check_path(path)
        check_path(path / "status.json")
        if holds_no_run(path):
            warnings.append(f"{path} holds no run (an analysis of runs, or one that never started); it is skipped")
        else:
            folders.append(path)
    return folders, warnings


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs in folders of runs and sweeps; each run once. Raises RunFolderError where a folder is not a run's, is a
    sweep's in which no run has started, or holds a damaged run."""
    runs: dict[Path, Run] = {}
    for path in paths:
        check_is_run(path)
        for run in _jobs(path) if (path / "jobs").is_dir() else [_whole(Run.read(path))]:
            runs.setdefault(run.path.resolve(), run)
    return list(runs.values())


def _jobs(sweep: Path) -> list[Run]:
    started = [path for path in (sweep / "jobs").iterdir() if (path / "config.toml").is_file()]
    if not started:
        raise RunFolderError(f"{sweep}: a sweep in which no run has started yet")
    summary = Run.read(sweep).summary
    # In the order of the plan: by arm, then by seed.
    planned = [job.name for job in summary.jobs] if isinstance(summary, SweepSummary) else []
    order = {name: i for i, name in enumerate(planned)}
    runs = [_whole(Run.read(path, sweep)) for path in started]
    return sorted(runs, key=lambda run: (order.get(run.path.name, len(order)), run.arm, run.seed))


def _whole(run: Run) -> Run:
    """The run itself, after a check that its files can be read. Raises RunFolderError where status.json, summary.json
    or the seed in config.toml is damaged."""
    if run.damage:
        raise RunFolderError(
            f"{run.path}/{run.damage}",
            hint=f"Leave the run out; or stopcli resume {run.path} writes the file again.",
        )
    _ = run.seed
    return run
