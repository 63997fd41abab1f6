"""Labels beside points of a figure, placed where they cover neither each other nor a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

Point = tuple[float, float]
Line = tuple[Point, Point]

# How far from its point a label may lie, and in which directions, in the order of preference.
_DISTANCES_POINTS = (5, 12, 20, 30, 42, 56, 72, 90)
_ANGLES_DEGREES = (45, 135, -45, -135, 0, 180, 90, -90, 20, 160, -20, -160, 70, 110, -70, -110)
_FONT_SIZE = 8
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
        drawn = axes.annotate(label.text, (label.x, label.y), fontsize=_FONT_SIZE, ha="center", va="center")
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
            fontsize=_FONT_SIZE,
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
