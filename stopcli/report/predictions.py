"""Figures of what a model predicts: numbers against the true ones, the rest, and scores of two kinds of rows."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stopcli.quantities import counted
from stopcli.report.curves import BLUE, GREY, ORANGE, WIDTH, legend_below, new_figure, set_title, thinned
from stopcli.report.drawing import drawn_name

Numbers = NDArray[np.floating[Any]]
# More dots hide each other, and make the file large.
MOST_DOTS = 2000
# Outputs that have a panel.
MOST_PANELS = 4
_MOST_BINS = 40
# Letters that there is room for behind "predicted".
_LONGEST_VALUE = 24


def predicted_against_true(
    true: Numbers, predicted: Numbers, title: str, row: str = "test row", unit: str = "", value: str = "value"
) -> Figure:
    """Predictions against true values, with the line on which they are the same; a panel for each output.

    Args:
        true, predicted: shape [rows, outputs].
        row: what a dot is, in words.
        unit: of both; empty for none.
        value: what is predicted, where that is one number.
    """
    panels = min(true.shape[1], MOST_PANELS)
    columns = min(panels, 2)
    figure = Figure(figsize=(WIDTH, 4.8 if panels == 1 else 2.9 * -(-panels // 2) + 0.7), layout="constrained")
    drawn: list[Axes] = figure.subplots(-(-panels // columns), columns, squeeze=False).ravel().tolist()
    for axes in drawn[panels:]:
        axes.set_axis_off()
    for i, axes in enumerate(drawn[:panels]):
        both = np.concatenate([true[:, i], predicted[:, i]])
        ends = float(both.min()), float(both.max())
        axes.plot(ends, ends, color=GREY, lw=1.2, ls="--", label="predicted = true")
        _dots(axes, true[:, i], predicted[:, i], row)
        name = _output(i, panels, value)
        axes.set_xlabel(_label(f"true {name}", unit))
        axes.set_ylabel(_label(f"predicted {name}", unit))
    set_title(figure, title)
    legend_below(figure, drawn[:1])
    return figure


def residuals(
    true: Numbers, predicted: Numbers, title: str, row: str = "test row", unit: str = "", value: str = "value"
) -> Figure:
    """What is predicted less what is true: against the prediction, and how often it is how large; a row of panels for
    each output. Arguments as for `predicted_against_true`."""
    panels = min(true.shape[1], MOST_PANELS)
    figure, drawn = new_figure(2.8 * panels + 0.9, panels, 2, title=title, sharey="row", width_ratios=[3, 1.4])
    for i in range(panels):
        against, often = drawn[2 * i], drawn[2 * i + 1]
        rest = predicted[:, i] - true[:, i]
        _dots(against, predicted[:, i], rest, row)
        often.hist(rest, bins=_edges(rest), orientation="horizontal", color=BLUE, alpha=0.7)
        for axes in (against, often):
            axes.axhline(0, color=GREY, lw=1.2, ls="--", label="predicted = true")
            axes.axhline(float(rest.mean(dtype=float)), color=ORANGE, lw=1.2, label="mean of all")
        against.set_xlabel(_label(f"predicted {_output(i, panels, value)}", unit))
        against.set_ylabel(_label("predicted − true", unit))
        often.set_xlabel(f"{row.split()[-1]}s")
        often.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    legend_below(figure, drawn[:1])
    return figure


def scores_by_target(true: Numbers, predicted: Numbers, title: str) -> Figure:
    """How often a model predicts which score for rows of each of two targets.

    Args:
        true: one or two different values, shape [rows].
        predicted: shape [rows].
    """
    figure, (axes,) = new_figure(3.6, title=title)
    edges = _edges(predicted)
    for value, colour in zip(np.unique(true), (ORANGE, BLUE), strict=False):
        values = predicted[true == value]
        label = f"true {value:g} ({counted(len(values), 'row')})"
        axes.hist(values, bins=edges, density=True, alpha=0.55, color=colour, label=label)
    axes.set_xlabel("predicted")
    axes.set_ylabel("density")
    legend_below(figure, [axes])
    return figure


def _dots(axes: Axes, x: Numbers, y: Numbers, row: str) -> None:
    """A dot for each row, or for as many as can be told apart."""
    shown = thinned(len(x), MOST_DOTS)
    dots = len(x[shown])
    of = f"{dots:,} of {counted(len(x), row)}, evenly" if dots < len(x) else counted(dots, row)
    alpha = max(0.25, min(0.8, 150 / dots))
    axes.scatter(x[shown], y[shown], s=12, color=BLUE, alpha=alpha, lw=0, label=of)
    axes.grid(alpha=0.25)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def _edges(values: Numbers) -> list[float]:
    """Where the bars of a histogram end."""
    low, high = float(values.min()), float(values.max())
    # Of values that are all the same but for rounding there is one bar, of a width that can be seen.
    if high - low <= 1e-5 * max(abs(low), abs(high)):
        half = max(abs(low), abs(high), 1.0) / 100
        return [low - half, high + half]
    edges: list[float] = np.linspace(low, high, 1 + min(_MOST_BINS, max(5, math.isqrt(len(values))))).tolist()
    return edges


def _output(i: int, panels: int, value: str) -> str:
    return drawn_name(value, _LONGEST_VALUE) if panels == 1 else f"output {i}"


def _label(name: str, unit: str) -> str:
    return f"{name} ({drawn_name(unit)})" if unit else name
