"""Folders of runs and sweeps as the program leaves them, written by hand: for what reads runs and trains none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from summaries import run_content, sweep_content

MOONS = {"samples": 100, "noise": 0.2, "train_size": 30, "data_seed": 1, "validation": "test", "epochs": 400}
ENVIRONMENT = {
    "argv": ["stopcli", "moons"], "versions": {"stopcli": "0.1.0", "tensorflow": "2.21.0"}, "platform": "Linux",
    "cpu": "A processor", "cores": 2, "gpus": [], "precision": "float32",
}  # fmt: skip


def falling_curves(epochs: int, accuracy: float) -> dict[str, Any]:
    """The columns of a metrics.csv: losses that fall, accuracies that rise to `accuracy` (where they validate)."""
    t = np.arange(1, epochs + 1, dtype=float)
    return {
        "epoch": t, "step": t, "loss": np.exp(-t / 50), "accuracy": 1 - np.exp(-t / 50),
        "val_loss": np.exp(-t / 50) + 0.1, "val_accuracy": accuracy * t / epochs,
    }  # fmt: skip


def write_run(
    path: Path | str,
    *,
    seed: int = 0,
    accuracy: float = 0.9,
    saved: float | None = 0.95,
    epochs: int = 40,
    state: str = "finished",
    command: str = "moons",
    columns: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] = ENVIRONMENT,
    **settings: Any,
) -> Path:
    """A run's folder.

    Args:
        accuracy, saved: on the test rows, of the final model and of the saved one; None where none was saved.
        columns: of metrics.csv; empty for none.
        summary: what summary.json holds instead or beside; one without `final` is no summary, and none is written.
        settings: in config.toml beside those of moons; None takes one out.
    """
    path = Path(path)
    path.mkdir(parents=True)
    config = {"command": command, "seed": seed, **(MOONS if command == "moons" else {}), **settings}
    (path / "config.toml").write_text(tomli_w.dumps({key: value for key, value in config.items() if value is not None}))
    (path / "environment.json").write_text(json.dumps(environment))
    (path / "status.json").write_text(json.dumps({"state": state, "epoch": epochs}))
    columns = falling_curves(epochs, accuracy) if columns is None else columns
    if columns:
        rows = zip(*([f"{value:g}" for value in values] for values in columns.values()), strict=True)
        (path / "metrics.csv").write_text("\n".join([",".join(columns), *map(",".join, rows)]) + "\n")
    content, changes = _summary(seed, accuracy, saved, epochs, state, command), dict(summary or {})
    if isinstance(changes.get("stop"), dict):
        changes["stop"] = {**content["stop"], **changes["stop"]}
    if (content | changes)["final"] is not None:
        (path / "summary.json").write_text(json.dumps(content | changes))
    return path


# What is not known of a run that something else trained.
UNKNOWN = {
    "scale": "", "dataset": "", "steps": None, "steps_per_epoch": None, "parameters": None, "rows": None, "arm": "",
    "samples_per_second": None, "validation_seconds": None, "seconds": {},
}  # fmt: skip
RMSE = {"name": "rmse", "direction": "min", "kind": "error", "unit": "°C"}


def write_recorded_run(
    path: Path | str, columns: Mapping[str, Any], headline: Mapping[str, Any] = RMSE, **summary: Any
) -> Path:
    """The folder of a run that something else trained: of these metrics, and nothing else.

    Args:
        columns: of metrics.csv but for `epoch` and `step`, one of them being the headline on the rows that validate.
        summary: what summary.json holds instead.
    """
    monitor = f"val_{headline['name']}"
    epochs = len(columns[monitor])
    best = int(np.argmin(columns[monitor]) if headline["direction"] == "min" else np.argmax(columns[monitor]))

    def values(row: int) -> dict[str, Any]:
        of_rows: dict[str, dict[str, float]] = {}
        for column, numbers in columns.items():
            rows = next((rows for rows in ("val", "test") if column.startswith(f"{rows}_")), "train")
            of_rows.setdefault(rows, {})[column.removeprefix(f"{rows}_")] = float(numbers[row])
        return {"epoch": row + 1, **of_rows}

    value = float(columns[monitor][best])
    content = {
        **UNKNOWN, "name": "lstm", "monitor": monitor, "headline": headline, "max_epochs": 400, "test_interval": {},
        "stop": {
            "reason": "patience", "rule": f"{monitor} patience=20", "epoch": epochs, "wait": epochs - best - 1,
            "best_epoch": best + 1, "best_value": value,
        },
        "final": values(epochs - 1), "best": {"monitor": monitor, "value": value, **values(best)},
        "report": {"title": "recorded: lstm", "words": ["A regression."], "tables": [], "figures": ["curves"]},
        **summary,
    }  # fmt: skip
    counts = {name: np.arange(1.0, epochs + 1) for name in ("epoch", "step")}
    named = {"name": "lstm", "headline": headline["name"], "mode": headline["direction"], "unit": headline["unit"]}
    metrics = {**counts, **columns}
    return write_run(path, command="recorded", epochs=epochs, columns=metrics, summary=content, **named)


def write_sweep(path: Path | str, arms: Mapping[str, Sequence[float]], **settings: Mapping[str, Any]) -> Path:
    """A sweep's folder: runs of each arm with these accuracies, of seeds from 0.

    Args:
        settings: of the arms, by arm.
    """
    path = Path(path)
    path.mkdir(parents=True)
    (path / "config.toml").write_text('command = "moons"\n')
    (path / "status.json").write_text('{"state": "finished"}')
    names = []
    for arm, accuracies in arms.items():
        for seed, accuracy in enumerate(accuracies):
            names.append(f"{arm}-seed{seed}")
            own = settings.get(arm.replace("-", "_"), {"hidden": 1 + list(arms).index(arm)})
            write_run(path / "jobs" / names[-1], seed=seed, accuracy=accuracy, **own)
    jobs = [{"name": name, "state": "finished", "reason": ""} for name in names]
    (path / "summary.json").write_text(json.dumps(sweep_content(jobs=jobs)))
    return path


def _summary(seed: int, accuracy: float, saved: float | None, epochs: int, state: str, command: str) -> dict[str, Any]:
    best = None
    if saved is not None:
        parts = {"train": {"loss": 0.2, "accuracy": 0.98}, "test": {"loss": 0.3, "accuracy": saved}}
        best = {"monitor": "val_accuracy", "epoch": epochs // 2, "value": saved, **parts}
    seconds = epochs / 100
    return run_content(
        command=command,
        state=state,
        dataset=command,
        seed=seed,
        epochs=epochs,
        steps=epochs,
        stop={
            "reason": "patience", "rule": "val_loss patience=5", "epoch": epochs, "best_epoch": epochs // 2,
            "best_value": 0.2,
        },
        final={
            "epoch": epochs, "train": {"loss": 0.1, "accuracy": 1.0}, "test": {"loss": 0.25, "accuracy": accuracy},
        },
        best=best,
        train_seconds=seconds,
        validation_seconds=2.0,
        train_and_validation_seconds=2.0 + seconds,
    )  # fmt: skip
