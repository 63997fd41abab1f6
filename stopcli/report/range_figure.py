"""The figure of a range test: loss against learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stopcli.report.figures import BLUE, GREEN, GREY, ORANGE, PURPLE

_COLOURS = (ORANGE, GREEN, PURPLE)
# Beyond the worst of what came before the loss ran away there is nothing to see.
_HEADROOM = 1.15


@dataclass(frozen=True)
class RangeLine:
    """A test with one seed: of each update its learning rate, its loss, and the smoothed loss."""

    label: str
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
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for i, line in enumerate(lines):
        if len(lines) == 1:
            axes.plot(line.rates, line.losses, color=GREY, lw=0.8, alpha=0.5, label="loss of each update")
        label = "smoothed loss" if len(lines) == 1 else f"smoothed loss, {len(lines)} seeds"
        axes.plot(line.rates, line.smoothed, color=BLUE, lw=1.8 if len(lines) == 1 else 1.1, label="" if i else label)
    if bounds is not None:
        words = f"suggested for cycles: {bounds[0]:.1e} to {bounds[1]:.1e}"
        axes.axvspan(*bounds, color=GREEN, alpha=0.12, lw=0, label=words)
    for (name, rate), colour in zip(suggestions.items(), _COLOURS, strict=False):
        axes.axvline(rate, color=colour, lw=1.3, ls="--", label=f"{name}: {rate:.1e}")
    if not linear:
        axes.set_xscale("log")
    begun = max(float(np.max(line.smoothed[: max(1, len(line.smoothed) // 2)])) for line in lines)
    lowest = min(float(np.min(line.smoothed)) for line in lines)
    highest = max(float(np.max(line.smoothed)) for line in lines)
    # A loss that ran away would press everything before it flat.
    top = min(highest, begun + (begun - lowest) * 0.5)
    axes.set_ylim(max(0.0, lowest - 0.1 * (top - lowest)), lowest + _HEADROOM * (top - lowest) or None)
    axes.set_xlabel("learning rate" + ("" if linear else ", logarithmic"))
    axes.set_ylabel("training loss")
    axes.grid(alpha=0.25)
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=9)
    return figure
