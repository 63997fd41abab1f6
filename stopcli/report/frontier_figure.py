"""Cost against quality of stopping rules: what each costs in epochs, what it loses, and what nothing else beats."""

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
from stopcli.report.labels import Label, Line, Place, place_labels

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
# Intervals of more rules than this would hide each other: then those of the front alone are drawn.
_MOST_INTERVALS = 30
# More names than these would not keep apart; the table has them all.
_MOST_NAMES = 12
# Costs further apart than this are drawn on a logarithmic axis.
_WIDE = 12


@dataclass(frozen=True)
class FrontierPoint:
    """A rule.

    Attributes:
        family: its kind.
        cost: epochs.
        losses: of each panel, lower is better; None where it has none.
        always: whether it stopped every run.
    """

    label: str
    family: str
    cost: MeanInterval
    losses: tuple[MeanInterval | None, ...]
    always: bool


@dataclass(frozen=True)
class Panel:
    """What is drawn against the cost.

    Attributes:
        ordinate: its name.
        level: the loss of the best epoch of all, drawn as a line, and its words; None for none.
    """

    ordinate: str
    level: tuple[float, str] | None = None


def frontier(
    points: Sequence[FrontierPoint], panels: Sequence[Panel], title: str, full_epochs: float | None = None
) -> Figure:
    """A panel for each loss: every rule, its intervals, the Pareto front joined and its rules named.

    Args:
        full_epochs: that a whole run has; None where the runs' lengths differ.
    """
    figure, drawn = new_figure(8, 1.4 + 3.9 * len(panels), len(panels), sharex=True)
    costs = [point.cost.mean for point in points]
    wide = max(costs) / min(costs) > _WIDE
    for axes in drawn:
        if wide:
            axes.set_xscale("log")
            _mark(axes.xaxis, "{:,.0f}")
    fronts = [_draw(axes, points, i, panel) for i, (axes, panel) in enumerate(zip(drawn, panels, strict=True))]
    drawn[-1].set_xlabel("epochs trained (mean over the runs)" if points[0].cost.n > 1 else "epochs trained")
    if full_epochs:
        share = drawn[0].secondary_xaxis("top", functions=(_times(100 / full_epochs), _times(full_epochs / 100)))
        if wide:
            share.set_xscale("log")
            _mark(share.xaxis, "{:g} %")
        share.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        share.set_xlabel(f"share of the {counted(round(full_epochs), 'epoch')} on record", fontsize=9)
    figure.suptitle(title, fontsize=11)
    legend_below(figure, drawn, handles=_legend(points), columns=3)
    for axes, front in zip(drawn, fronts, strict=True):
        place_labels(axes, front.labels, front.places, front.lines)
    return figure


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda value: value * factor


def _mark(axis: Axis, form: str) -> None:
    """Mark 1, 2, 5, 10, 20, … on a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value)))
    axis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class _Drawn:
    """What is to be written into a panel, and what the words should not cover."""

    labels: Sequence[Label]
    places: Sequence[Place]
    lines: Sequence[Line]


def _draw(axes: Axes, points: Sequence[FrontierPoint], panel: int, words: Panel) -> _Drawn:
    known = [(point, loss) for point in points if (loss := point.losses[panel]) is not None]
    places = [(point.cost.mean, loss.mean) for point, loss in known]
    front = pareto_front([x for x, _ in places], [y for _, y in places])
    lines: list[Line] = []
    for i, (point, loss) in enumerate(known):
        colour, marker = _LOOKS[point.family]
        on_front = places[i] in [places[j] for j in front]
        if len(known) <= _MOST_INTERVALS or on_front:
            lines += _intervals(axes, point.cost, loss, colour, 0.55 if on_front else 0.25)
        face = colour if point.always else "white"
        axes.scatter(*places[i], s=44 if on_front else 26, marker=marker, facecolor=face, edgecolor=colour, zorder=4)
    if len(front) > 1:
        # What costs in between buys no more than the cheaper of its neighbours.
        steps = [places[i] for i in front]
        axes.step(*zip(*steps, strict=True), where="post", color=GREY, lw=1.1, ls="--", zorder=2)
        for (x, y), (next_x, next_y) in itertools.pairwise(steps):
            lines += [((x, y), (next_x, y)), ((next_x, y), (next_x, next_y))]
    if words.level is not None:
        axes.axhline(words.level[0], color=GREY, lw=1, ls=":", zorder=1)
        axes.annotate(
            words.level[1],
            (0, words.level[0]),
            xycoords=("axes fraction", "data"),
            xytext=(4, -3),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=8,
        )
    axes.set_ylabel(words.ordinate)
    axes.margins(x=0.08, y=0.12)
    labels = []
    for i in _apart(axes, places, front):
        same = [point.label for (point, _), place in zip(known, places, strict=True) if place == places[i]]
        labels.append(Label(*places[i], _joined(same)))
    return _Drawn(labels, places, lines)


def _apart(axes: Axes, places: Sequence[Place], front: Sequence[int]) -> list[int]:
    """Those of a front that are named: all of a short one, else its ends and what is farthest from what is named."""
    if len(front) <= _MOST_NAMES:
        return list(front)
    drawn = dict(zip(front, axes.transData.transform([places[i] for i in front]), strict=True))
    named = [front[0], front[-1]]
    while len(named) < _MOST_NAMES:
        left = [i for i in front if i not in named]
        named.append(max(left, key=lambda i: min(math.dist(drawn[i], drawn[j]) for j in named)))
    return sorted(named, key=front.index)


def _joined(labels: Sequence[str]) -> str:
    return ", ".join(labels[:2]) + (f" and {len(labels) - 2} more" if len(labels) > 2 else "")


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
    if not all(point.always for point in points):
        handles.append(legend_mark("did not stop every run", ls="", marker="o", markerfacecolor="white"))
    handles.append(legend_mark("front: nothing is cheaper and better", ls="--"))
    if any(point.cost.low is not None for point in points):
        handles.append(legend_mark("95 % interval of the mean", lw=1.2, alpha=0.6))
    return handles
