"""Folders of runs that something else than stopcli trained, as a recorder leaves them, written by hand: a regression,
and no accuracy anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from written_runs import write_run

# What is not known of them.
UNKNOWN = dict.fromkeys(("rows", "parameters", "steps", "steps_per_epoch", "validation_seconds", "samples_per_second"))


def regression_columns(lowest: int, rmse: float, epochs: int = 60) -> dict[str, Any]:
    """Columns of a metrics.csv: `val_rmse` is lowest at an epoch, and `val_loss` is its square."""
    t = np.arange(1, epochs + 1, dtype=float)
    val_rmse = rmse * (1 + np.abs(t - lowest) / 100)
    return {"epoch": t, "step": 10 * t, "loss": 20 / t, "val_loss": val_rmse**2, "val_rmse": val_rmse}


def write_recorded(
    path: Path | str,
    *,
    seed: int = 0,
    lowest: int = 20,
    rmse: float = 2.5,
    unit: str = "",
    headline: Mapping[str, str] | None = None,
    columns: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """A recorded run's folder, whose settings say what it is, and its seed which of several.

    Args:
        lowest, rmse: the epoch in which `val_rmse` is lowest, and its value there.
        unit: of it.
        headline: the metric that counts, where it is another one.
        columns: of metrics.csv, where they are other ones.
        options: as those of `write_run`.
    """
    columns = regression_columns(lowest, rmse) if columns is None else columns
    headline = headline or {"name": "rmse", "direction": "min", "kind": "error", "unit": unit}
    values = [_values(columns, -1), _values(columns, lowest - 1)]
    epochs = len(columns["epoch"])
    last, best = ({"epoch": epoch, **of_epoch} for epoch, of_epoch in zip((epochs, lowest), values, strict=True))
    monitor = f"val_{headline['name']}"
    best |= {"monitor": monitor, "value": columns[monitor][lowest - 1]}
    summary = {**UNKNOWN, "dataset": "", "max_epochs": epochs, "monitor": monitor, "headline": headline}
    return write_run(
        path,
        seed=seed,
        command="recorded",
        columns=columns,
        epochs=epochs,
        summary={**summary, "final": last, "best": best, **options.pop("summary", {})},
        headline=headline["name"],
        mode=headline["direction"],
        unit=headline.get("unit", ""),
        settings=settings or {},
        **options,
    )


def _values(columns: Mapping[str, Any], row: int) -> dict[str, dict[str, float]]:
    """What a model's part of a summary holds of an epoch on record."""
    parts: dict[str, dict[str, float]] = {"train": {}}
    for name in columns:
        rows, _, metric = name.partition("_")
        if name not in ("epoch", "step"):
            part, base = (rows, metric) if rows in ("val", "test") else ("train", name)
            parts.setdefault(part, {})[base] = float(columns[name][row])
    return parts
