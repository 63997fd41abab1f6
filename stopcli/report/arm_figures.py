"""Figures that compare the arms of a sweep: a line for each arm, and error against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

# Okabe and Ito's colours, which remain apart for colour-blind readers, then line styles for more arms than colours.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class ArmCurves:
    """The runs of an arm.

    Attributes:
        rank: orders the arms in the legend.
        place: the arm's among those of the plan, which its colour goes by.
        places: of each run, where on the horizontal axis its epochs lie.
        values: of each run, at these places.
    """

    label: str
    rank: int
    place: int
    places: Sequence[NDArray[Any]]
    values: Sequence[NDArray[Any]]


@dataclass(frozen=True)
class CostPoint:
    """An arm's cost and error.

    Attributes:
        place: as for ArmCurves.
        costs, errors: of each run, in the same order.
        mean: the means that are compared.
        on_front: whether they lie on the Pareto front.
    """

    label: str
    place: int
    costs: Sequence[float]
    errors: Sequence[float]
    mean: tuple[float, float]
    on_front: bool


def arm_curves(arms: Sequence[ArmCurves], ordinate: str, abscissa: str, level: float, title: str) -> Figure:
    """A line for each arm: its runs' mean as far as all of them went, and their standard deviation as a band.

    Args:
        level: where a horizontal line is drawn.
    """
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots()
    for arm in sorted(arms, key=lambda arm: arm.rank):
        colour, style = arm_look(arm.place)
        common = min(len(values) for values in arm.values)
        stacked = np.stack([values[:common] for values in arm.values])
        mean, places = stacked.mean(axis=0), arm.places[0][:common]
        axes.plot(places, mean, color=colour, ls=style, lw=1.8, marker="o" if common < 2 else "", label=arm.label)
        if len(stacked) > 1:
            sd = stacked.std(axis=0, ddof=1)
            axes.fill_between(places, mean - sd, mean + sd, color=colour, alpha=0.15, lw=0)
    axes.axhline(level, color="#666666", lw=1, ls=(0, (1, 2)), label=f"{level:g}, as in the published figure")
    axes.set_xlabel(abscissa)
    axes.set_ylabel(ordinate)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=9)
    return figure


def error_against_cost(points: Sequence[CostPoint], abscissa: str, ordinate: str, title: str, over: str = "") -> Figure:
    """Each arm's mean cost and error, its runs as small points, and the Pareto front.

    Args:
        over: which runs the means are over, such as ` over seed 0`; empty where that goes without saying.
    """
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    axes = figure.subplots()
    front = []
    for point in points:
        colour, _ = arm_look(point.place)
        if len(point.costs) > 1:
            axes.scatter(point.costs, point.errors, s=14, color=colour, alpha=0.45, lw=0)
        axes.scatter(*point.mean, s=70, color=colour, marker="o", zorder=3)
        axes.annotate(point.label, point.mean, xytext=(7, 7), textcoords="offset points", fontsize=9)
        if point.on_front:
            front.append(point.mean)
    front.sort()
    handles = []
    if len(front) > 1:
        # What costs in between buys no more than the cheaper of its neighbours.
        axes.step(*zip(*front, strict=True), where="post", color="#666666", lw=1, ls="--", zorder=1)
        handles.append(
            Line2D([], [], color="#666666", lw=1, ls="--", label=f"Pareto front{over}: nothing is cheaper and better")
        )
    axes.set_xlabel(abscissa)
    axes.set_ylabel(ordinate)
    axes.margins(0.12)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.set_title(title, fontsize=11)
    if handles:
        axes.legend(handles=handles, fontsize=9)
    return figure


def arm_look(i: int) -> tuple[str, str]:
    """Colour and line style of the i-th arm of a plan."""
    return _COLOURS[i % len(_COLOURS)], _STYLES[(i // len(_COLOURS)) % len(_STYLES)]
