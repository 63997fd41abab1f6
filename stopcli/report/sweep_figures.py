"""Figures over the seeds of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stopcli.counts import counted
from stopcli.report.figures import BLUE, GREEN, GREY, MOST_POINTS, ORANGE, PURPLE
from stopcli.runs.metrics import Columns


def seed_curves(runs: Sequence[Columns], watched_name: str, stops: Sequence[int], title: str) -> Figure:
    """Loss and accuracy over seeds: every run thin, their median and the middle 80 % of them, and where each stopped.

    Median and spread are drawn as far as every seed was still training, because beyond it they would speak of other
    seeds than before.
    """
    figure = Figure(figsize=(8, 7.2), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    common = min(len(run["epoch"]) for run in runs)
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        for prefix, colour, label in (("", BLUE, "train"), ("val_", ORANGE, watched_name)):
            _seed_band(axes, runs, prefix + name, common, colour, label)
        for i, stop in enumerate(stops):
            axes.axvline(stop, ymax=0.04, color="black", lw=1, label="stops" if i == 0 else None)
        if common < max(len(run["epoch"]) for run in runs):
            axes.axvline(common, color=GREY, lw=1, ls=":", label=f"epoch {common}: the first seed stopped")
        axes.set_ylabel(name)
        axes.grid(alpha=0.25)
    panels[0].set_ylim(bottom=0)
    panels[1].set_xlabel("epoch")
    figure.suptitle(title, fontsize=11)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _seed_band(axes: Axes, runs: Sequence[Columns], name: str, common: int, colour: str, label: str) -> None:
    longest = max(len(run["epoch"]) for run in runs)
    every = max(1, -(-longest * len(runs) // (8 * MOST_POINTS)))
    for run in runs:
        axes.plot(run["epoch"][::every], run[name][::every], color=colour, lw=0.5, alpha=0.25)
    values = np.stack([run[name][:common] for run in runs])
    epochs = runs[0]["epoch"][:common]
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
    axes.fill_between(
        epochs[::every],
        low[::every],
        high[::every],
        color=colour,
        alpha=0.2,
        lw=0,
        label=f"{label}: middle 80 % of seeds",
    )
    axes.plot(
        epochs[::every], middle[::every], color=colour, lw=1.8, label=f"{label}: median of {counted(len(runs), 'seed')}"
    )


def seed_epochs(groups: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Where the seeds stopped and which epochs were the best, a row each."""
    figure = Figure(figsize=(8, 1.6 + 0.7 * len(groups)), layout="constrained")
    axes = figure.subplots()
    _strips(axes, groups, "{:.0f}")
    axes.set_xlabel("epoch")
    axes.set_title(title, fontsize=11)
    return figure


def seed_accuracies(groups: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Accuracies of the seeds, a row for each model and each part of the data."""
    figure = Figure(figsize=(8, 1.6 + 0.7 * len(groups)), layout="constrained")
    axes = figure.subplots()
    _strips(axes, groups, "{:.3f}")
    axes.set_xlabel("accuracy")
    axes.set_title(title, fontsize=11)
    return figure


def _strips(axes: Axes, groups: Mapping[str, Sequence[float]], form: str) -> None:
    colours = [BLUE, GREEN, PURPLE, ORANGE]
    # The first group on top.
    for row, values in enumerate(reversed(list(groups.values()))):
        array = np.asarray(values, dtype=float)
        axes.scatter(array, row + _spread(array), s=26, alpha=0.6, color=colours[row % len(colours)], lw=0)
        mean = array.mean()
        axes.scatter([mean], [row + 0.36], marker="v", s=28, color="black")
        axes.annotate(f"mean {form.format(mean)}", (mean, row + 0.42), ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(len(groups)), list(groups)[::-1])
    axes.set_ylim(-0.6, len(groups) - 0.2)
    # Room at the sides for the words over an outermost mean.
    axes.margins(x=0.1)
    axes.grid(axis="x", alpha=0.25)


def _spread(values: NDArray[Any]) -> NDArray[Any]:
    """Heights that keep equal values apart: each further point of the same value a little higher or lower."""
    heights = np.zeros(len(values))
    seen: dict[float, int] = {}
    for i, value in enumerate(values.tolist()):
        n = seen.get(value, 0)
        seen[value] = n + 1
        heights[i] = (-1) ** n * ((n + 1) // 2) * 0.05
    return np.clip(heights, -0.3, 0.3)
