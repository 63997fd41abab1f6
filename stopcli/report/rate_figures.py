"""Figures of learning rates that move, and of what becomes of a model meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stopcli.counts import counted
from stopcli.report.arm_figures import arm_look
from stopcli.report.figures import GREEN
from stopcli.runs.metrics import Columns

# More points than a figure has pixels make the file large and the line no finer.
MOST_POINTS = 6000
# More cycles than this would be a grey surface.
MOST_SHADED_CYCLES = 60
SHADE = "#F1EEE6"


def shade_cycles(axes: Axes, cycle: float, last: float) -> None:
    """Shade every other cycle of the learning rate, the first one too.

    Args:
        cycle: its length, and `last` how far the axis goes, in what the horizontal axis shows.
    """
    if last / cycle > MOST_SHADED_CYCLES:
        return
    at = 0.0
    while at < last:
        axes.axvspan(at, min(at + cycle, last), color=SHADE, lw=0, zorder=0)
        at += 2 * cycle


def learning_rate_by_step(steps: Columns, title: str) -> Figure:
    """The learning rate of every update.

    Args:
        steps: the columns of steps.csv.
    """
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    some = slice(None, None, max(1, -(-len(steps["step"]) // MOST_POINTS)))
    axes.plot(steps["step"][some], steps["learning_rate"][some], color=GREEN, lw=1.2)
    axes.set_xlabel("update")
    axes.set_ylabel("learning rate")
    axes.grid(alpha=0.25)
    axes.set_title(title, fontsize=11)
    return figure


@dataclass(frozen=True)
class PolicyRate:
    """The learning rate of every update of one run of a policy.

    Attributes:
        place: the arm's among those of the plan, which its colour goes by.
        steps: the updates' numbers, counted from 1.
        rates: of the same shape.
        cyclical: whether they go through cycles.
    """

    label: str
    place: int
    steps: NDArray[Any]
    rates: NDArray[Any]
    cyclical: bool


@dataclass(frozen=True)
class PolicyCurves:
    """The runs of a policy: of each run a value an epoch.

    Attributes:
        place: as for PolicyRate.
        trained: the training loss.
        loss, accuracy: on the watched rows.
    """

    label: str
    place: int
    trained: Sequence[NDArray[Any]]
    loss: Sequence[NDArray[Any]]
    accuracy: Sequence[NDArray[Any]]


def policy_rates(policies: Sequence[PolicyRate], cycle: float | None, title: str) -> Figure:
    """The learning rate against the update, a panel for each policy: the published saw-tooth.

    Args:
        cycle: updates of a cycle, every other of which is shaded; None for no cycles.
    """
    figure = Figure(figsize=(8, 0.9 + 1.5 * len(policies)), layout="constrained")
    panels = figure.subplots(len(policies), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    last = max(float(policy.steps[-1]) for policy in policies)
    for axes, policy in zip(panels, policies, strict=True):
        some = slice(None, None, max(1, -(-len(policy.steps) // MOST_POINTS)))
        axes.plot(policy.steps[some], policy.rates[some], color=arm_look(policy.place)[0], lw=1.3)
        axes.set_ylabel("learning rate", fontsize=8)
        axes.set_title(policy.label, fontsize=9, loc="left")
        axes.grid(alpha=0.25)
        if cycle is not None and policy.cyclical:
            shade_cycles(axes, cycle, last)
    panels[-1].set_xlabel("update")
    panels[-1].set_xlim(0, last)
    figure.suptitle(title, fontsize=11)
    return figure


def policy_curves(policies: Sequence[PolicyCurves], watched_name: str, cycle: float | None, title: str) -> Figure:
    """Training loss, loss and accuracy on the watched rows against the epoch, a line for each policy: the mean of its
    runs as far as all of them went, with their standard deviation as a band.

    Args:
        watched_name: what loss and accuracy were measured on, `test` or `validation`.
        cycle: epochs of a cycle, every other of which is shaded; None for no cycles.
    """
    figure = Figure(figsize=(8, 9), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    names = ("trained", "loss", "accuracy")
    words = ("training loss", f"{watched_name} loss", f"{watched_name} accuracy")
    for axes, name, ordinate in zip(panels, names, words, strict=True):
        longest = 1
        for policy in policies:
            runs = getattr(policy, name)
            common = min(len(values) for values in runs)
            longest = max(longest, common)
            stacked = np.stack([values[:common] for values in runs])
            mean, epochs = stacked.mean(axis=0), np.arange(1, common + 1)
            colour, style = arm_look(policy.place)
            marker = "o" if common == 1 else ""
            axes.plot(epochs, mean, color=colour, ls=style, lw=1.6, marker=marker, label=policy.label)
            if len(runs) > 1:
                sd = stacked.std(axis=0, ddof=1)
                axes.fill_between(epochs, mean - sd, mean + sd, color=colour, alpha=0.13, lw=0)
        if cycle is not None:
            shade_cycles(axes, cycle, longest)
        axes.set_ylabel(ordinate)
        axes.grid(alpha=0.25)
    panels[-1].set_xlim(0, longest)
    shaded = "" if cycle is None else f" (shaded: every other cycle of {counted(cycle, 'epoch')})"
    panels[-1].set_xlabel(f"epoch{shaded}")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, fontsize=11)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure
