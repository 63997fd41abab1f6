"""A run, a sweep or an analysis as its folder describes it: read without TensorFlow, whatever command left it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stopcli.errors import RequestError, RunFolderError, did_you_mean, shortened, system_words
from stopcli.paths import check_path, quoted
from stopcli.quantities import counted
from stopcli.runs.environment import Environment, read_environment
from stopcli.runs.files import read_checked, read_toml
from stopcli.runs.folder import (
    RUN_FILES,
    RUNS_DIR_VARIABLE,
    TRASH_PREFIX,
    check_is_run,
    folder_bytes,
    holds_no_run,
    is_held,
    runs_root,
)
from stopcli.runs.headline import ACCURACY, Headline, configured_headline
from stopcli.runs.status import Status
from stopcli.runs.summary import (
    FOREIGN,
    RECORDED,
    AnalysisSummary,
    RangeSummary,
    RunSummary,
    Summary,
    SweepSummary,
    parse_summary,
)
from stopcli.runs.typed_json import from_json

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self

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

    def __repr__(self) -> str:
        """In a line: what it is, where, its state and progress, and the best value of the metric that it monitors."""
        progress = "" if self.progress == "–" else f", {self.progress}"
        if progress and (self.summary is None or self.results):
            progress += " epochs"
        stop, best = self.results and self.results.stop, ""
        if self.results and stop and stop.best_value is not None:
            best = f", best {self.results.monitor} {stop.best_value:.4g} at epoch {stop.best_epoch}"
        reason = f" ({shortened(' '.join(self.reason.split()))})" if self.reason else ""
        return f"<{type(self).__name__} {str(self.path)!r}: {self.state}{reason}{progress}{best}>"

    @classmethod
    def read(cls, path: Path, sweep: Path | None = None) -> Self:
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
    def headline(self) -> Headline:
        """The metric that counts in it. Without a summary, a recorded run and one of a user's file have it in their
        config.toml; in a run of stopcli's own models it is the accuracy."""
        if self.summary is None and self.label("command"):
            return configured_headline(self.config) or ACCURACY
        return getattr(self.summary, "headline", ACCURACY)

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
            return str(summary.epochs) if summary.max_epochs is None else f"{summary.epochs}/{summary.max_epochs}"
        if isinstance(summary, RangeSummary):
            return f"{summary.finished}/{counted(summary.seeds, 'seed')}"
        if isinstance(summary, AnalysisSummary) or self.status.state == "damaged":
            return "–"
        return str(self.status.epoch)

    @cached_property
    def started(self) -> datetime | None:
        """When it was started, or last resumed; None where that is not known."""
        try:
            started = datetime.fromisoformat(self.status.started)
        except ValueError:
            return None
        return started if started.tzinfo is not None else started.replace(tzinfo=timezone.utc)

    @property
    def age_seconds(self) -> float | None:
        """Since it was started; None where that is not known."""
        return None if self.started is None else max((datetime.now(timezone.utc) - self.started).total_seconds(), 0.0)

    @cached_property
    def bytes_on_disk(self) -> int:
        """The sizes of its files together."""
        return folder_bytes(self.path)

    def to_dict(self) -> dict[str, Any]:
        """A line of `stopcli list --json`."""
        results = self.results
        return {
            "path": str(self.path),
            "command": self.label("command"),
            "name": self.label("name"),
            "state": self.state,
            "reason": self.reason,
            "epochs": self.progress,
            "monitor": getattr(self.summary, "monitor", ""),
            "best_epoch": results.stop.best_epoch if results else 0,
            "best_value": results.stop.best_value if results else None,
            "age_seconds": self.age_seconds,
            "bytes": self.bytes_on_disk,
        }

    def label(self, key: Literal["command", "name"]) -> str:
        """Its command or its name, by its summary, else by its config.toml; empty where neither can be read."""
        if self.summary is not None:
            return str(getattr(self.summary, key))
        try:
            return str(self.config.get(key, ""))
        except RequestError:
            return ""

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Its config.toml, unchecked: the command and all settings. Raises RequestError where the file is missing or
        damaged."""
        return read_toml(self.path / "config.toml")

    @property
    def command(self) -> str:
        return str(self.config.get("command", ""))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """`config` without the command."""
        return {name: value for name, value in self.config.items() if name != "command"}

    @property
    def seed(self) -> int:
        seed = self.settings.get("seed", 0)
        if type(seed) is not int:
            raise RunFolderError(f"{self.path / 'config.toml'}: seed: received {seed!r}, expected a whole number")
        return seed

    @property
    def test_rows_validate(self) -> bool:
        """Whether the rows that validate are the test rows, as they are in stopcli's own commands unless they say
        otherwise. Whatever else was recorded has test values only where it says so."""
        return self.command not in FOREIGN and self.settings.get("validation", "test") == "test"

    @property
    def arm(self) -> str:
        """What distinguishes it from its sweep's other runs; the name of a single run, or of its folder."""
        if self.sweep is not None:
            return re.sub(r"-seed\d+$", "", self.path.name)
        return str(self.settings.get("name") or self.path.name)

    @property
    def title(self) -> str:
        """Its command and its arm."""
        return f"{self.command} {self.arm}"

    @property
    def group(self) -> tuple[str, ...]:
        """What beside its settings it shares with runs of other seeds: of recordings which files belong together."""
        return ()

    @property
    def states_seed(self) -> bool:
        """Whether its seed is on record, so that it can be paired with another run of it."""
        return True

    @cached_property
    def environment(self) -> Environment:
        """Its environment.json; empty where there is none, or it is damaged."""
        return read_environment(self.path)[0]

    @cached_property
    def metrics(self) -> Columns:
        """Its metrics.csv: all complete epochs. Raises RequestError where there is none, or it is damaged."""
        from stopcli.runs.metrics import read_metrics

        return read_metrics(self.path / "metrics.csv", recorded=self.command == RECORDED)

    @property
    def recorded_epochs(self) -> int:
        """Epochs in its metrics.csv; 0 where there is none. Raises RequestError where it is damaged."""
        return len(self.metrics["epoch"]) if (self.path / "metrics.csv").is_file() else 0

    @cached_property
    def missing(self) -> Mapping[str, NDArray[Any]]:
        """Of the metrics that were not measured after every epoch, after which not, bool of shape [epochs]. Known once
        `metrics` could be read."""
        if self.command != RECORDED or not self.recorded_epochs:
            return {}
        from stopcli.runs.metrics import empty_cells

        return empty_cells(self.path / "metrics.csv")


def runs_in(root: Path) -> list[Run]:
    """The runs directly in a folder, in the order in which they were started. Other folders are skipped. Raises
    RunFolderError where the folder cannot be read."""
    runs = [Run.read(root / name) for name in run_names(root)]
    # Those whose status cannot be read come first, so that the last is the newest.
    return sorted(runs, key=lambda run: run.started or datetime.min.replace(tzinfo=timezone.utc))


def run_names(root: Path) -> list[str]:
    """The names of the runs in a folder, in alphabetical order: that of their times, where stopcli named them. Raises
    RunFolderError where the folder cannot be read."""
    try:
        return sorted(path.name for path in root.iterdir() if _may_be_run(path))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{root}: cannot be read as a folder of runs ({system_words(error)})") from None


def _may_be_run(path: Path) -> bool:
    if path.name.startswith(TRASH_PREFIX):
        return False
    try:
        return (path / "status.json").is_file()
    except OSError:
        # A folder that may not be read is listed as damaged.
        return path.is_dir()


LAST = "last"
# What files are called that a RUN can be, or is taken for one.
_FILES = (".csv", ".tsv", ".txt", ".keras", ".toml")
# So many names are listed where the beginning of a name fits several.
_MOST_LISTED = 8


def resolve_run(named: Path, root: Path, *, analyses: bool = False) -> Path:
    """The path that a RUN on the command line means.

    A path that exists is meant as it is; a file in a run's folder, such as its config.toml, means the folder. Else the
    last part of the path names a run in the folder that the others name, and a single word one in the runs folder: as
    `stopcli list` prints it, or as much of its beginning as no other run there has, or `last` for the one that was
    started last. In a sweep, `SWEEP/NAME` and `SWEEP/jobs/NAME` name its runs.

    Args:
        root: the runs folder.
        analyses: whether an analysis of runs can be meant by `last` and by the beginning of a name.

    Raises:
        RunFolderError: no run has the name, or several begin so.
        RequestError: the system refuses the path.
    """
    check_path(named)
    if named.exists():
        return _folder_of(named)
    folder = root if named.parent == Path() else resolve_run(named.parent, root)
    check_path(folder / named.name)
    if not (folder / named.name).exists() and (folder / "jobs").is_dir():
        folder /= "jobs"
    path = folder / named.name
    return _folder_of(path) if path.exists() else folder / _run_name(named, folder, analyses=analyses)


def _folder_of(path: Path) -> Path:
    """The run's folder, where the path is that of a file in one."""
    is_file_of_run = path.name in RUN_FILES and path.is_file() and (path.parent / "status.json").is_file()
    return path.parent if is_file_of_run else path


def _run_name(named: Path, folder: Path, *, analyses: bool) -> str:
    """The full name of the run in a folder that `last` or the beginning of a name means."""
    names = run_names(folder) if folder.is_dir() else []
    if named.name == LAST:
        runs = [run for run in runs_in(folder) if analyses or not holds_no_run(run.path)] if names else []
        if not runs:
            raise RunFolderError(f"{named}: there is no run in {folder}", hint=_RUNS_DIR_HINT)
        return runs[-1].path.name
    similar = [name for name in names if name.startswith(named.name)]
    similar = [name for name in similar if analyses or not holds_no_run(folder / name)] or similar
    if len(similar) == 1:
        return similar[0]
    if similar:
        newest = similar[-_MOST_LISTED:]
        more = f", and {len(similar) - len(newest)} older" if len(similar) > len(newest) else ""
        raise RunFolderError(
            f"{named}: the names of {len(similar)} runs in {folder} begin so",
            hint=f"Which one? {', '.join(newest)}{more}",
        )
    if named.suffix in _FILES:
        files = [path.name for path in named.parent.glob(f"*{named.suffix}")]
        raise RunFolderError(f"{named}: no such file", hint=did_you_mean(named.name, files))
    raise RunFolderError(
        f"{named}: no such folder, and no run in {folder} has a name that begins so",
        hint=f"Did you mean {nearest}?" if (nearest := _nearest(named.name, names)) else _RUNS_DIR_HINT,
    )


def complete_run(text: str, root: Path) -> list[str]:
    """The names of runs that a command line may be completed to, the arguments as of `resolve_run`.

    None where the text is the beginning of a path, which shells complete themselves.
    """
    sweep, slash, _ = text.rpartition("/")
    try:
        if not slash:
            names = run_names(root)
            return [name for name in [*names, *([LAST] if names else [])] if name.startswith(text)]
        if os.path.exists(sweep):  # noqa: PTH110
            return []
        folder = resolve_run(Path(sweep), root)
        names = run_names(folder if folder.name == "jobs" else folder / "jobs")
    except RequestError:
        return []
    return [name for name in (f"{sweep}/{name}" for name in names) if name.startswith(text)]


_RUNS_DIR_HINT = (
    f"stopcli list shows the names of runs; --runs-dir or {RUNS_DIR_VARIABLE} names the folder they are in."
)


def _nearest(text: str, names: list[str]) -> str:
    """The name that is most like a text, or the newest that contains it; empty for none."""
    # Without their times, which nobody types.
    containing = [name for name in names if text in name]
    if containing:
        return containing[-1]
    from difflib import get_close_matches

    short = {re.sub(r"^\d{8}T\d{6}Z-", "", name): name for name in names}
    close = get_close_matches(text, [*names, *short], n=1)
    return short.get(close[0], close[0]) if close else ""


def run_argument(path: Path) -> str:
    """How a command that is typed in the working folder names a run: by its name in the runs folder, else by its path.

    Of a sweep's run it is `SWEEP/NAME`.
    """
    is_job = path.parent.name == "jobs" and (path.parent.parent / "status.json").is_file()
    run = path.parent.parent if is_job else path
    name = f"{run.name}/{path.name}" if is_job else path.name
    in_runs_folder = run.parent.resolve() == runs_root(None).resolve()
    # A path of this name in the working folder would be meant instead.
    text = name if in_runs_folder and not Path(name).exists() else str(path)
    return f"./{text}" if text.startswith("-") else text


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
            hint=f"Leave the run out; or stopcli resume {quoted(run.path)} writes the file again.",
        )
    _ = run.seed
    return run
