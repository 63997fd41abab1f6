"""Figures of image classifiers: augmented images, confusions, the images that a model is most wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stopcli.report.drawn_text import drawn_name
from stopcli.report.figures import BLUE, GREEN, GREY, ORANGE, Marks, mark_epochs
from stopcli.report.rate_figures import shade_cycles
from stopcli.runs.metrics import Columns

# More classes than this cannot be read in a matrix with numbers.
MOST_NUMBERED_CLASSES = 20
# Letters that there is room for above an image, and beside a matrix.
_LONGEST_COLUMN, _LONGEST_CLASS = 14, 24


def error_curves(
    metrics: Columns,
    watched_name: str,
    marks: Marks,
    title: str,
    of_loss: str = "cross-entropy",
    cycle: float | None = None,
) -> Figure:
    """Error (1 − accuracy), loss and learning rate against the epoch.

    Args:
        metrics: the columns of metrics.csv.
        watched_name: what the `val_` columns were measured on, for the legend.
        of_loss: what the loss is.
        cycle: epochs of a cycle of the learning rate, every other of which is shaded; None for no cycles.
    """
    figure = Figure(figsize=(8, 9), layout="constrained")
    error, loss, rate = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.4])
    epochs = metrics["epoch"]
    marker = "o" if len(epochs) == 1 else ""
    # Of an accuracy a the error 1 − a is drawn; a loss stands as it is.
    for axes, name, above, sign in ((error, "accuracy", 1.0, -1.0), (loss, "loss", 0.0, 1.0)):
        trained, watched = above + sign * metrics[name], above + sign * metrics[f"val_{name}"]
        axes.plot(epochs, trained, color=BLUE, lw=1.4, marker=marker, label="train (augmented, as it trains)")
        axes.plot(epochs, watched, color=ORANGE, lw=1.4, marker=marker, label=watched_name)
        axes.grid(alpha=0.25)
        mark_epochs(axes, marks, len(epochs))
        if marks.level and marks.level[0].endswith(name):
            axes.axhline(above + sign * marks.level[1], color=GREY, lw=1, ls=(0, (1, 2)), label=marks.level[2])
    error.set_ylabel("error (1 − accuracy)")
    error.set_ylim(bottom=0)
    loss.set_ylabel(f"loss ({of_loss})")
    if cycle is not None:
        for axes in (error, loss, rate):
            shade_cycles(axes, cycle, len(epochs))
    rate.plot(epochs, metrics["learning_rate"], color=GREEN, lw=1.4, marker=marker, drawstyle="steps-mid")
    rate.set_ylabel("learning rate")
    positive = metrics["learning_rate"][metrics["learning_rate"] > 0]
    if len(positive) and positive.max() > 5 * positive.min():
        rate.set_yscale("log")
    rate.grid(alpha=0.25)
    rate.xaxis.set_major_locator(MaxNLocator(integer=True))
    rate.set_xlabel("epoch")
    figure.suptitle(title, fontsize=11)
    shown = dict(zip(*reversed(loss.get_legend_handles_labels()), strict=True))
    shown |= dict(zip(*reversed(error.get_legend_handles_labels()), strict=True))
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def image_sheet(
    rows: Sequence[NDArray[Any]], row_names: Sequence[str], column_names: Sequence[str], title: str
) -> Figure:
    """Images in rows, such as each as it is and then as it was augmented.

    Args:
        rows: each float32 in [0, 1], shape [columns, height, width, 3].
        row_names, column_names: what stands beside and above them.
    """
    columns = len(rows[0])
    figure = Figure(figsize=(1.05 * columns + 0.9, 1.12 * len(rows) + 0.7), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for r, (images, name) in enumerate(zip(rows, row_names, strict=True)):
        for c, image in enumerate(images):
            axes = grid[r, c]
            axes.imshow(np.clip(image, 0, 1), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if r == 0:
                axes.set_title(drawn_name(column_names[c], _LONGEST_COLUMN), fontsize=8)
            if c == 0:
                axes.set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=11)
    return figure


def confusion(matrix: NDArray[Any], classes: Sequence[str], title: str) -> Figure:
    """How often each class was taken for each other.

    Args:
        matrix: counts, shape [classes, classes]: true class by predicted class.
    """
    n = len(classes)
    side = min(max(4.5, 0.62 * n + 2), 14)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if n <= MOST_NUMBERED_CLASSES:
        for i in range(n):
            for j in range(n):
                if matrix[i, j]:
                    colour = "white" if shares[i, j] > 0.55 else "black"
                    axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=8, color=colour)
        names = [drawn_name(name, _LONGEST_CLASS) for name in classes]
        axes.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(n), names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, fontsize=11)
    figure.colorbar(shown, ax=axes, shrink=0.8, label="share of the true class")
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


def worst_images(mistakes: Sequence[Mistake], title: str, columns: int = 6) -> Figure:
    """The images that a model was most sure of, and wrong."""
    rows = max(1, -(-len(mistakes) // columns))
    figure = Figure(figsize=(1.5 * columns, 1.85 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, mistake in zip(grid.flat, mistakes, strict=False):
        axes.imshow(np.clip(mistake.image, 0, 1), interpolation="nearest")
        true, predicted = (drawn_name(name, _LONGEST_COLUMN) for name in (mistake.true, mistake.predicted))
        axes.set_title(f"{true}\n→ {predicted} ({mistake.confidence:.2f})", fontsize=8)
    figure.suptitle(title if mistakes else f"{title}: none", fontsize=11)
    return figure
