"""The figures of the case study: the loss of each arm up to its last epoch, and the arms over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stopcli.quantities import counted
from stopcli.recipes.arms import watched_name
from stopcli.recipes.moons.case_tables import ArmResult, arms_of_run
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.title import moons_title
from stopcli.report.curves import BLUE, ORANGE, PURPLE, legend_below, new_figure, seed_curves, seed_points, thinned
from stopcli.report.drawing import Figures
from stopcli.runs.metrics import Columns
from stopcli.sweeps.plan import JobResult


def case_curves(metrics: Columns, arms: Sequence[ArmResult], watched: str, title: str) -> Figure:
    """The published figure of each arm: loss on the training rows and on the watched ones, up to where it stopped.

    Args:
        watched: what the `val_` metrics were measured on.
    """
    figure, drawn = new_figure(9, 6.6, 2, 2, sharey=True)
    for axes, arm in zip(drawn, arms, strict=True):
        _arm(axes, metrics, arm, watched)
    for axes in drawn[::2]:
        axes.set_ylabel("loss (cross-entropy)")
    for axes in drawn[2:]:
        axes.set_xlabel("epoch")
    drawn[0].set_ylim(bottom=0)
    figure.suptitle(title, fontsize=11)
    # The last arm has every mark.
    legend_below(figure, drawn[-1:], columns=4)
    return figure


def _arm(axes: Axes, metrics: Columns, arm: ArmResult, watched: str) -> None:
    last, saved = arm.measured.stopped_at, arm.measured.saved_epoch
    shown = slice(None, last, thinned(last).step)
    for name, colour, label in (("loss", BLUE, "train (as it trains)"), ("val_loss", ORANGE, watched)):
        axes.plot(metrics["epoch"][shown], metrics[name][shown], color=colour, lw=1.4, label=label)
    axes.axvline(last, color="black", lw=1.3, ls=":", label="last epoch")
    words = f"{arm.name}: epoch {last:,}"
    if saved is not None:
        axes.axvline(saved, color=PURPLE, lw=1.3, ls="-.", label="saved epoch")
        words += f", saved {saved:,}"
    accuracies = f"accuracy: train {arm.measured.train_accuracy:.3f}, test {arm.measured.test_accuracy:.3f}"
    axes.set_title(f"{words}\n{accuracies}", fontsize=10)
    axes.set_xlim(0, last * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def seeds_case_figures(config: MoonsConfig, results: Sequence[JobResult]) -> Figures:
    """The curves of all seeds, and where each arm ends and what its models are worth, a point a seed."""
    runs = [(result.summary, result.run.metrics) for result in results if result.state == "finished"]
    metrics = [columns for _, columns in runs]
    seeds = [arms_of_run(summary) for summary, _ in runs if summary]
    title = f"{moons_title(config)}: {counted(len(seeds), 'seed')}"
    epochs, accuracies = {}, {}
    for i, arm in enumerate(seeds[0]):
        measured = [arms[i].measured for arms in seeds]
        accuracies[arm.name] = [values.test_accuracy for values in measured]
        # Where nothing stops there is no point to show; an arm with a saved model stops where the one before it does.
        if i > 0:
            epochs[arm.name] = [values.saved_epoch or values.stopped_at for values in measured]
    stops = [arm.measured.stopped_at for arms in seeds for arm in arms[1:3]]
    return {
        "curves": lambda: seed_curves(metrics, watched_name(config), stops, title),
        "stop_epochs": lambda: seed_points(epochs, "epoch", "{:.0f}", f"{title}, epoch of each arm's model"),
        "accuracies": lambda: seed_points(accuracies, "accuracy", "{:.3f}", f"{title}, test accuracy"),
    }
