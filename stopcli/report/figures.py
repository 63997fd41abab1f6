"""Figures from a run's metrics. Each function returns a Figure and saves nothing.

Figures are made without pyplot, so they need no screen and no global state, and may be made in any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stopcli.counts import counted
from stopcli.runs.metrics import Columns

# Okabe and Ito's colours, which remain apart for colour-blind readers.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
# Pale, so that the points stand out: from class 0's colour through white to class 1's.
_PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#F2B48C", "#FFFFFF", "#8CC0E0"])
# More points than a figure has pixels make the file large and the line no finer.
MOST_POINTS = 4000
MOST_MARKERS = 3000


@dataclass(frozen=True)
class Marks:
    """What is marked on a run's curves; an epoch of 0 stands for none.

    Attributes:
        stop_epoch: where training stopped, with `stop_label` saying why.
        best_epoch: the best epoch for stopping, by `best_label`.
        kept_epoch: the epoch of the saved best model, by `kept_label`.
        wait: where the stop came from waiting, how many epochs it waited; they are shaded.
        level: a value that a rule compares with (a baseline, a threshold), by the name of its metric, and its words.
    """

    stop_epoch: int
    stop_label: str
    best_epoch: int = 0
    best_label: str = ""
    kept_epoch: int = 0
    kept_label: str = ""
    wait: int = 0
    level: tuple[str, float, str] | None = None


def learning_curves(metrics: Columns, watched_name: str, marks: Marks, title: str) -> Figure:
    """Loss and accuracy on the training rows and on the watched rows against the epoch.

    Args:
        metrics: the columns of metrics.csv.
        watched_name: what the `val_` columns were measured on, for the legend: `test` or `validation`.
    """
    figure = Figure(figsize=(8, 7.2), layout="constrained")
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    _curve(loss, metrics, "loss", watched_name)
    _curve(accuracy, metrics, "accuracy", watched_name)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        mark_epochs(axes, marks, len(metrics["epoch"]))
        if marks.level and marks.level[0].endswith(name):
            axes.axhline(marks.level[1], color=GREY, lw=1, ls=(0, (1, 2)), label=marks.level[2])
    # Of a long run all is shown; a short one would be squeezed to the edge.
    if len(metrics["epoch"]) >= 20:
        loss.set_ylim(bottom=0)
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss.set_ylabel("loss (cross-entropy)")
    accuracy.set_ylabel("accuracy")
    accuracy.set_xlabel("epoch")
    figure.suptitle(title, fontsize=11)
    # One legend below both panels, where it hides no part of a curve.
    shown = {
        label: handle
        for axes in (loss, accuracy)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _curve(axes: Axes, metrics: Columns, name: str, watched_name: str) -> None:
    epochs = metrics["epoch"]
    every = max(1, -(-len(epochs) // MOST_POINTS))
    # A line of one point is invisible.
    marker = "o" if len(epochs) == 1 else ""
    axes.plot(epochs[::every], metrics[name][::every], color=BLUE, lw=1.4, label="train (as it trains)", marker=marker)
    axes.plot(epochs[::every], metrics[f"val_{name}"][::every], color=ORANGE, lw=1.4, label=watched_name, marker=marker)
    axes.grid(alpha=0.25)


def mark_epochs(axes: Axes, marks: Marks, last: int) -> None:
    """Draw the marks on an axis of epochs that ends at `last`."""
    if marks.wait:
        label = f"patience: {counted(marks.wait, 'epoch')} without an improvement"
        axes.axvspan(marks.stop_epoch - marks.wait, marks.stop_epoch, color=GREY, alpha=0.13, lw=0, label=label)
    if marks.best_epoch:
        axes.axvline(marks.best_epoch, color=GREEN, lw=1.3, ls="--", label=marks.best_label)
    if marks.kept_epoch:
        axes.axvline(marks.kept_epoch, color=PURPLE, lw=1.3, ls="-.", label=marks.kept_label)
    if marks.stop_epoch:
        axes.axvline(marks.stop_epoch, color="black", lw=1.3, ls=":", label=marks.stop_label)
    axes.set_xlim(0, max(last, 1) * 1.02)


@dataclass(frozen=True)
class Points:
    """Points of a plane with their class.

    Attributes:
        name: what they are, for the legend.
        x: shape [points, 2]. y: 0 or 1, shape [points].
        marker: matplotlib's name of their marker.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    marker: str


def grid_around(x: NDArray[Any], points_a_side: int = 160) -> tuple[NDArray[Any], NDArray[Any]]:
    """A regular grid over the plane that holds all points, with a margin.

    Returns:
        The two coordinates, each of shape [points_a_side, points_a_side].
    """
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.12 * np.maximum(high - low, 1e-6)
    sides = [np.linspace(low[i] - margin[i], high[i] + margin[i], points_a_side) for i in range(2)]
    across, up = np.meshgrid(*sides)
    return across, up


def decision_boundary(
    grid: tuple[NDArray[Any], NDArray[Any]], probability: NDArray[Any], points: Sequence[Points], title: str
) -> Figure:
    """Points by class over a model's probability of class 1, with the boundary where it is a half.

    Args:
        grid: the coordinates, as `grid_around` gives them.
        probability: of class 1 at each point of the grid, in [0, 1], the grid's shape.
    """
    figure = Figure(figsize=(7, 5.6), layout="constrained")
    axes = figure.subplots()
    filled = axes.contourf(*grid, probability, levels=np.linspace(0, 1, 21), cmap=_PROBABILITY, vmin=0, vmax=1)
    if probability.min() < 0.5 < probability.max():
        axes.contour(*grid, probability, levels=[0.5], colors="black", linewidths=1.5)
    colours = ListedColormap([ORANGE, BLUE])
    shown = []
    for group in points:
        some = slice(None, None, max(1, -(-len(group.x) // MOST_MARKERS)))
        axes.scatter(
            group.x[some, 0],
            group.x[some, 1],
            c=group.y[some],
            cmap=colours,
            vmin=0,
            vmax=1,
            marker=group.marker,
            s=38,
            edgecolors="white",
            linewidths=0.7,
        )
        handle = axes.scatter([], [], c=GREY, marker=group.marker, s=38)
        shown.append((handle, f"{group.name} (n = {len(group.x)})"))
    for value, colour in ((0, ORANGE), (1, BLUE)):
        shown.append((axes.scatter([], [], c=colour, marker="s", s=38), f"class {value}"))
    figure.legend(*zip(*shown, strict=True), loc="outside lower center", ncols=len(shown), fontsize=9)
    bar = figure.colorbar(filled, ax=axes, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_label("probability of class 1")
    axes.set_xlabel("feature 1")
    axes.set_ylabel("feature 2")
    axes.set_title(title, fontsize=11)
    return figure


def plain_scatter(points: Sequence[Points], title: str) -> Figure:
    """Points by class, for a run that left no model to draw a boundary of."""
    figure = Figure(figsize=(7, 5.6), layout="constrained")
    axes = figure.subplots()
    for group in points:
        for value, colour in ((0, ORANGE), (1, BLUE)):
            some = group.x[group.y == value][:MOST_MARKERS]
            axes.scatter(
                some[:, 0], some[:, 1], c=colour, marker=group.marker, s=30, label=f"{group.name}, class {value}"
            )
    axes.legend(fontsize=9)
    axes.set_xlabel("feature 1")
    axes.set_ylabel("feature 2")
    axes.set_title(title, fontsize=11, wrap=True)
    return figure
