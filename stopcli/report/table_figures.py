"""Figures of a table: how its target is distributed in the parts of its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from stopcli.quantities import counted
from stopcli.report.curves import BLUE, GREEN, GREY, ORANGE, legend_below, new_figure
from stopcli.report.drawing import drawn_name

Numbers = NDArray[np.floating[Any]]
_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
_FEWEST_BINS, _MOST_BINS = 8, 40
# Classes with bars of their own; the rarer ones share one.
MOST_CLASSES = 12
# Letters that there is room for beside a bar.
_LONGEST_NAME = 16
# Where so much of the values fills less than a part of the axis, the axis is cut to them.
_CENTRAL, _SQUEEZED = 0.98, 0.25


_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def target_numbers(parts: Mapping[str, Numbers], target: str, title: str) -> Figure:
    """Which share of the rows of each part has which target.

    Args:
        parts: by name, each with rows; numbers that are not finite are left out.
        target: its name.
    """
    finite = {name: values[np.isfinite(values)].astype(float) for name, values in parts.items()}
    figure, (axes,) = new_figure(3.6, title=title)
    together = np.concatenate(list(finite.values()))
    low, high = _range(together)
    # As few as the smallest part can fill.
    bins = min(_MOST_BINS, max(_FEWEST_BINS, math.isqrt(min(map(len, finite.values())))))
    edges: list[float] = np.linspace(low, high, bins + 1).tolist()
    for name, values in finite.items():
        within = values[(values >= low) & (values <= high)]
        if not len(within):
            continue
        # Of all its values, also those beyond the axis.
        weights = np.full(len(within), 1 / len(values))
        colour = _COLOURS.get(name, GREY)
        look: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.25} if name == "train" else {"histtype": "step"}
        axes.hist(within, edges, weights=weights, color=colour, lw=1.6, label=_label(name, len(values)), **look)
    beyond = int(((together < low) | (together > high)).sum())
    if beyond:
        axes.set_title(f"cut off: {counted(beyond, 'value')} beyond", loc="right", color=GREY)
    axes.set_xlabel(drawn_name(target))
    axes.set_ylabel("share of the rows")
    axes.yaxis.set_major_formatter(_PERCENT)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    legend_below(figure, [axes])
    return figure


def _range(values: Numbers) -> tuple[float, float]:
    """The ends of the axis: all values, or where a few of them would squeeze the others, these."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-5 * max(abs(low), abs(high)):
        half = max(abs(low), abs(high), 1.0) / 100
        return low - half, high + half
    margin = (1 - _CENTRAL) / 2
    first, last = (float(np.quantile(values, share)) for share in (margin, 1 - margin))
    if 0 < last - first < _SQUEEZED * (high - low):
        return first, last
    return low, high


def target_classes(parts: Mapping[str, NDArray[np.integer[Any]]], classes: Sequence[str], title: str) -> Figure:
    """The share of each class in each part.

    Args:
        parts: by name, each with rows: indices of classes.
        classes: their names.
    """
    counts = {name: np.bincount(of_part, minlength=len(classes)) for name, of_part in parts.items()}
    order, names = np.arange(len(classes)), list(classes)
    if len(classes) > MOST_CLASSES:
        total = np.sum(list(counts.values()), axis=0)
        frequent = np.sort(np.argsort(-total, kind="stable")[: MOST_CLASSES - 1])
        order, names = frequent, [classes[i] for i in frequent]
        names.append(f"{len(classes) - len(frequent)} others")
    figure, (axes,) = new_figure(1.6 + 0.32 * len(names) + 0.1 * len(parts), title=title, grid="x")
    height = 0.8 / max(len(parts), 1)
    for i, (part, of_part) in enumerate(counts.items()):
        shown = of_part[order].tolist()
        shown += [int(of_part.sum()) - sum(shown)] if len(names) > len(order) else []
        shares = np.asarray(shown) / max(int(of_part.sum()), 1)
        positions = np.arange(len(names)) + (i - (len(counts) - 1) / 2) * height
        axes.barh(
            positions, shares, height, color=_COLOURS.get(part, GREY), alpha=0.85,
            label=_label(part, int(of_part.sum())),
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [drawn_name(name, _LONGEST_NAME) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("share of the rows")
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    legend_below(figure, [axes])
    return figure


def _label(part: str, rows: int) -> str:
    return f"{part} ({counted(rows, 'row')})"
