"""Figures that set runs side by side: their curves in one picture, and a value of each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stopcli.report.arm_figures import arm_look
from stopcli.report.drawn_text import drawn_name
from stopcli.report.figures import MOST_POINTS
from stopcli.runs.metrics import Columns
from stopcli.stopping.direction import natural_direction

# Losses that lie further apart than this are drawn by their logarithm: one that runs away would flatten the others. So
# are epochs, where one run has so many times another's.
_LOG_FROM = 50.0
# Letters of a label that there is room for: a name and the folder that tells it apart.
_LONGEST = 80


@dataclass(frozen=True)
class CurveGroup:
    """Runs that share a colour: what their metrics.csv hold, one or more.

    Attributes:
        place: among all that is compared, which the colour goes by.
    """

    label: str
    place: int
    runs: Sequence[Columns]


@dataclass(frozen=True)
class ValueRow:
    """A value of each of some runs, or of none, and the interval of their mean where there is one."""

    label: str
    values: Sequence[float]
    interval: tuple[float, float] | None


def overlaid_curves(groups: Sequence[CurveGroup], panels: Mapping[str, str], title: str) -> Figure:
    """A panel for each of some columns: every run thin, the median of each group bold as far as all its runs were still
    training, and a dot where each stopped.

    Args:
        panels: columns that all runs have, with their words.
    """
    figure = Figure(figsize=(8.6, 0.9 + 3.2 * len(panels) + 0.26 * -(-len(groups) // 2)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for each, (column, words) in zip(axes, panels.items(), strict=True):
        # The shorter on top: of the same seed it may be a longer one's beginning.
        for group in sorted(groups, key=lambda group: -max(len(run["epoch"]) for run in group.runs)):
            _draw_group(each, group, column, *arm_look(group.place))
        _scale(each, [run[column] for group in groups for run in group.runs], column)
        each.set_ylabel(words)
        each.grid(alpha=0.25)
    axes[-1].set_xlabel("epoch")
    lengths = [len(run["epoch"]) for group in groups for run in group.runs]
    if max(lengths) / min(lengths) > _LOG_FROM:
        # The short ones would be a dot.
        axes[-1].set_xscale("log")
    else:
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, fontsize=11)
    handles = [_handle(group) for group in groups]
    handles.append(Line2D([], [], color="#666666", marker="o", ls="", ms=5, label="where a run stopped"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _draw_group(axes: Axes, group: CurveGroup, column: str, colour: str, style: str) -> None:
    several = len(group.runs) > 1
    for run in group.runs:
        epochs, values = run["epoch"], _finite(run[column])
        every = max(1, -(-len(epochs) * len(group.runs) // (4 * MOST_POINTS)))
        width, alpha = (0.5, 0.35) if several else (1.7, 1.0)
        axes.plot(epochs[::every], values[::every], color=colour, ls=style, lw=width, alpha=alpha)
        axes.plot(epochs[-1:], values[-1:], color=colour, marker="o", ms=5, mec="white", mew=0.6, zorder=4)
    if several:
        common = min(len(run["epoch"]) for run in group.runs)
        every = max(1, -(-common // MOST_POINTS))
        stacked = np.stack([run[column][:common] for run in group.runs])
        # The middle one of an odd number that holds an infinite value is still a number.
        median = _finite(np.median(stacked, axis=0))
        axes.plot(group.runs[0]["epoch"][:common:every], median[::every], color=colour, ls=style, lw=1.9, zorder=3)


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    """Values with gaps where they are infinite."""
    return np.where(np.isfinite(values), values, np.nan)


def _scale(axes: Axes, columns: Sequence[NDArray[Any]], name: str) -> None:
    """A loss from 0, or by its logarithm; anything else as matplotlib sees fit."""
    values = np.concatenate([column[np.isfinite(column)] for column in columns])
    if natural_direction(name) != "min" or not len(values):
        return
    if values.min() > 0 and values.max() / values.min() > _LOG_FROM:
        axes.set_yscale("log")
    elif values.min() >= 0:
        axes.set_ylim(bottom=0)


def _handle(group: CurveGroup) -> Line2D:
    colour, style = arm_look(group.place)
    name = drawn_name(group.label, _LONGEST)
    words = f"{name} (median of {len(group.runs)} runs)" if len(group.runs) > 1 else name
    return Line2D([], [], color=colour, ls=style, lw=1.9, label=words)


def value_strips(panels: Mapping[str, Sequence[ValueRow]], title: str) -> Figure:
    """Values of runs as dots, a row for each group and a panel for each value; their mean, with its 95 % interval.

    Args:
        panels: each with the same groups in the same order.
    """
    labels = [drawn_name(row.label, _LONGEST) for row in next(iter(panels.values()))]
    figure = Figure(figsize=(8.6, 1.7 + 0.55 * len(labels)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for each, (words, groups) in zip(axes, panels.items(), strict=True):
        for i, row in enumerate(groups):
            if not row.values:
                continue
            colour, _ = arm_look(i)
            values = np.asarray(row.values, float)
            each.scatter(values, i + _apart(values), s=16, color=colour, alpha=0.5, lw=0)
            mean = float(values.mean())
            if row.interval is not None:
                each.plot(row.interval, [i - 0.28] * 2, color=colour, lw=2.2, solid_capstyle="butt")
            each.scatter(
                [mean], [i - 0.28], s=34, color=colour, marker="D", edgecolors="white", linewidths=0.6, zorder=3
            )
        each.set_xlabel(words)
        each.xaxis.set_major_locator(MaxNLocator(5))
        each.grid(axis="x", alpha=0.25)
        each.margins(x=0.08)
    axes[0].set_yticks(range(len(labels)), labels)
    # The first on top.
    axes[0].set_ylim(len(labels) - 0.45, -0.6)
    figure.suptitle(title, fontsize=11)
    with_interval = any(row.interval for groups in panels.values() for row in groups)
    handles = [
        Line2D([], [], color="#666666", marker="o", ls="", ms=4, label="a run"),
        Line2D([], [], color="#666666", marker="D", lw=2.2, ms=5, label="mean and its 95 % interval")
        if with_interval
        else Line2D([], [], color="#666666", marker="D", ls="", ms=5, label="mean"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _apart(values: NDArray[Any]) -> NDArray[Any]:
    """Heights that keep equal values apart, below the row's mean."""
    seen: dict[float, int] = {}
    heights = []
    for value in values.tolist():
        seen[value] = seen.get(value, -1) + 1
        heights.append(min(seen[value] * 0.05, 0.4))
    return np.asarray(heights)
