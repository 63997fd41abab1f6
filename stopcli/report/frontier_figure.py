"""Cost against quality of stopping rules: the epochs that each trains, what it loses, and which no other rule beats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from stopcli.counts import counted
from stopcli.evidence.interval import MeanInterval
from stopcli.evidence.pareto import pareto_front
from stopcli.report.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, YELLOW, legend_below, legend_mark, new_figure
from stopcli.report.labels import Label, Line, Point, place_labels

# The markers tell the families apart without their colours.
_LOOKS = {
    "patience": (BLUE, "o"),
    "gl": (ORANGE, "s"),
    "pq": (GREEN, "^"),
    "up": (PURPLE, "D"),
    "threshold": (YELLOW, "v"),
}
_WORDS = {
    "patience": "patience",
    "gl": "generalization loss (gl)",
    "pq": "progress quotient (pq)",
    "up": "rising strips (up)",
    "threshold": "threshold",
}
# Intervals of more rules than this would hide each other: then only those of the front are drawn.
_MOST_INTERVALS = 30
# More names than this would overlap; the table has them all.
_MOST_NAMES = 12
# Costs further apart than this are drawn on a logarithmic axis.
_WIDE = 12


@dataclass(frozen=True)
class FrontierPoint:
    """A rule.

    Attributes:
        family: its kind.
        cost: epochs.
        losses: in each panel, lower is better; None where it has none.
        stopped_all: whether it stopped every run.
    """

    label: str
    family: str
    cost: MeanInterval
    losses: tuple[MeanInterval | None, ...]
    stopped_all: bool


@dataclass(frozen=True)
class Panel:
    """What is drawn against the cost.

    Attributes:
        ordinate: its name.
        level: the loss of the best epoch of all, drawn as a line, and its label; None for none.
    """

    ordinate: str
    level: tuple[float, str] | None = None


def frontier(
    points: Sequence[FrontierPoint], panels: Sequence[Panel], title: str, full_epochs: float | None = None
) -> Figure:
    """A panel for each loss: every rule with its intervals, and the Pareto front with its rules named.

    Args:
        full_epochs: of a whole run; None where the runs' lengths differ.
    """
    figure, drawn = new_figure(8, 1.4 + 3.9 * len(panels), len(panels), sharex=True)
    costs = [point.cost.mean for point in points]
    wide = max(costs) / min(costs) > _WIDE
    for axes in drawn:
        if wide:
            axes.set_xscale("log")
            _mark_decades(axes.xaxis, "{:,.0f}")
    annotations = [_draw(axes, points, i, panel) for i, (axes, panel) in enumerate(zip(drawn, panels, strict=True))]
    drawn[-1].set_xlabel("epochs trained (mean over the runs)" if points[0].cost.n > 1 else "epochs trained")
    if full_epochs:
        share = drawn[0].secondary_xaxis("top", functions=(_times(100 / full_epochs), _times(full_epochs / 100)))
        if wide:
            share.set_xscale("log")
            _mark_decades(share.xaxis, "{:g} %")
        share.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        share.set_xlabel(f"share of the {counted(round(full_epochs), 'epoch')} on record", fontsize=9)
    figure.suptitle(title, fontsize=11)
    legend_below(figure, drawn, handles=_legend(points), columns=3)
    for axes, (labels, means, lines) in zip(drawn, annotations, strict=True):
        place_labels(axes, labels, means, lines)
    return figure


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda value: value * factor


def _mark_decades(axis: Axis, form: str) -> None:
    """Mark 1, 2, 5, 10, 20, … on a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value)))
    axis.set_minor_formatter(NullFormatter())


def _draw(
    axes: Axes, points: Sequence[FrontierPoint], index: int, panel: Panel
) -> tuple[list[Label], list[Point], list[Line]]:
    """Draw a panel. Returns the labels of its front, and the points and lines that they should not cover."""
    known = [(point, loss) for point in points if (loss := point.losses[index]) is not None]
    means = [(point.cost.mean, loss.mean) for point, loss in known]
    front = pareto_front([x for x, _ in means], [y for _, y in means])
    lines: list[Line] = []
    for i, (point, loss) in enumerate(known):
        colour, marker = _LOOKS[point.family]
        on_front = means[i] in [means[j] for j in front]
        if len(known) <= _MOST_INTERVALS or on_front:
            lines += _intervals(axes, point.cost, loss, colour, 0.55 if on_front else 0.25)
        face = colour if point.stopped_all else "white"
        axes.scatter(*means[i], s=44 if on_front else 26, marker=marker, facecolor=face, edgecolor=colour, zorder=4)
    if len(front) > 1:
        # What costs in between buys no more than the cheaper of its neighbours.
        steps = [means[i] for i in front]
        axes.step(*zip(*steps, strict=True), where="post", color=GREY, lw=1.1, ls="--", zorder=2)
        for (x, y), (next_x, next_y) in itertools.pairwise(steps):
            lines += [((x, y), (next_x, y)), ((next_x, y), (next_x, next_y))]
    if panel.level is not None:
        axes.axhline(panel.level[0], color=GREY, lw=1, ls=":", zorder=1)
        axes.annotate(
            panel.level[1],
            (0, panel.level[0]),
            xycoords=("axes fraction", "data"),
            xytext=(4, -3),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=8,
        )
    axes.set_ylabel(panel.ordinate)
    axes.margins(x=0.08, y=0.12)
    labels = []
    for i in _named(axes, means, front):
        same = [point.label for (point, _), mean in zip(known, means, strict=True) if mean == means[i]]
        more = f" and {len(same) - 2} more" if len(same) > 2 else ""
        labels.append(Label(*means[i], ", ".join(same[:2]) + more))
    return labels, means, lines


def _named(axes: Axes, means: Sequence[Point], front: Sequence[int]) -> list[int]:
    """The points of a front that are named: all of a short one, else its ends and those farthest from named ones."""
    if len(front) <= _MOST_NAMES:
        return list(front)
    drawn = dict(zip(front, axes.transData.transform([means[i] for i in front]), strict=True))
    named = [front[0], front[-1]]
    while len(named) < _MOST_NAMES:
        others = [i for i in front if i not in named]
        named.append(max(others, key=lambda i: min(math.dist(drawn[i], drawn[j]) for j in named)))
    return sorted(named, key=front.index)


def _intervals(axes: Axes, cost: MeanInterval, loss: MeanInterval, colour: str, alpha: float) -> list[Line]:
    lines: list[Line] = []
    if loss.low is not None and loss.high is not None:
        lines.append(((cost.mean, loss.low), (cost.mean, loss.high)))
    if cost.low is not None and cost.high is not None:
        lines.append(((cost.low, loss.mean), (cost.high, loss.mean)))
    for line in lines:
        axes.plot(*zip(*line, strict=True), color=colour, lw=1.2, alpha=alpha, zorder=3)
    return lines


def _legend(points: Sequence[FrontierPoint]) -> list[Line2D]:
    handles = []
    for family in dict.fromkeys(point.family for point in points):
        colour, marker = _LOOKS[family]
        handles.append(legend_mark(_WORDS[family], ls="", marker=marker, color=colour))
    if not all(point.stopped_all for point in points):
        handles.append(legend_mark("did not stop every run", ls="", marker="o", markerfacecolor="white"))
    handles.append(legend_mark("front: nothing is cheaper and better", ls="--"))
    if any(point.cost.low is not None for point in points):
        handles.append(legend_mark("95 % interval of the mean", lw=1.2, alpha=0.6))
    return handles
