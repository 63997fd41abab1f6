"""The front of what nothing else beats in cost and quality at once, and its figure."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator
from matplotlib.transforms import Bbox

from stopcli.quantities import counted
from stopcli.report.curves import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    YELLOW,
    legend_below,
    legend_mark,
    mark_decades,
    new_figure,
)
from stopcli.report.drawing import drawn_name
from stopcli.stats.intervals import MeanInterval
from stopcli.stopping.combine import rules_by_keyword
from stopcli.stopping.rule import Direction


def pareto_front(costs: Sequence[float], losses: Sequence[float]) -> list[int]:
    """The indices of those than which no other is both at least as cheap and at least as good, the cheapest first.

    Args:
        costs, losses: of each, lower is better, no NaN. Of several that are the same, the first is taken.
    """
    front: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], losses[i])):
        if not front or losses[i] < losses[front[-1]]:
            front.append(i)
    return front


Point = tuple[float, float]
Line = tuple[Point, Point]

# In the order of the registry of rules; the markers tell them apart without their colours.
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, BLACK)
# Intervals of more rules than this would hide each other: then only those of the front are drawn.
_MOST_INTERVALS = 30
# More names than this would overlap; the table has them all.
_MOST_NAMES = 8
# Letters of an ordinate's name, and those that fit beside a panel.
_LONGEST, _WIDEST = 120, 40
# Costs further apart than this are drawn on a logarithmic axis.
_WIDE = 12
# Across the ring around a marked point.
_RING_POINTS = 13.0
# The height of a line of the legend.
_LINE_INCHES = 0.3


@dataclass(frozen=True)
class FrontierPoint:
    """A rule.

    Attributes:
        family: its keyword.
        cost: epochs.
        values: in each panel; None where it has none.
        stopped_all: whether it stopped every run.
        is_marked: whether it has a ring around it, and its name beside it.
    """

    label: str
    family: str
    cost: MeanInterval
    values: tuple[MeanInterval | None, ...]
    stopped_all: bool
    is_marked: bool = False


@dataclass(frozen=True)
class Panel:
    """What is drawn against the cost.

    Attributes:
        ordinate: its name, with its unit.
        level: the value of the best epoch of all, drawn as a line, and its label; None for none.
        direction: which of its values are better.
        linear_to: the value above which the axis is logarithmic, for values ≥ 0 of which many are 0; None for a linear
            axis.
    """

    ordinate: str
    level: tuple[float, str] | None = None
    direction: Direction = "min"
    linear_to: float | None = None


@dataclass(frozen=True)
class Reference:
    """A point that is no rule of its own, such as a choice that other runs made.

    Attributes:
        label: in the legend.
        cost, value: where it is.
    """

    label: str
    cost: MeanInterval
    value: MeanInterval


def frontier(
    points: Sequence[FrontierPoint],
    panels: Sequence[Panel],
    title: str,
    full_epochs: float | None = None,
    *,
    cost_name: str = "epochs trained",
    interval_name: str = "95 % interval of the mean",
    mark_name: str = "",
    reference: Reference | None = None,
) -> Figure:
    """A panel for each value: every rule with its intervals, and the Pareto front with its rules named.

    Args:
        full_epochs: of a whole run; None where the runs' lengths differ.
        cost_name: what the points' cost is.
        interval_name: what their intervals are.
        mark_name: what the marked points are.
        reference: what is drawn in the first panel and is no rule.
    """
    # The legend takes its lines from the panels.
    height = 2.1 + 2.9 * len(panels) + _LINE_INCHES * (bool(mark_name) + (reference is not None))
    figure, drawn = new_figure(height, len(panels), title=title, sharex=True)
    costs = [point.cost.mean for point in points]
    wide = max(costs) / min(costs) > _WIDE
    for axes in drawn:
        if wide:
            axes.set_xscale("log")
            mark_decades(axes.xaxis, "{:,.0f}")
    annotations = [_draw(axes, points, i, panel) for i, (axes, panel) in enumerate(zip(drawn, panels, strict=True))]
    if reference is not None:
        point = (reference.cost.mean, reference.value.mean)
        annotations[0][1].append(point)
        annotations[0][2].extend(_intervals(drawn[0], reference.cost, reference.value, BLACK, 0.8))
        drawn[0].scatter(*point, s=46, marker="x", color=BLACK, lw=1.6, zorder=6)
    drawn[-1].set_xlabel(f"{cost_name} (mean over the runs)" if points[0].cost.n > 1 else cost_name)
    if full_epochs:
        share = drawn[0].secondary_xaxis("top", functions=(_times(100 / full_epochs), _times(full_epochs / 100)))
        if wide:
            share.set_xscale("log")
            mark_decades(share.xaxis, "{:g} %")
        share.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        share.set_xlabel(f"share of the {counted(round(full_epochs), 'epoch')} on record")
    legend_below(figure, drawn, handles=_legend(points, panels, interval_name, mark_name, reference))
    for axes, (labels, means, lines) in zip(drawn, annotations, strict=True):
        place_labels(axes, labels, means, lines)
    return figure


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda value: value * factor


def _draw(
    axes: Axes, points: Sequence[FrontierPoint], index: int, panel: Panel
) -> tuple[list[Label], list[Point], list[Line]]:
    """Draw a panel. Returns the labels of its front, and the points and lines that they should not cover."""
    known = [(point, value) for point in points if (value := point.values[index]) is not None]
    means = [(point.cost.mean, value.mean) for point, value in known]
    front = pareto_front([x for x, _ in means], [y if panel.direction == "min" else -y for _, y in means])
    lines: list[Line] = []
    for i, (point, value) in enumerate(known):
        colour, marker = _look(point.family)
        on_front = means[i] in [means[j] for j in front]
        if len(known) <= _MOST_INTERVALS or on_front:
            lines += _intervals(axes, point.cost, value, colour, 0.55 if on_front else 0.25)
        face = colour if point.stopped_all else "white"
        axes.scatter(*means[i], s=44 if on_front else 26, marker=marker, facecolor=face, edgecolor=colour, zorder=4)
        if point.is_marked:
            axes.scatter(*means[i], s=_RING_POINTS**2, marker="o", facecolor="none", edgecolor=BLACK, lw=1.3, zorder=5)
    if len(front) > 1:
        # What costs in between buys no more than the cheaper of its neighbours.
        steps = [means[i] for i in front]
        axes.step(*zip(*steps, strict=True), where="post", color=GREY, lw=1.1, ls="--", zorder=2)
        for (x, y), (next_x, next_y) in itertools.pairwise(steps):
            lines += [((x, y), (next_x, y)), ((next_x, y), (next_x, next_y))]
    if panel.level is not None:
        axes.axhline(panel.level[0], color=GREY, lw=1, ls=":", zorder=1)
    axes.set_ylabel(textwrap.fill(drawn_name(panel.ordinate, _LONGEST), _WIDEST))
    axes.margins(x=0.08, y=0.12)
    if panel.linear_to is not None:
        axes.set_yscale("symlog", linthresh=panel.linear_to, linscale=0.6)
        axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=panel.linear_to, subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_ylim(bottom=-panel.linear_to / 4)
    labels = []
    marked = [i for i, (point, _) in enumerate(known) if point.is_marked]
    # Where the marked one has a point at the same spot, that has both names.
    marked = [i for i in marked if means[i] not in [means[j] for j in front]]
    for i in [*_named(axes, means, front), *marked]:
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


def _intervals(axes: Axes, cost: MeanInterval, value: MeanInterval, colour: str, alpha: float) -> list[Line]:
    lines: list[Line] = []
    if value.low is not None and value.high is not None:
        lines.append(((cost.mean, value.low), (cost.mean, value.high)))
    if cost.low is not None and cost.high is not None:
        lines.append(((cost.low, value.mean), (cost.high, value.mean)))
    for line in lines:
        axes.plot(*zip(*line, strict=True), color=colour, lw=1.2, alpha=alpha, zorder=3)
    return lines


def _look(family: str) -> tuple[str, str]:
    """The colour and the marker of a kind of rule."""
    rules = rules_by_keyword()
    return _COLOURS[[*rules].index(family) % len(_COLOURS)], rules[family].marker


def _legend(
    points: Sequence[FrontierPoint],
    panels: Sequence[Panel],
    interval_name: str,
    mark_name: str,
    reference: Reference | None,
) -> list[Line2D]:
    handles = []
    for family in dict.fromkeys(point.family for point in points):
        colour, marker = _look(family)
        handles.append(legend_mark(rules_by_keyword()[family].label, ls="", marker=marker, color=colour))
    if not all(point.stopped_all for point in points):
        handles.append(legend_mark("did not stop every run", ls="", marker="o", markerfacecolor="white"))
    handles.append(legend_mark("Pareto front", ls="--"))
    if any(point.is_marked for point in points):
        handles.append(legend_mark(mark_name, ls="", marker="o", markerfacecolor="none", markersize=_RING_POINTS))
    if reference is not None:
        handles.append(legend_mark(reference.label, ls="", marker="x", color=BLACK))
    if any(interval.low is not None for point in points for interval in (point.cost, *filter(None, point.values))):
        handles.append(legend_mark(interval_name, lw=1.2, alpha=0.6))
    handles += [legend_mark(panel.level[1], lw=1, ls=":") for panel in panels if panel.level]
    return handles


# How far from its point a label may lie, and in which directions, in the order of preference.
_DISTANCES_POINTS = (5, 12, 20, 30, 42, 56, 72, 90)
_ANGLES_DEGREES = (45, 135, -45, -135, 0, 180, 90, -90, 20, 160, -20, -160, 70, 110, -70, -110)
_MARKER_POINTS = 4.0
# From this distance on a line leads to the point.
_LEADER_POINTS = 10
_LEADER = {"arrowstyle": "-", "lw": 0.5, "color": "#666666", "shrinkA": 0, "shrinkB": 3}
# What it costs to cover something, or to leave the axes.
_COVERED_POINT, _COVERED_LABEL, _COVERED_LINE, _OUTSIDE = 3.0, 3.0, 0.4, 10.0


@dataclass(frozen=True)
class Label:
    """The text for a point, in the coordinates of the data."""

    x: float
    y: float
    text: str


def place_labels(axes: Axes, labels: Sequence[Label], points: Sequence[Point], lines: Sequence[Line]) -> None:
    """Write labels beside their points, once everything else is drawn.

    Args:
        points: that no label should cover.
        lines: horizontal or vertical ones, which a label covers only where there is no room elsewhere.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw_without_rendering()
    pixels = figure.dpi / 72
    room = axes.get_window_extent(renderer)
    obstacles = _Obstacles()
    for point in points:
        obstacles.add(_between(axes, point, point, _MARKER_POINTS * pixels), _COVERED_POINT)
    for line in lines:
        obstacles.add(_between(axes, *line, 1.0), _COVERED_LINE)
    for label in labels:
        drawn = axes.annotate(label.text, (label.x, label.y), ha="center", va="center")
        extent = drawn.get_window_extent(renderer)
        x, y = axes.transData.transform((label.x, label.y))
        right, up, box = _best_box((x, y), (extent.width + 2, extent.height), pixels, room, obstacles)
        drawn.remove()
        apart = abs(right) - box.width / 2 / pixels, abs(up) - box.height / 2 / pixels
        written = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(right, up),
            textcoords="offset points",
            ha="center",
            va="center",
            zorder=6,
            arrowprops=_LEADER if max(apart) > _LEADER_POINTS else None,
        )
        written.set_path_effects([withStroke(linewidth=2, foreground="white")])
        written.set_in_layout(False)
        obstacles.add(box, _COVERED_LABEL)


class _Obstacles:
    """Boxes that something is drawn in, in pixels, each with what it costs to cover it."""

    def __init__(self) -> None:
        self._boxes: list[tuple[float, float, float, float]] = []
        self._weights: list[float] = []

    def add(self, box: Bbox, weight: float) -> None:
        self._boxes.append((box.x0, box.y0, box.x1, box.y1))
        self._weights.append(weight)

    def covered_by(self, box: Bbox) -> float:
        x0, y0, x1, y1 = np.array(self._boxes).reshape(-1, 4).T
        overlaps = (x0 < box.x1) & (x1 > box.x0) & (y0 < box.y1) & (y1 > box.y0)
        return float(np.array(self._weights)[overlaps].sum())


def _best_box(point: Point, size: Point, pixels: float, room: Bbox, obstacles: _Obstacles) -> tuple[float, float, Bbox]:
    """The nearest free box around a point: its middle relative to the point, in points, and the box in pixels."""
    least, best = math.inf, None
    for distance in _DISTANCES_POINTS:
        for angle in _ANGLES_DEGREES:
            across, along = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            # The distance is that of the box's nearest side or corner, not of its middle.
            x = point[0] + across * distance * pixels + _side(across) * size[0] / 2
            y = point[1] + along * distance * pixels + _side(along) * size[1] / 2
            box = Bbox.from_bounds(x - size[0] / 2, y - size[1] / 2, *size)
            covered = obstacles.covered_by(box) + _OUTSIDE * _outside(box, room)
            # Far from its point a label is harder to read.
            covered += distance / 100 if covered else 0
            if covered < least:
                least, best = covered, ((x - point[0]) / pixels, (y - point[1]) / pixels, box)
            if not covered:
                break
        if not least:
            break
    assert best is not None
    return best


def _outside(box: Bbox, room: Bbox) -> bool:
    return bool(box.x0 < room.x0 or box.x1 > room.x1 or box.y0 < room.y0 or box.y1 > room.y1)


def _side(component: float) -> int:
    """Whether a box lies to one side of its point (-1 or 1), or in its middle (0)."""
    return 0 if abs(component) < 0.3 else int(math.copysign(1, component))


def _between(axes: Axes, start: Point, end: Point, margin: float) -> Bbox:
    """The box in pixels that holds a horizontal or vertical line, with a margin."""
    (x0, y0), (x1, y1) = axes.transData.transform([start, end])
    return Bbox.from_extents(min(x0, x1) - margin, min(y0, y1) - margin, max(x0, x1) + margin, max(y0, y1) + margin)
