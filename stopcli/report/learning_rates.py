"""Figures of learning rates: by update, and of range tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stopcli.report.curves import BLUE, GREEN, GREY, ORANGE, PURPLE, legend_below, mark_decades, new_figure, thinned
from stopcli.runs.metrics import Columns

# Of a learning rate by the update, as of MOST_POINTS.
MOST_UPDATES = 6000
_SUGGESTION_COLOURS = (ORANGE, GREEN, PURPLE)
# Beyond the worst of what came before the loss ran away there is nothing to see.
_HEADROOM = 1.15


def learning_rate_by_step(steps: Columns, title: str) -> Figure:
    """The learning rate of every update.

    Args:
        steps: the columns of steps.csv.
    """
    figure, (axes,) = new_figure(2.6, title=title)
    shown = thinned(len(steps["step"]), MOST_UPDATES)
    axes.plot(steps["step"][shown], steps["learning_rate"][shown], color=GREEN, lw=1.2)
    axes.set_xlabel("update")
    axes.set_ylabel("learning rate")
    return figure


@dataclass(frozen=True)
class RangeLine:
    """A test with one seed: of each update its learning rate, its loss, and the smoothed loss."""

    rates: NDArray[Any]
    losses: NDArray[Any]
    smoothed: NDArray[Any]


def range_figure(
    lines: Sequence[RangeLine],
    suggestions: Mapping[str, float],
    bounds: tuple[float, float] | None,
    title: str,
    *,
    linear: bool = False,
) -> Figure:
    """Loss against learning rate, of each seed, with what they suggest.

    Args:
        suggestions: up to three learning rates, by what they are called.
        bounds: the suggested lowest and highest rate, between which the plane is shaded; None for none.
        linear: whether the rate rose linearly, and is shown so.
    """
    figure, (axes,) = new_figure(4.6, title=title)
    single = len(lines) == 1
    for i, line in enumerate(lines):
        if single:
            axes.plot(line.rates, line.losses, color=GREY, lw=0.8, alpha=0.5, label="loss of each update")
        label = "smoothed loss" if single else f"smoothed loss, {len(lines)} seeds"
        axes.plot(line.rates, line.smoothed, color=BLUE, lw=1.8 if single else 1.1, label="" if i else label)
    if bounds is not None:
        label = f"suggested for cycles: {bounds[0]:.1e} to {bounds[1]:.1e}"
        axes.axvspan(*bounds, color=GREEN, alpha=0.12, lw=0, label=label)
    for (name, rate), colour in zip(suggestions.items(), _SUGGESTION_COLOURS, strict=False):
        axes.axvline(rate, color=colour, lw=1.3, ls="--", label=f"{name}: {rate:.1e}")
    if not linear:
        axes.set_xscale("log")
        mark_decades(axes.xaxis, "{:g}")
    highest_before_half = max(float(np.max(line.smoothed[: max(1, len(line.smoothed) // 2)])) for line in lines)
    lowest = min(float(np.min(line.smoothed)) for line in lines)
    highest = max(float(np.max(line.smoothed)) for line in lines)
    # A loss that ran away would press everything before it flat.
    top = min(highest, highest_before_half + (highest_before_half - lowest) * 0.5)
    axes.set_ylim(max(0.0, lowest - 0.1 * (top - lowest)), lowest + _HEADROOM * (top - lowest) or None)
    axes.set_xlabel("learning rate" + ("" if linear else ", logarithmic"))
    axes.set_ylabel("training loss")
    legend_below(figure, [axes])
    return figure
