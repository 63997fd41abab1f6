"""Figures of data: points over a model's boundary, augmented images, confusions, the worst mistakes of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stopcli.report.curves import BLUE, GREY, ORANGE, WIDTH, legend_below, set_title, thinned
from stopcli.report.drawing import drawn_name

# Pale, so that the points stand out: from class 0's colour through white to class 1's.
_PROBABILITY = LinearSegmentedColormap.from_list("probability", ["#F2B48C", "#FFFFFF", "#8CC0E0"])
MOST_MARKERS = 3000
# More classes than this cannot be read in a matrix with numbers.
MOST_NUMBERED_CLASSES = 20
# Letters that there is room for beside or above an image, and beside a matrix.
_LONGEST_NAME = 14


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
    figure, axes = _plane(title)
    filled = axes.contourf(*grid, probability, levels=np.linspace(0, 1, 21), cmap=_PROBABILITY, vmin=0, vmax=1)
    if probability.min() < 0.5 < probability.max():
        axes.contour(*grid, probability, levels=[0.5], colors="black", linewidths=1.5)
    colours: dict[str, Any] = {"cmap": ListedColormap([ORANGE, BLUE]), "vmin": 0, "vmax": 1}
    for group in points:
        shown = thinned(len(group.x), MOST_MARKERS)
        look: dict[str, Any] = {"marker": group.marker, "s": 38}
        x, y = group.x[shown].T
        axes.scatter(x, y, c=group.y[shown], edgecolors="white", linewidths=0.7, **colours, **look)
        axes.scatter([], [], c=GREY, label=f"{group.name} (n = {len(group.x)})", **look)
    for value, colour in ((0, ORANGE), (1, BLUE)):
        axes.scatter([], [], c=colour, marker="s", s=38, label=f"class {value}")
    legend_below(figure, [axes])
    figure.colorbar(filled, ax=axes, ticks=[0, 0.25, 0.5, 0.75, 1], label="probability of class 1")
    return figure


def plain_scatter(points: Sequence[Points], title: str) -> Figure:
    """Points by class, where there is no model to draw a boundary of."""
    figure, axes = _plane(title)
    for group in points:
        for value, colour in ((0, ORANGE), (1, BLUE)):
            x, y = group.x[group.y == value][:MOST_MARKERS].T
            axes.scatter(x, y, c=colour, marker=group.marker, s=30, label=f"{group.name}, class {value}")
    legend_below(figure, [axes])
    return figure


def _plane(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("feature 1")
    axes.set_ylabel("feature 2")
    set_title(figure, title)
    return figure, axes


def image_sheet(
    images: Sequence[NDArray[Any]], column_names: Sequence[str], row_names: Sequence[str], title: str
) -> Figure:
    """Images in columns, such as each as it is and then as it was augmented, a row for each image.

    Args:
        images: of each column, float32 in [0, 1], shape [rows, height, width, 3].
        column_names, row_names: labels above and beside them.
    """
    rows = len(images[0])
    figure = Figure(figsize=(WIDTH, 0.7 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, len(images), squeeze=False)
    for (r, c), axes in np.ndenumerate(grid):
        axes.imshow(np.clip(images[c][r], 0, 1), interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        if r == 0:
            axes.set_title(column_names[c])
        if c == 0:
            axes.set_ylabel(drawn_name(row_names[r], _LONGEST_NAME), rotation=0, ha="right", va="center")
    set_title(figure, title)
    return figure


def confusion(matrix: NDArray[Any], classes: Sequence[str], title: str) -> Figure:
    """How often each class was predicted as each other.

    Args:
        matrix: counts, shape [classes, classes]: true class by predicted class.
    """
    n = len(classes)
    side = min(max(WIDTH, 0.4 * n + 1.5), 12)
    figure = Figure(figsize=(side, side + 0.4), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if n <= MOST_NUMBERED_CLASSES:
        for i in range(n):
            for j in range(n):
                if matrix[i, j]:
                    colour = "white" if shares[i, j] > 0.55 else "black"
                    axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=colour)
        names = [drawn_name(name, _LONGEST_NAME) for name in classes]
        axes.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    set_title(figure, title)
    # Beside the matrix it would take width from the numbers.
    figure.colorbar(shown, ax=axes, location="bottom", shrink=0.6, aspect=30, label="share of the true class")
    return figure


@dataclass(frozen=True)
class Mistake:
    """An image that was misclassified.

    Attributes:
        image: float32 in [0, 1], [height, width, 3].
        true, predicted: class names.
        confidence: the probability of the predicted class.
    """

    image: NDArray[Any]
    true: str
    predicted: str
    confidence: float


def worst_images(mistakes: Sequence[Mistake], title: str, columns: int = 4) -> Figure:
    """The images that a model misclassified most confidently."""
    rows = max(1, -(-len(mistakes) // columns))
    figure = Figure(figsize=(WIDTH, 1.9 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, mistake in zip(grid.flat, mistakes, strict=False):
        axes.imshow(np.clip(mistake.image, 0, 1), interpolation="nearest")
        true, predicted = (drawn_name(name, _LONGEST_NAME) for name in (mistake.true, mistake.predicted))
        axes.set_title(f"{true}\n→ {predicted}\n{mistake.confidence:.2f}")
    set_title(figure, title if mistakes else f"{title}: none")
    return figure
