"""The figures of `stopcli moons`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from stopcli.data.rows import Parts
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.report.figures import Marks, Points, decision_boundary, grid_around, learning_curves, plain_scatter
from stopcli.report.sweep_figures import seed_accuracies, seed_curves, seed_epochs
from stopcli.report.tables import seed_values
from stopcli.runs.metrics import Columns
from stopcli.training.experiment import Experiment


def run_figures(
    config: MoonsConfig, experiment: Experiment, model: Any, summary: Mapping[str, Any], metrics: Columns
) -> dict[str, Figure]:
    """The moons with the boundary of the model that the run leaves, and the learning curves."""
    figures = {"moons": _moons(config, experiment.parts, model, summary)}
    if len(metrics["epoch"]):
        title = f"{_title(config)}: seed {config.seed}"
        figures["curves"] = learning_curves(metrics, _watched_name(config), _marks(config, summary), title)
    return figures


def sweep_figures(
    config: MoonsConfig, summaries: Sequence[Mapping[str, Any]], metrics: Sequence[Columns]
) -> dict[str, Figure]:
    """The curves of all seeds with their spread, where they stopped, and their accuracies."""
    values = seed_values(summaries)
    title = f"{_title(config)}: {len(summaries)} seeds"
    epochs = {
        "stopped at": values["stopped at"],
        f"best {config.monitor}": [s["stop"]["best_epoch"] for s in summaries],
    }
    accuracies = {"train, final model": values["train accuracy"], "test, final model": values["test accuracy"]}
    if values["saved epoch"]:
        epochs[f"saved (best {config.checkpoint_monitor})"] = values["saved epoch"]
        accuracies["test, saved model"] = values["its test acc."]
    return {
        "curves": seed_curves(metrics, _watched_name(config), [s["epochs"] for s in summaries], title),
        "stop_epochs": seed_epochs(epochs, title),
        "accuracies": seed_accuracies(accuracies, title),
    }


def _moons(config: MoonsConfig, parts: Parts, model: Any, summary: Mapping[str, Any]) -> Figure:
    groups = [
        Points("train", parts.train.x, parts.train.y[:, 0], "o"),
        Points("test", parts.test.x, parts.test.y[:, 0], "^"),
    ]
    if parts.test_is_held_out:
        groups.insert(1, Points("validation", parts.validation.x, parts.validation.y[:, 0], "s"))
    every_x = np.concatenate([group.x for group in groups])
    grid = grid_around(every_x)
    places = np.stack([side.ravel() for side in grid], axis=1).astype(np.float32)
    probability = tf.reshape(model(places, training=False), grid[0].shape).numpy()
    shown, which = (summary["best"], "best") if summary["best"] else (summary["final"], "final")
    scale = " (quick scale)" if config.scale == "quick" else ""
    title = f"Two moons, noise {config.noise:g}{scale}; {which} model, epoch {shown['epoch']}: "
    title += f"test accuracy {shown['test']['accuracy']:.3f}"
    if not np.isfinite(probability).all():
        return plain_scatter(groups, f"{title} (its outputs are no numbers)")
    return decision_boundary(grid, probability, groups, title)


def _marks(config: MoonsConfig, summary: Mapping[str, Any]) -> Marks:
    stop, best = summary["stop"], summary["best"]
    words = {
        "completed": "end of training",
        "non_finite": "a metric is no number",
        "interrupted": "interrupted",
        "time_budget": "paused",
    }
    return Marks(
        stop["epoch"],
        f"epoch {stop['epoch']}: {words.get(stop['reason'], 'stopped by ' + stop['reason'])}",
        stop["best_epoch"],
        f"epoch {stop['best_epoch']}: best {config.monitor}",
        best["epoch"] if best else 0,
        f"epoch {best['epoch']}: saved, best {config.checkpoint_monitor}" if best else "",
        wait=stop["wait"] if stop["reason"] in ("patience", "baseline") else 0,
        level=_level(config),
    )


def _level(config: MoonsConfig) -> tuple[str, float, str] | None:
    for name in ("threshold", "baseline"):
        value = getattr(config, name)
        if value is not None:
            return config.monitor, value, f"{name} {value:g} on {config.monitor}"
    return None


def _title(config: MoonsConfig) -> str:
    scale = " (quick scale)" if config.scale == "quick" else ""
    return f"moons, {config.arm.replace('-', ' ')}{scale}"


def _watched_name(config: MoonsConfig) -> str:
    return "test" if config.validation == "test" else "validation"
