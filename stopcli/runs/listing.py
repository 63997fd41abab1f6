"""Which runs of a folder are listed, and in which order: filters, and sorting by any metric that they have recorded."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from stopcli.errors import ConfigError, RequestError, did_you_mean
from stopcli.runs.headline import base_name
from stopcli.runs.run import Run
from stopcli.stopping.rule import Direction, natural_direction

if TYPE_CHECKING:
    from stopcli.runs.metrics import Columns

# Columns of metrics.csv that are no metrics.
_COUNTS = ("epoch", "step")
STATES = ("running", "finished", "paused", "interrupted", "failed", "died", "damaged")


@dataclass(frozen=True)
class RunFilter:
    """What runs have in common. Empty and None select all.

    Attributes:
        commands, states: any of these.
        name: a part of the folder's name, or a pattern with `*`, `?` or `[…]` for all of it; or for that of `--name`.
        newer_than, older_than: seconds since the run was started. A run whose start is not known is neither.
    """

    commands: tuple[str, ...] = ()
    name: str = ""
    states: tuple[str, ...] = ()
    newer_than: float | None = None
    older_than: float | None = None

    def select(self, runs: Sequence[Run], known_commands: Collection[str] = ()) -> list[Run]:
        """The runs that have all of it, in their order.

        Args:
            known_commands: that no run need have.

        Raises:
            ConfigError: a command or a state is none that a run can have.
        """
        commands = {*known_commands, *(run.label("command") for run in runs)} - {""} if self.commands else ()
        for setting, values, known in (("command", self.commands, commands), ("state", self.states, STATES)):
            for value in values:
                if value not in known:
                    expected = f"one of {', '.join(known if setting == 'state' else sorted(known))}"
                    raise ConfigError(setting, value, expected, hint=did_you_mean(value, known))
        return [run for run in runs if self._matches(run)]

    def _matches(self, run: Run) -> bool:
        return (
            (not self.commands or run.label("command") in self.commands)
            and (not self.states or run.state in self.states)
            and (not self.name or self._has_name(run))
            and self._has_age(run)
        )

    def _has_name(self, run: Run) -> bool:
        if not {*self.name} & {*"*?["}:
            return self.name in run.path.name or self.name in run.label("name")
        return any(fnmatch.fnmatchcase(name, self.name) for name in (run.path.name, run.label("name")))

    def _has_age(self, run: Run) -> bool:
        if self.newer_than is None and self.older_than is None:
            return True
        age = run.age_seconds
        if age is None:
            return False
        is_new = self.newer_than is None or age <= self.newer_than
        return is_new and (self.older_than is None or age >= self.older_than)


class BestValue(NamedTuple):
    """The best value that a run has of a metric, and its epoch."""

    epoch: int
    value: float


@dataclass(frozen=True)
class Order:
    """Runs by a column: those that were started last come last, otherwise the largest or the best first.

    Attributes:
        column: started, name, size, epochs, state, or a metric.
        reverse: the other way round. Runs without the metric stay last.
        direction: of the metric; None for what its name, its run's headline or monitor says.
    """

    column: str = "started"
    reverse: bool = False
    direction: Direction | None = None

    COLUMNS: ClassVar = ("started", "name", "size", "epochs", "state")

    @property
    def metric(self) -> str:
        """The metric that sorts; empty for a column of the list."""
        return "" if self.column in self.COLUMNS else self.column

    def sort(self, runs: Sequence[Run]) -> list[tuple[Run, BestValue | None]]:
        """The runs in order, each with the value that it is sorted by where that is a metric's.

        Raises:
            RequestError: the column is none, and no run has a metric of that name; or it is not known whether its
                lower or its higher values are better.
        """
        if self.metric:
            return self._by_metric(runs)
        # Those whose start is not known come first, as they do in `runs_in`.
        first = datetime.min.replace(tzinfo=timezone.utc)
        keys = {
            "started": lambda run: run.started or first,
            "name": lambda run: run.path.name,
            "size": lambda run: -run.bytes_on_disk,
            "epochs": lambda run: -epochs_of(run),
            "state": lambda run: run.state,
        }
        return [(run, None) for run in sorted(runs, key=keys[self.column], reverse=self.reverse)]

    def _by_metric(self, runs: Sequence[Run]) -> list[tuple[Run, BestValue | None]]:
        if not runs:
            return []
        direction = self._direction(runs)
        # Without keeping what is read: thousands of epochs of each of a thousand runs.
        values = [best_value(run, self.column, direction or "min") for run in runs]
        valued = [(run, value) for run, value in zip(runs, values, strict=True) if value is not None]
        if not valued:
            raise self._unknown(runs)
        if direction is None:
            expected = "a metric whose name says which values are better"
            raise ConfigError("sort", self.column, expected, hint="--mode min or --mode max says it.")
        valued.sort(key=lambda item: item[1].value, reverse=(direction == "max") != self.reverse)
        return [*valued, *((run, None) for run, value in zip(runs, values, strict=True) if value is None)]

    def _direction(self, runs: Sequence[Run]) -> Direction | None:
        """The direction that was given, or that the metric has by its name, or in a run whose headline it is."""
        name = base_name(self.column)
        headlines = (run.headline.direction for run in runs if run.headline.name == name)
        return self.direction or natural_direction(name) or next(headlines, None)

    def _unknown(self, runs: Sequence[Run]) -> RequestError:
        metrics = dict.fromkeys(name for run in runs for name in _metric_names(run))
        known = [*self.COLUMNS, *metrics]
        return ConfigError("sort", self.column, f"one of {', '.join(known)}", hint=did_you_mean(self.column, known))


def epochs_of(run: Run) -> int:
    """The epochs that a run has trained; of a sweep, those of its longest."""
    return getattr(run.summary, "epochs", run.status.epoch)


def best_value(run: Run, metric: str, direction: Direction) -> BestValue | None:
    """The best value of a metric over the epochs of a run, or of the runs of a sweep: in metrics.csv, else of the
    models in summary.json. None where it has none, none that is finite, or is damaged."""
    if run.damage:
        # Its folder may be one that may not be read.
        return None
    jobs = run.path / "jobs"
    runs = [Run.read(path) for path in sorted(jobs.iterdir())] if jobs.is_dir() else [run]
    sign = 1 if direction == "min" else -1
    values = [value for part in runs for value in _recorded(part, metric, sign) or _of_models(part, metric)]
    return min(values, key=lambda best: sign * best.value, default=None)


def _recorded(run: Run, metric: str, sign: int) -> list[BestValue]:
    """The best finite value of a metric in metrics.csv, which is the least after it was multiplied by the sign; none
    where there is no such column, or the file cannot be read."""
    columns = _columns(run)
    if metric not in columns or metric in _COUNTS:
        return []
    import numpy as np

    values = columns[metric]
    finite = np.flatnonzero(np.isfinite(values))
    if not finite.size:
        return []
    best = finite[np.argmin(sign * values[finite])]
    return [BestValue(int(columns["epoch"][best]), float(values[best]))]


def _of_models(run: Run, metric: str) -> list[BestValue]:
    """The values of a metric of the final and of the saved model, on the rows that its prefix names."""
    rows, name = metric.partition("_")[0], base_name(metric)
    rows = "train" if name == metric else rows
    models = [run.results.final, run.results.best] if run.results else []
    values = [(model.epoch, model.get(rows, name)) for model in models if model is not None]
    return [BestValue(epoch, value) for epoch, value in values if value is not None]


def _columns(run: Run) -> Columns:
    """Its metrics.csv, read and not remembered: a folder may hold a thousand runs. Empty where it cannot be read, which
    `show` and `report` say."""
    try:
        columns = replace(run).metrics
    except RequestError:
        return {}
    return columns if "epoch" in columns else {}


def _metric_names(run: Run) -> list[str]:
    """The metrics that a run has recorded, in the order of their columns."""
    return [name for name in _columns(run) if name not in _COUNTS]
