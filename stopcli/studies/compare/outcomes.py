"""What a run came to, by its summary or, where it has none, by the epochs on record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stopcli.runs.metrics import Columns
from stopcli.runs.recorded import RecordedRun, training_seconds
from stopcli.stopping.direction import resolve_direction

Values = Mapping[str, float]


@dataclass(frozen=True)
class RunResult:
    """A run's results; what is not known is missing.

    Attributes:
        final, saved: of the model that training ended with and of the best one, loaded from its file: `train_loss`,
            `test_accuracy` and so on, and its `epoch`.
        cost: `epochs`, `updates`, `rows`, `train_seconds`.
        columns: of its metrics.csv; empty where there is none, or no complete epoch in it.
        reason: why training stopped; empty where it just ended.
        measured: whether the models were measured, and not read from the epochs on record.
    """

    run: RecordedRun
    final: Values
    saved: Values
    cost: Values
    columns: Columns = field(repr=False)
    reason: str = ""
    measured: bool = True

    def of(self, view: str) -> Values:
        """The values of the `final` model or the `saved` one; none of any other view."""
        return {"final": self.final, "saved": self.saved}.get(view, {})


def outcome_of(run: RecordedRun, columns: Columns) -> RunResult | None:
    """What a run came to; None where it has no complete epoch.

    Args:
        columns: of its metrics.csv; empty where there is none, or no complete epoch in it.
    """
    # A run that went on and died since has a summary of the time before.
    if run.state not in ("died", "running") and "final" in run.summary:
        return _measured(run, run.summary, columns)
    if not columns:
        return None
    last = len(columns["epoch"]) - 1
    saved = _best_row(run, columns)
    cost = {"epochs": float(columns["epoch"][last]), "updates": float(columns["step"][last])}
    return RunResult(
        run, _row(run, columns, last), {} if saved is None else _row(run, columns, saved), cost, columns, measured=False
    )


def _measured(run: RecordedRun, summary: Mapping[str, Any], columns: Columns) -> RunResult:
    stop = summary.get("stop") or {}
    cost = {
        "epochs": summary.get("epochs"),
        "updates": summary.get("steps"),
        "rows": _rows_seen(summary),
        "train_seconds": training_seconds(summary),
    }
    return RunResult(
        run,
        _parts(summary["final"]),
        _parts(summary.get("best") or {}),
        _known(cost),
        columns,
        str(stop.get("reason") or ""),
    )


def _parts(model: Mapping[str, Any]) -> Values:
    """A model's values by part and name, `test_accuracy`."""
    values = {"epoch": model.get("epoch")}
    for part in ("train", "test", "val"):
        values |= {f"{part}_{name}": value for name, value in (model.get(part) or {}).items()}
    return _known(values)


def _known(values: Mapping[str, Any]) -> Values:
    """Without what is not known or no number: a loss that became infinite is null in a summary."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }


def _rows_seen(summary: Mapping[str, Any]) -> float | None:
    """Rows that were trained on, copies counted."""
    try:
        per_epoch = summary["rows"]["train"] * summary.get("copies", 1)
        return float(per_epoch * summary["steps"] / summary["steps_per_epoch"])
    except (KeyError, TypeError, ZeroDivisionError):
        # Of an older version.
        return None


def _row(run: RecordedRun, columns: Columns, i: int) -> Values:
    """An epoch on record as the values of the model that it ended with, as far as they are the same."""
    row = {name: float(values[i]) for name, values in columns.items()}
    values = {"epoch": row["epoch"]}
    for name in ("loss", "accuracy"):
        values[f"train_{name}"] = row.get(name, math.nan)
        values[f"val_{name}"] = row.get(f"val_{name}", math.nan)
        # Where no rows were set apart, those that validate are the test rows.
        tested = f"val_{name}" if run.settings.get("validation", "test") == "test" else f"test_{name}"
        values[f"test_{name}"] = row.get(tested, math.nan)
    return _known(values)


def _best_row(run: RecordedRun, columns: Columns) -> int | None:
    """The epoch whose model was saved as the best, by its place; None where none was."""
    monitor = str(run.settings.get("checkpoint_monitor", "val_accuracy"))
    if monitor not in columns or not run.settings.get("checkpoint", True):
        return None
    lower = resolve_direction(monitor, str(run.settings.get("checkpoint_mode", "auto"))) == "min"
    return best_place(columns[monitor], lower=lower)


def best_place(values: Any, *, lower: bool) -> int | None:
    """Where the best of some values is, the first of several that are the same; None where none is a number."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    return int(np.argmin(np.where(finite, values if lower else -values, math.inf)))
