"""Whole contents of summary.json, as a run and a sweep write them."""

from __future__ import annotations

from typing import Any

from stopcli.runs.summary import RunSummary, Summary, parse_summary

TABLE = {"title": "Results", "columns": ["arm", "error"], "rows": [["a", "0.1"]], "sums": 0}


def run_content(**changes: Any) -> dict[str, Any]:
    """Of a run; values that are changed to `...` are left out."""
    part = {"loss": 0.25, "accuracy": 0.9}
    content: dict[str, Any] = {
        "command": "moons", "name": "", "state": "finished", "scale": "full", "dataset": "moons", "seed": 0,
        "epochs": 120, "max_epochs": 400, "steps": 120, "steps_per_epoch": 1, "parameters": 2001, "copies": 1,
        "rows": {"train": 30, "validation": 70, "test": 70}, "monitor": "val_loss",
        "stop": {
            "reason": "patience", "rule": "val_loss patience=20", "epoch": 120, "wait": 20, "best_epoch": 100,
            "best_value": 0.2345, "margin": 0.01,
        },
        "final": {"epoch": 120, "train": {"loss": 0.1, "accuracy": 1.0}, "test": part},
        "best": {
            "monitor": "val_accuracy", "epoch": 90, "value": 0.95,
            "train": part, "test": {"loss": 0.2, "accuracy": 0.95},
        },
        "test_interval": {"final": None, "best": None}, "selection": None, "run_dir": "run", "warnings": [],
        "samples_per_second": 100.0, "train_seconds": 2.0, "validation_seconds": 1.0,
        "train_and_validation_seconds": 3.0, "projected_train_seconds": None, "arm": "patience-20",
        "report": {"title": "moons", "words": ["Data: moons"], "tables": [], "figures": []},
        "seconds": {"train": 1.0, "total": 2.0},
    }  # fmt: skip
    return _changed(content, changes)


def sweep_content(**changes: Any) -> dict[str, Any]:
    """Of a sweep; values that are changed to `...` are left out."""
    content: dict[str, Any] = {
        "command": "moons", "name": "", "state": "finished", "reason": "", "scale": "full", "dataset": "moons",
        "seed": 0, "seeds": 2, "arm": "patience-5", "finished": 2, "jobs": [], "table": TABLE, "conclusions": [],
        "test_rows_chose": True, "warnings": [], "run_dir": "sweep",
        "report": {"title": "moons", "words": ["Data: moons"], "tables": [], "figures": []}, "seconds": {"jobs": 4.1},
    }  # fmt: skip
    return _changed(content, changes)


def run_summary(**changes: Any) -> RunSummary:
    """Of a run, as it is read."""
    summary: Summary = parse_summary(run_content(**changes))
    assert isinstance(summary, RunSummary)
    return summary


def _changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**content, **changes}.items() if value is not ...}
