"""A recording: a CSV file of metrics that another program wrote, read as a run. Several are seeds of one experiment, or
arms that are compared."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stopcli.quantities import counted
from stopcli.runs.environment import Environment
from stopcli.runs.headline import ACCURACY, Headline, base_name, headline_of, rows_of
from stopcli.runs.run import Run, read_runs
from stopcli.runs.status import Status

if TYPE_CHECKING:
    from stopcli.runs.csv_columns import CsvColumns, Mask
    from stopcli.runs.metrics import Columns
    from stopcli.stopping.rule import Direction

# A number at the end of a name, and what is left without it: `lstm-seed` and 3 of `lstm-seed3`.
_NUMBERED = re.compile(r"(.*?)(\d{1,18})")
# The same where a seed is called so.
_SEEDED = re.compile(r"(.*?)[-_. ]*seed[-_=. ]?(\d{1,18})", re.IGNORECASE)
# A folder that stands for one run: `version_3` is Lightning's.
_FOLDER_OF_RUN = re.compile(r"(?:.*[-_. ])?(?:version|seed|run)[-_=. ]?(\d{1,18})|(\d{1,18})", re.IGNORECASE)
# What is read as a run's folder, or refused, although it is a file.
_NO_RECORDINGS = (".toml", ".keras")
# Of more folders or files, their number is named.
_MOST_NAMED = 3


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Run):
    """A CSV file as a run. What it cannot know, such as settings or how many epochs were planned, is not there.

    Attributes:
        content: what was read from it.
        group: what it is a run of, the same for all seeds of it.
        group_name: what the group is called.
        number: its seed, or where no name says one, its number in its group.
        states_seed: whether its name says its seed.
        metric: that the user names; empty for none.
        direction: of that metric, where the user says it.
    """

    content: CsvColumns = field(default=None, repr=False)  # type: ignore[assignment]
    group: tuple[str, ...] = ()
    group_name: str = ""
    number: int = 0
    states_seed: bool = False
    metric: str = ""
    direction: Direction | None = None

    @property
    def metrics(self) -> Columns:
        return self.content.columns

    @property
    def recorded_epochs(self) -> int:
        return len(self.content.columns["epoch"])

    @cached_property
    def missing(self) -> Mapping[str, Mask]:
        return self.content.missing

    @property
    def command(self) -> str:
        return "csv"

    @property
    def config(self) -> Mapping[str, Any]:
        return {}

    @property
    def environment(self) -> Environment:
        return {}

    @property
    def title(self) -> str:
        return self.group_name

    @property
    def seed(self) -> int:
        return self.number

    @property
    def arm(self) -> str:
        return self.group_name

    @cached_property
    def bytes_on_disk(self) -> int:
        return self.path.stat().st_size

    @cached_property
    def headline(self) -> Headline:
        """That of the metric that the user names, unless that is a loss beside which it has another metric; else of the
        first validated one whose name says which is better."""
        headline = self._headline_by_name()
        of_it = (values for name, values in self.metrics.items() if base_name(name) == headline.name)
        return headline.seen_in_columns(of_it)

    def _headline_by_name(self) -> Headline:
        named = headline_of(self.metric, self.direction) if self.metric else None
        if named is not None and base_name(self.metric) != "loss":
            return named
        columns = [name for name in self.metrics if rows_of(name) != "train" and base_name(name) != "loss"]
        others = (headline_of(name) for name in columns)
        return next(filter(None, others), None) or named or headline_of("loss") or ACCURACY


def read_recording(path: Path, metric: str = "", mode: str = "auto") -> Recording:
    """Read a CSV file; see `read_csv_columns`.

    Args:
        metric: that the user names, and `mode` which is better, `auto` for what its name says.

    Raises:
        RequestError: it cannot be read, or is not such a file.
    """
    from stopcli.runs.csv_columns import read_csv_columns

    content = read_csv_columns(path)
    direction: Direction | None = None if mode == "auto" else mode  # type: ignore[assignment]
    status = Status(state="finished", epoch=len(content.columns["epoch"]))
    return Recording(path, status, content=content, metric=metric, direction=direction, group_name=path.stem)


def is_recording(path: Path) -> bool:
    """Whether a path that a user names is a file to be read as a recording, and not the folder of a run."""
    return os.path.exists(path) and not os.path.isdir(path) and path.suffix not in _NO_RECORDINGS  # noqa: PTH110, PTH112


def read_runs_and_recordings(
    paths: Iterable[Path], *, by: Literal["columns", "folders"], metric: str = "", mode: str = "auto"
) -> list[Run]:
    """The runs of folders (`read_runs`) and CSV files, in their order, each once.

    Args:
        by: what makes several CSV files seeds of one experiment: the same columns; or, where they are to be compared,
            the same folder, or in one folder a name that differs by `seed` and a number.
        metric, mode: as for `read_recording`.

    Raises:
        RequestError: one of them cannot be read.
    """
    runs: dict[Path, Run] = {}
    for path in paths:
        for run in [read_recording(path, metric, mode)] if is_recording(path) else read_runs([path]):
            runs.setdefault(run.path.resolve(), run)
    recordings = [run for run in runs.values() if isinstance(run, Recording)]
    grouped = iter(_by_columns(recordings) if by == "columns" else _by_folders(recordings))
    return [next(grouped) if isinstance(run, Recording) else run for run in runs.values()]


def _by_columns(recordings: Sequence[Recording]) -> list[Recording]:
    grouped = [replace(recording, group=tuple(sorted(recording.metrics))) for recording in recordings]
    groups = _groups(grouped)
    names = [_name_of(paths) for paths in groups.values()]
    return _numbered(grouped, groups, [names])


def _by_folders(recordings: Sequence[Recording]) -> list[Recording]:
    paths = [_located(recording) for recording in recordings]
    folders = [path.parent for path in paths]
    # Folders of single runs stand for their seeds, where then there still is something to compare.
    above = [folder.parent if _FOLDER_OF_RUN.fullmatch(folder.name) else folder for folder in folders]
    folders = above if len(set(above)) > 1 else folders
    several = len(set(folders)) > 1
    bases = [match[1] if (match := _SEEDED.fullmatch(path.stem)) else "" if several else path.stem for path in paths]
    grouped = [
        replace(recording, group=(str(folder), base))
        for recording, folder, base in zip(recordings, folders, bases, strict=True)
    ]
    groups = _groups(grouped)
    pairs = [(Path(folder).name or folder, base) for folder, base in groups]
    return _numbered(
        grouped,
        groups,
        [
            [base or folder for folder, base in pairs],
            [folder for folder, _ in pairs],
            [f"{folder} {base}".strip() for folder, base in pairs],
        ],
    )


def _located(recording: Recording) -> Path:
    """Its path from the root, with the name that the user gives it."""
    return recording.path.parent.resolve() / recording.path.name


def _groups(recordings: Sequence[Recording]) -> dict[tuple[str, ...], list[Path]]:
    """The paths of recordings by group."""
    groups: dict[tuple[str, ...], list[Path]] = {}
    for recording in recordings:
        groups.setdefault(recording.group, []).append(_located(recording))
    return groups


def _numbered(
    recordings: Sequence[Recording], groups: Mapping[tuple[str, ...], Sequence[Path]], names: Sequence[Sequence[str]]
) -> list[Recording]:
    """Recordings with the names and the seeds of their groups.

    Args:
        names: of the groups, in several ways, of which the first that tells them apart is taken.
    """
    distinct = [labels for labels in names if len(set(labels)) == len(labels)]
    by_path = [f"{name} ({os.path.relpath(paths[0])})" for name, paths in zip(names[0], groups.values(), strict=True)]
    name_of = dict(zip(groups, distinct[0] if distinct else by_path, strict=True))
    seeds = {group: iter(_seeds(paths)) for group, paths in groups.items()}
    return [
        replace(recording, group_name=name_of[recording.group], **next(seeds[recording.group]))
        for recording in recordings
    ]


def _seeds(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The seeds that the names of a group's files say, or those of their folders; their numbers where they do not, or
    say one twice."""
    for names in ([path.stem for path in paths], [path.parent.name for path in paths]):
        matches = [_NUMBERED.fullmatch(name) for name in names]
        seeds = [int(match[2]) for match in matches if match]
        if len(seeds) == len(set(seeds)) == len(paths):
            return [{"number": seed, "states_seed": True} for seed in seeds]
    return [{"number": number, "states_seed": False} for number in range(len(paths))]


def _name_of(paths: Sequence[Path]) -> str:
    """What some files are together: the only one's name, what their names share, or their folders."""
    if len(paths) == 1:
        return paths[0].stem
    bases = {match[1] if (match := _SEEDED.fullmatch(path.stem)) else "" for path in paths}
    if len(bases) == 1 and any(bases):
        return bases.pop()
    folders = list(dict.fromkeys(path.parent for path in paths))
    above = list(dict.fromkeys(folder.parent for folder in folders))
    if len(folders) > 1 and len(above) == 1 and all(_FOLDER_OF_RUN.fullmatch(folder.name) for folder in folders):
        folders = above
    return ", ".join(folder.name for folder in folders) if len(folders) <= _MOST_NAMED else counted(len(paths), "file")


def notes_of(runs: Iterable[Run]) -> list[str]:
    """What recordings are read otherwise than they are written, a sentence without a full stop each."""
    names: dict[str, list[str]] = {}
    for run in runs:
        for note in run.content.notes if isinstance(run, Recording) else ():
            names.setdefault(note, []).append(str(run.path))
    return [f"{note}: {_listed(paths)}" for note, paths in names.items()]


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(paths[:_MOST_NAMED]) + more
