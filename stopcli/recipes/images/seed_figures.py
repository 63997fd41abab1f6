"""The figures over the seeds of a recipe on images."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from stopcli.recipes.images.settings import ImageConfig
from stopcli.recipes.run_marks import watched_name
from stopcli.recipes.seed_results import finished_runs
from stopcli.report.sweep_figures import seed_accuracies, seed_curves, seed_epochs
from stopcli.report.tables import seed_values
from stopcli.sweeps.collect import JobResult


def seed_figures(config: ImageConfig, results: Sequence[JobResult], title: str) -> dict[str, Figure]:
    """The curves of all seeds with their spread, where they stopped, and their accuracies."""
    summaries, metrics = finished_runs(results)
    values = seed_values(summaries)
    accuracies = {"train, final model": values["train accuracy"], "test, final model": values["test accuracy"]}
    epochs = {"stopped at": values["stopped at"]}
    if values["saved epoch"]:
        epochs[f"saved (best {config.checkpoint_monitor})"] = values["saved epoch"]
        accuracies["test, saved model"] = values["its test acc."]
    return {
        "curves": seed_curves(metrics, watched_name(config), [s["epochs"] for s in summaries], title),
        "stop_epochs": seed_epochs(epochs, title),
        "accuracies": seed_accuracies(accuracies, title),
    }
