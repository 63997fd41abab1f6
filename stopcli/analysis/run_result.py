"""What a run came to: by its summary, or where it has none, by the epochs on record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from stopcli.runs.headline import base_name, rows_of
from stopcli.runs.metrics import Columns
from stopcli.runs.recording import Recording
from stopcli.runs.run import Run
from stopcli.runs.summary import RECORDED, ModelValues, RunSummary
from stopcli.stopping.rule import resolve_direction

Values = Mapping[str, float]
# Columns of metrics.csv that are none.
NO_METRICS = ("epoch", "step", "learning_rate")


@dataclass(frozen=True)
class RunResult:
    """A run's results; what is not known is missing.

    Attributes:
        final, saved: of the model that training ended with and of the best one, loaded from its file: `train_loss`,
            `val_accuracy`, `test_accuracy` and so on, and its `epoch`. Where no rows are set apart, those that validate
            are the test rows.
        refit: the same of the refit; empty where there is none.
        cost: `epochs`, `updates`, `rows` that were trained on, copies counted, `train_seconds`, without validation, and
            `validation_seconds`.
        columns: of its metrics.csv; empty where there is none, no complete epoch in it, or no need of it.
        reason: why training stopped; empty where it just ended.
        measured: whether the models were measured, and not read from the epochs on record.
    """

    run: Run
    final: Values
    saved: Values
    cost: Values
    columns: Columns = field(default_factory=dict, repr=False)
    reason: str = ""
    measured: bool = True
    refit: Values = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.run.results.seed if self.run.results else self.run.seed

    def value(self, name: str) -> float | None:
        """One of its values; None where it has none.

        Args:
            name: a part of the cost; a value of a model behind its view (`final_test_accuracy`), and where the metric
                that counts is a proportion, what is missing to 1 (`saved_test_error`); or a column of metrics.csv in
                the last epoch, or in that of its lowest or its highest value (`last_val_loss`, `lowest_val_loss`).
        """
        row = self._row(name)
        return self._values.get(name) if row is None else float(self.columns[name.partition("_")[2]][row])

    def epoch(self, name: str) -> float | None:
        """The epoch that a value is of."""
        row = self._row(name)
        if row is not None:
            return float(self.columns["epoch"][row])
        models = {"saved": self.saved, "refit": self.refit}
        return models.get(name.partition("_")[0], self.final).get("epoch")

    def recorded(self, name: str, beside: str) -> float | None:
        """A value as it was recorded in the epoch that another value is of, such as `train_loss`; None where there is
        no such epoch on record, or no value in it."""
        row = self._row(beside)
        return None if row is None else _row_values(self.run, self.columns, row).get(name)

    def _row(self, name: str) -> int | None:
        """Where in its column a value stands; None where it is of no column, or there is no finite number."""
        which, _, column = name.partition("_")
        values = self.columns.get(column, ())
        if which not in ("last", "lowest", "highest") or not len(values):
            return None
        row = best_row(values, lower=which == "lowest")
        if which == "last":
            # The last epoch in which it was measured.
            row = len(values) - 1 - int(np.argmin(self.run.missing.get(column, np.zeros(1))[::-1]))
        return None if row is None or not math.isfinite(values[row]) else row

    @cached_property
    def _values(self) -> Values:
        values, headline = dict(self.cost), self.run.headline
        for view, model in (("final", self.final), ("saved", self.saved), ("refit", self.refit)):
            values |= {f"{view}_{name}": value for name, value in model.items()}
            for rows in ("train", "val", "test"):
                if headline.kind == "proportion" and f"{rows}_{headline.name}" in model:
                    values[f"{view}_{rows}_error"] = 1 - model[f"{rows}_{headline.name}"]
        return values


def result_of(run: Run, columns: Columns) -> RunResult | None:
    """What a run came to; None where it has no complete epoch.

    Args:
        columns: of its metrics.csv; empty where there is none, or no complete epoch in it.
    """
    # A run that went on and died since has a summary of the time before.
    if run.state not in ("died", "running") and run.results:
        return measured_result(run, run.results, columns)
    if not columns:
        return None
    last = len(columns["epoch"]) - 1
    saved = _saved_row(run, columns)
    saved_values = {} if saved is None else _row_values(run, columns, saved)
    cost = {"epochs": float(columns["epoch"][last])}
    # A recorder counts epochs where it knows of no updates.
    cost |= {"updates": float(columns["step"][last])} if "step" in columns and run.command != RECORDED else {}
    reason = "end_of_file" if isinstance(run, Recording) else ""
    return RunResult(run, _row_values(run, columns, last), saved_values, cost, columns, reason, measured=False)


def measured_result(run: Run, summary: RunSummary, columns: Columns | None = None) -> RunResult:
    """What a run came to by its summary.

    Args:
        columns: of its metrics.csv, where they are needed.
    """
    cost = {
        "epochs": summary.epochs,
        "updates": summary.steps,
        "rows": summary.rows_seen,
        "train_seconds": summary.train_seconds,
        "validation_seconds": summary.validation_seconds,
    }
    final, saved = _model_values(summary.final), _model_values(summary.best)
    # It was trained on the rows that validate.
    refit = {name: value for name, value in _model_values(summary.model("refit")).items() if rows_of(name) != "val"}
    if summary.refit:
        refit["updates"] = float(summary.refit.updates)
    return RunResult(run, final, saved, _finite(cost), columns or {}, summary.stop.reason, refit=refit)


def _model_values(model: ModelValues | None) -> dict[str, float]:
    if model is None:
        return {}
    values: dict[str, float | None] = {"epoch": model.epoch}
    for rows, measured in {"train": model.train, "test": model.test, "val": model.validated}.items():
        values |= {f"{rows}_{name}": value for name, value in (measured or {}).items()}
    return _finite(values)


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    """Without what is not known or not finite: a loss that became infinite is null in a summary."""
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _row_values(run: Run, columns: Columns, row: int) -> Values:
    """An epoch on record as the values of the model that it ended with, as far as they are the same."""
    recorded = {name: float(values[row]) for name, values in columns.items() if name not in NO_METRICS}
    values = {"epoch": float(columns["epoch"][row])}
    for name, value in recorded.items():
        rows, base = rows_of(name), base_name(name)
        values[f"{rows}_{base}"] = value
        # Where no rows were set apart, those that validate are the test rows.
        if rows == "val" and run.test_rows_validate:
            values[f"test_{base}"] = value
    return _finite(values)


def _saved_row(run: Run, columns: Columns) -> int | None:
    """The row of the epoch whose model was saved as the best; None where none was."""
    headline = run.headline
    monitor = str(run.settings.get("checkpoint_monitor", headline.column("val")))
    if monitor not in columns or not run.settings.get("checkpoint", True):
        return None
    mode = str(run.settings.get("checkpoint_mode", "auto"))
    if mode == "auto" and base_name(monitor) == headline.name:
        mode = headline.direction
    return best_row(columns[monitor], lower=resolve_direction(monitor, mode) == "min")


def best_row(values: Any, *, lower: bool) -> int | None:
    """Where the best of some values is, the first of several that are the same; None where none is finite."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    return int(np.argmin(np.where(finite, values if lower else -values, math.inf)))
