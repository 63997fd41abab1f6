"""Figures that set arms side by side: their curves, error against cost, and a value of each run."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stopcli.quantities import counted
from stopcli.report.curves import (
    GREY,
    MOST_POINTS,
    RunGroup,
    arm_look,
    earlier_equals,
    fit_scale,
    legend_below,
    legend_mark,
    mark_decades,
    mean_and_band,
    new_figure,
    row_labels,
    shade_cycles,
    thinned,
    whole_numbers,
)
from stopcli.report.drawing import drawn_name
from stopcli.report.frontier import Label, place_labels
from stopcli.report.learning_rates import MOST_UPDATES
from stopcli.runs.headline import ACCURACY, Headline
from stopcli.runs.metrics import Columns
from stopcli.stopping.rule import natural_direction

# Epochs are drawn by their logarithm where one run has so many times another's.
_LOG_FROM = 50.0
# Letters of a label that fit, in lines: a name, and the folder that distinguishes it.
_LONGEST = 80


@dataclass(frozen=True)
class CostPoint:
    """An arm's cost and error.

    Attributes:
        index: as for RunGroup.
        costs, errors: of each run, in the same order.
        mean: the means that are compared.
        on_front: whether they lie on the Pareto front.
    """

    label: str
    index: int
    costs: Sequence[float]
    errors: Sequence[float]
    mean: tuple[float, float]
    on_front: bool


@dataclass(frozen=True)
class ValueRow:
    """A value of each of some runs, or of none, and the interval of their mean where there is one."""

    label: str
    values: Sequence[float]
    interval: tuple[float, float] | None


def arm_curves(
    arms: Sequence[RunGroup], ordinate: str, abscissa: str, level: float, title: str, x: str, y: str
) -> Figure:
    """A line for each arm: its runs' mean as far as all of them went, and their standard deviation as a band.

    Args:
        ordinate, abscissa: what the axes are called.
        level: where a horizontal line is drawn, if it is near.
        x, y: the columns that are drawn against each other.
    """
    figure, (axes,) = new_figure(4.8, title=title)
    for arm in arms:
        mean_and_band(axes, arm, y, abscissa=x, width=1.8, alpha=0.15)
    low, high = axes.get_ylim()
    # Far from the curves, as after a short training, it would press them flat.
    near = 2 * low - high <= level <= 2 * high - low
    if near:
        axes.axhline(level, color=GREY, lw=1, ls=(0, (1, 2)), label=f"{level:g}, as in the published figure")
    whole_numbers(axes, abscissa)
    axes.set_ylabel(ordinate)
    curves = [run[y] for arm in arms for run in arm.runs]
    fit_scale(axes, curves, falls=natural_direction(y) == "min", level=level if near else None)
    legend_below(figure, [axes])
    return figure


def policy_rates(policies: Sequence[RunGroup], cycle: float | None, cyclical: Collection[str], title: str) -> Figure:
    """The learning rate against the update, a panel for each policy: the published saw-tooth.

    Args:
        policies: each with the columns of one run's steps.csv.
        cycle: updates of a cycle, every other of which is shaded; None for no cycles.
        cyclical: labels of the policies that go through cycles.
    """
    figure, drawn = new_figure(0.9 + 1.5 * len(policies), len(policies), title=title, sharex=True, sharey=True)
    last = max(float(policy.runs[0]["step"][-1]) for policy in policies)
    for axes, policy in zip(drawn, policies, strict=True):
        (steps,) = policy.runs
        shown = thinned(len(steps["step"]), MOST_UPDATES)
        axes.plot(steps["step"][shown], steps["learning_rate"][shown], color=arm_look(policy.index)[0], lw=1.3)
        axes.set_ylabel("learning rate")
        axes.set_title(policy.label, loc="left")
        if policy.label in cyclical:
            shade_cycles(axes, cycle, last)
    drawn[-1].set_xlabel("update")
    drawn[-1].set_xlim(0, last)
    return figure


def policy_curves(
    policies: Sequence[RunGroup], val_name: str, cycle: float | None, title: str, headline: Headline = ACCURACY
) -> Figure:
    """Training loss, and loss and the metric that counts on the rows that validate, against the epoch, a line for each
    policy: the mean of its runs as far as all of them went, with their standard deviation as a band. Where no rows
    validate, the metric of the rows that train.

    Args:
        policies: with the columns of each run's metrics.csv.
        val_name: what the `val_` columns were measured on, `test` or `validation`.
        cycle: epochs of a cycle, every other of which is shaded; None for no cycles.
    """
    names = {"loss": "training loss", headline.name: f"training {headline.axis}"}
    if all("val_loss" in run for policy in policies for run in policy.runs):
        names = {
            "loss": "training loss",
            "val_loss": f"{val_name} loss",
            headline.column("val"): f"{val_name} {headline.axis}",
        }
    figure, drawn = new_figure(2.6 * len(names), len(names), title=title, sharex=True)
    longest = 1
    for axes, (column, name) in zip(drawn, names.items(), strict=True):
        for policy in policies:
            longest = max(longest, mean_and_band(axes, policy, column, abscissa="epoch", width=1.6, alpha=0.13))
        shade_cycles(axes, cycle, longest)
        curves = [run[column] for policy in policies for run in policy.runs]
        fit_scale(axes, curves, falls=column.endswith("loss") or headline.lower_is_better)
        axes.set_ylabel(name)
    shaded = "" if cycle is None else f" (shaded: every other cycle of {counted(cycle, 'epoch')})"
    whole_numbers(drawn[-1], f"epoch{shaded}")
    drawn[-1].set_xlim(0, longest)
    legend_below(figure, drawn)
    return figure


def error_against_cost(points: Sequence[CostPoint], abscissa: str, ordinate: str, title: str, over: str = "") -> Figure:
    """Each arm's mean cost and error, its runs as small points, and the Pareto front.

    Args:
        over: which runs the means are over, such as ` over seed 0`; empty where that goes without saying.
    """
    figure, (axes,) = new_figure(4.6, title=title)
    for point in points:
        colour, _ = arm_look(point.index)
        if len(point.costs) > 1:
            axes.scatter(point.costs, point.errors, s=14, color=colour, alpha=0.45, lw=0)
        axes.scatter(*point.mean, s=70, color=colour, marker="o", zorder=3)
    front = sorted(point.mean for point in points if point.on_front)
    if len(front) > 1:
        # What costs in between buys no more than the cheaper of its neighbours.
        label = f"Pareto front{over}: nothing is cheaper and better"
        axes.step(*zip(*front, strict=True), where="post", color=GREY, lw=1, ls="--", zorder=1, label=label)
    axes.set_xlabel(abscissa)
    axes.set_ylabel(ordinate)
    axes.margins(0.12)
    axes.set_xlim(left=0)
    if len(front) > 1:
        legend_below(figure, [axes])
    labels = [Label(*point.mean, drawn_name(point.label)) for point in points]
    runs = [run for point in points for run in zip(point.costs, point.errors, strict=True)]
    steps = [((x, y), (next_x, y)) for (x, y), (next_x, _) in itertools.pairwise(front)]
    place_labels(axes, labels, [*(point.mean for point in points), *runs], steps)
    return figure


def overlaid_curves(groups: Sequence[RunGroup], names: Mapping[str, str], title: str) -> Figure:
    """A panel for each of some columns: every run thin, the median of each group bold as far as all its runs were still
    training, and a dot where each stopped.

    Args:
        names: of columns that all runs have, what the axes call them.
    """
    height = 1.1 + 2.5 * len(names) + 0.25 * len(groups)
    figure, drawn = new_figure(height, len(names), title=title, sharex=True)
    lengths = [len(run["epoch"]) for group in groups for run in group.runs]
    for axes, (column, name) in zip(drawn, names.items(), strict=True):
        # The shorter on top: of the same seed it may be the beginning of a longer one.
        for group in sorted(groups, key=lambda group: -max(len(run["epoch"]) for run in group.runs)):
            _overlay(axes, group, column)
        if (direction := natural_direction(column)) is not None:
            fit_scale(axes, [run[column] for group in groups for run in group.runs], falls=direction == "min")
        axes.set_ylabel(drawn_name(name, _LONGEST))
    whole_numbers(drawn[-1], "epoch")
    if max(lengths) / min(lengths) > _LOG_FROM:
        # The short ones would be a dot.
        drawn[-1].set_xscale("log")
        mark_decades(drawn[-1].xaxis, "{:,.0f}")
    stopped = legend_mark("where a run stopped", marker="o", ls="", ms=5)
    legend_below(figure, drawn, handles=[*map(_group_mark, groups), stopped])
    return figure


def _overlay(axes: Axes, group: RunGroup, column: str) -> None:
    colour, style = arm_look(group.index)
    several = len(group.runs) > 1
    width, alpha = (0.5, 0.35) if several else (1.7, 1.0)
    for run in group.runs:
        epochs, values = run["epoch"], _finite(_bridged(run[column]))
        shown = thinned(len(epochs) * len(group.runs), 4 * MOST_POINTS)
        axes.plot(epochs[shown], values[shown], color=colour, ls=style, lw=width, alpha=alpha)
        axes.plot(epochs[-1:], values[-1:], color=colour, marker="o", ms=5, mec="white", mew=0.6, zorder=4)
    if several:
        epochs, median = _median(group.runs, column)
        shown = thinned(len(epochs))
        axes.plot(epochs[shown], median[shown], color=colour, ls=style, lw=1.9, zorder=3)


def _median(runs: Sequence[Columns], column: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The epochs that all runs have, and the median over the runs at each."""
    common = min(len(run["epoch"]) for run in runs)
    # The middle one of an odd number that holds an infinite value is still a number.
    return runs[0]["epoch"][:common], _finite(np.median([_bridged(run[column])[:common] for run in runs], axis=0))


def _bridged(values: NDArray[Any]) -> NDArray[Any]:
    """Values of a metric that was not measured after every epoch, with a straight line from one to the next, and level
    from the last one on; as they are where only the last ones are NaN, as in a run that ended so."""
    (measured,) = np.nonzero(~np.isnan(values))
    if not len(measured) or measured[-1] == len(measured) - 1:
        return values
    rows = np.arange(len(values))
    return np.where(rows < measured[0], np.nan, np.interp(rows, measured, values[measured]))


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    """Values with gaps where they are infinite."""
    return np.where(np.isfinite(values), values, np.nan)


def _group_mark(group: RunGroup) -> Line2D:
    colour, style = arm_look(group.index)
    runs = f" (median of {len(group.runs)} runs)" if len(group.runs) > 1 else ""
    return legend_mark(drawn_name(group.label, _LONGEST) + runs, color=colour, ls=style, lw=1.9)


def curves_by_column(
    columns: Columns, panels: Sequence[Sequence[str]], best: tuple[int, str] | None, title: str
) -> Figure:
    """Columns of a run against the epoch, by their own names.

    Args:
        panels: the columns of each; NaN where there was no value, over which a curve goes straight on.
        best: the best epoch, and what it is called; None for none.
    """
    figure, drawn = new_figure(1.6 + 2 * len(panels), len(panels), title=drawn_name(title, _LONGEST), sharex=True)
    for axes, names in zip(drawn, panels, strict=True):
        curves = [columns[name] for name in names]
        for i, (name, values) in enumerate(zip(names, curves, strict=True)):
            measured = np.flatnonzero(np.isfinite(values))
            shown, (colour, style) = measured[thinned(len(measured))], arm_look(i + 1)
            marker = "o" if len(measured) == 1 else ""
            label = drawn_name(name, _LONGEST)
            axes.plot(
                columns["epoch"][shown], values[shown], color=colour, ls=style, lw=1.4, label=label, marker=marker
            )
        if best:
            axes.axvline(best[0], color=GREY, lw=1.3, ls="--", label=drawn_name(best[1], _LONGEST))
        fit_scale(axes, curves, falls=natural_direction(names[0]) != "max")
        axes.legend(frameon=False)
    whole_numbers(drawn[-1], "epoch")
    return figure


def value_strips(views: Mapping[str, Sequence[ValueRow]], title: str) -> Figure:
    """Values of runs as dots, a row for each group and a panel for each value; their mean, with its 95 % interval.

    Args:
        views: each with the same groups in the same order.
    """
    labels = row_labels([drawn_name(row.label, _LONGEST) for row in next(iter(views.values()))])
    height = 1.2 + len(views) * (0.6 + 0.5 * len(labels))
    figure, drawn = new_figure(height, len(views), title=title, grid="x")
    for axes, (name, rows) in zip(drawn, views.items(), strict=True):
        for i, row in enumerate(rows):
            if row.values:
                _strip(axes, i, row)
        axes.set_xlabel(drawn_name(name, _LONGEST))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.08)
        axes.set_yticks(range(len(labels)), labels)
        # The first on top.
        axes.set_ylim(len(labels) - 0.45, -0.6)
    mean = legend_mark("mean", marker="D", ls="", ms=5)
    if any(row.interval for rows in views.values() for row in rows):
        mean = legend_mark("mean and its 95 % interval", marker="D", lw=2.2, ms=5)
    legend_below(figure, drawn, handles=[legend_mark("a run", marker="o", ls="", ms=4), mean])
    return figure


def _strip(axes: Axes, i: int, row: ValueRow) -> None:
    colour, _ = arm_look(i)
    values = np.asarray(row.values, float)
    # Of equal values each further one stands a little lower, away from the mean.
    heights = np.minimum(earlier_equals(values) * 0.05, 0.4)
    axes.scatter(values, i + heights, s=16, color=colour, alpha=0.5, lw=0)
    if row.interval is not None:
        axes.plot(row.interval, [i - 0.28] * 2, color=colour, lw=2.2, solid_capstyle="butt")
    mean = float(values.mean())
    axes.scatter([mean], [i - 0.28], s=34, color=colour, marker="D", edgecolors="white", linewidths=0.6, zorder=3)
