"""The figures over runs that differ by their seed alone."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.counts import counted
from stopcli.recipes.run_marks import watched_name
from stopcli.recipes.seed_results import finished_runs
from stopcli.recipes.trained import TrainedConfig
from stopcli.report.drawing import Figures
from stopcli.report.figures import seed_curves, seed_points
from stopcli.report.tables import seed_values
from stopcli.sweeps.collect import JobResult


def seed_figures(config: TrainedConfig, results: Sequence[JobResult], title: str, *, best_epochs: bool) -> Figures:
    """The curves of all seeds with their spread, where they stopped, and their accuracies.

    Args:
        title: of every figure, to which the number of finished runs is added.
        best_epochs: whether it is shown too where the monitored value was best.
    """
    summaries, metrics = finished_runs(results)
    values = seed_values(summaries)
    title = f"{title}: {counted(len(summaries), 'seed')}"
    epochs = {"stopped at": values["stopped at"]}
    if best_epochs:
        epochs[f"best {config.monitor}"] = [s["stop"]["best_epoch"] for s in summaries]
    accuracies = {"train, final model": values["train accuracy"], "test, final model": values["test accuracy"]}
    if values["saved epoch"]:
        epochs[f"saved (best {config.checkpoint_monitor})"] = values["saved epoch"]
        accuracies["test, saved model"] = values["its test acc."]
    return {
        "curves": lambda: seed_curves(metrics, watched_name(config), [s["epochs"] for s in summaries], title),
        "stop_epochs": lambda: seed_points(epochs, "epoch", "{:.0f}", title),
        "accuracies": lambda: seed_points(accuracies, "accuracy", "{:.3f}", title),
    }
