"""The data of a run that is resumed: where they are now, and whether they are the same.

A path belongs to the machine; a run depends on the rows. So the place may change, and the hash of all rows in a saved
state may not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stopcli.config import read_toml
from stopcli.counts import counted
from stopcli.errors import ConfigError
from stopcli.recipes.beginning import rewrite_config
from stopcli.runs.folder import RunFolder
from stopcli.sweeps.plan import Job
from stopcli.training.fingerprint import changed_error

# Data sets that come with a package, by name.
NOT_IN_FILES = {
    "moons": "scikit-learn's two moons, which lie in no file",
    "digits": "scikit-learn's digits, which lie in no file of yours",
}


def dataset_of(config: Any) -> str:
    """The data set of a command, also where it has no setting for it."""
    return str(getattr(config, "dataset", config.command))


def check_can_move(config: Any, dataset: str) -> None:
    """Raise ConfigError where the data of a run lie in no files that could have moved."""
    if not in_files(config):
        data = NOT_IN_FILES[dataset_of(config)]
        raise ConfigError("dataset", dataset, f"nothing: the data of this run are {data}")


def in_files(config: Any) -> bool:
    """Whether the data of a run lie in files, which can move."""
    return dataset_of(config) not in NOT_IN_FILES


def where_else(config: Any, run: Path) -> str:
    """A hint for data that are not in their place any more; empty where they lie in no files."""
    return f"If the data are elsewhere now: stopcli resume {run} --dataset PATH" if in_files(config) else ""


def other_data(config: Any) -> str:
    """A hint for other data in the place of the run's own; empty where they lie in no files."""
    return f"The data were read from {config.dataset}; --dataset PATH names another place." if in_files(config) else ""


def changed_data(config: Any, saved: Iterable[str], now: str, *, force: bool) -> list[str]:
    """How the data differ from those that a run, or the runs of a sweep, were started with, a line for each.

    A sweep is checked before any of its runs is resumed: a run that has not started has nothing to compare them with.

    Args:
        saved: the hash of the data in each saved state.
        now: that of the data as they are.

    Raises:
        RequestError: they differ, and that was not forced.
    """
    others = Counter(data for data in saved if data != now)
    in_runs = {data: f" in {counted(count, 'run')}" if config.is_sweep else "" for data, count in others.items()}
    changed = [f"data: was {data!r}{where}, is {now!r}" for data, where in in_runs.items()]
    if changed and not force:
        raise changed_error(changed, hint=other_data(config))
    return changed


def move_jobs(jobs: Sequence[Job[Any]], folder: RunFolder, dataset: str) -> None:
    """Write the place of the data into the config of every run of a sweep that has a folder, finished ones too."""
    for job in jobs:
        path = folder.jobs / job.name
        if (path / "config.toml").is_file() and read_toml(path / "config.toml").get("dataset", dataset) != dataset:
            with RunFolder.reopen(path) as of_job:
                for change in rewrite_config(of_job, {"dataset": dataset}):
                    of_job.log(change)
