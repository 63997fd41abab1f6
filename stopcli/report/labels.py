"""Words beside points of a figure, where they cover neither each other nor a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

Place = tuple[float, float]
Line = tuple[Place, Place]

# How far from its point a label may lie, and in which directions, in the order of preference.
_DISTANCES_POINTS = (5, 12, 20, 30, 42, 56, 72, 90)
_ANGLES_DEGREES = (45, 135, -45, -135, 0, 180, 90, -90, 20, 160, -20, -160, 70, 110, -70, -110)
_FONT_SIZE = 8
_MARKER_POINTS = 4.0
# From here on a line leads to the point.
_LEADER_POINTS = 10
_LEADER = {"arrowstyle": "-", "lw": 0.5, "color": "#666666", "shrinkA": 0, "shrinkB": 3}
# How bad it is what a label covers.
_COVERED_POINT, _COVERED_LABEL, _COVERED_LINE, _OUTSIDE = 3.0, 3.0, 0.4, 10.0


@dataclass(frozen=True)
class Label:
    """Words for a point, in the coordinates of the data."""

    x: float
    y: float
    text: str


def place_labels(axes: Axes, labels: Sequence[Label], points: Sequence[Place], lines: Sequence[Line]) -> None:
    """Write labels beside their points, once everything else is drawn.

    Args:
        points: that no label should cover.
        lines: level or upright ones, that none should cover where there is room elsewhere.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw_without_rendering()
    pixels = figure.dpi / 72
    room = axes.get_window_extent(renderer)
    taken = _Taken()
    for point in points:
        taken.add(_between(axes, point, point, _MARKER_POINTS * pixels), _COVERED_POINT)
    for line in lines:
        taken.add(_between(axes, *line, 1.0), _COVERED_LINE)
    for label in labels:
        drawn = axes.annotate(label.text, (label.x, label.y), fontsize=_FONT_SIZE, ha="center", va="center")
        extent = drawn.get_window_extent(renderer)
        place = axes.transData.transform((label.x, label.y))
        right, up, box = _best_place(tuple(place), (extent.width + 2, extent.height), pixels, room, taken)
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
        taken.add(box, _COVERED_LABEL)


class _Taken:
    """Boxes that something is drawn in, in pixels, each with how bad it is to cover it."""

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


def _best_place(place: Place, size: Place, pixels: float, room: Bbox, taken: _Taken) -> tuple[float, float, Bbox]:
    """The nearest free place around a point: the label's middle from it in points, and its box in pixels."""
    least, best = math.inf, None
    for distance in _DISTANCES_POINTS:
        for angle in _ANGLES_DEGREES:
            across, along = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            # The distance is that of the box's nearest side or corner, not of its middle.
            x = place[0] + across * distance * pixels + _side(across) * size[0] / 2
            y = place[1] + along * distance * pixels + _side(along) * size[1] / 2
            box = Bbox.from_bounds(x - size[0] / 2, y - size[1] / 2, *size)
            covered = taken.covered_by(box) + _OUTSIDE * _outside(box, room)
            # Far from its point a label says less.
            covered += distance / 100 if covered else 0
            if covered < least:
                least, best = covered, ((x - place[0]) / pixels, (y - place[1]) / pixels, box)
            if not covered:
                break
        if not least:
            break
    assert best is not None
    return best


def _outside(box: Bbox, room: Bbox) -> bool:
    return bool(box.x0 < room.x0 or box.x1 > room.x1 or box.y0 < room.y0 or box.y1 > room.y1)


def _side(component: float) -> int:
    """Whether a box lies to the one side of its point, to the other, or in its middle."""
    return 0 if abs(component) < 0.3 else int(math.copysign(1, component))


def _between(axes: Axes, begin: Place, end: Place, half: float) -> Bbox:
    """The box in pixels that holds a level or upright line, with a margin."""
    (x0, y0), (x1, y1) = axes.transData.transform([begin, end])
    return Bbox.from_extents(min(x0, x1) - half, min(y0, y1) - half, max(x0, x1) + half, max(y0, y1) + half)
