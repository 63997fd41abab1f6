"""Figures of learning rates that move, of what becomes of a model meanwhile, and of a range test."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stopcli.quantities import counted
from stopcli.report.curves import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RunGroup,
    arm_look,
    legend_below,
    mean_and_band,
    new_figure,
    shade_cycles,
    thinned,
    whole_numbers,
)
from stopcli.runs.metrics import Columns

_MOST_UPDATES = 6000
_SUGGESTION_COLOURS = (ORANGE, GREEN, PURPLE)
# Beyond the worst of what came before the loss ran away there is nothing to see.
_HEADROOM = 1.15


def learning_rate_by_step(steps: Columns, title: str) -> Figure:
    """The learning rate of every update.

    Args:
        steps: the columns of steps.csv.
    """
    figure, (axes,) = new_figure(8, 3)
    shown = thinned(len(steps["step"]), _MOST_UPDATES)
    axes.plot(steps["step"][shown], steps["learning_rate"][shown], color=GREEN, lw=1.2)
    axes.set_xlabel("update")
    axes.set_ylabel("learning rate")
    axes.set_title(title, fontsize=11)
    return figure


def policy_rates(policies: Sequence[RunGroup], cycle: float | None, cyclical: Collection[str], title: str) -> Figure:
    """The learning rate against the update, a panel for each policy: the published saw-tooth.

    Args:
        policies: each with the columns of one run's steps.csv.
        cycle: updates of a cycle, every other of which is shaded; None for no cycles.
        cyclical: labels of the policies that go through cycles.
    """
    figure, drawn = new_figure(8, 0.9 + 1.5 * len(policies), len(policies), sharex=True, sharey=True)
    last = max(float(policy.runs[0]["step"][-1]) for policy in policies)
    for axes, policy in zip(drawn, policies, strict=True):
        (steps,) = policy.runs
        shown = thinned(len(steps["step"]), _MOST_UPDATES)
        axes.plot(steps["step"][shown], steps["learning_rate"][shown], color=arm_look(policy.index)[0], lw=1.3)
        axes.set_ylabel("learning rate", fontsize=8)
        axes.set_title(policy.label, fontsize=9, loc="left")
        if policy.label in cyclical:
            shade_cycles(axes, cycle, last)
    drawn[-1].set_xlabel("update")
    drawn[-1].set_xlim(0, last)
    figure.suptitle(title, fontsize=11)
    return figure


def policy_curves(policies: Sequence[RunGroup], val_name: str, cycle: float | None, title: str) -> Figure:
    """Training loss, and loss and accuracy on the rows that validate, against the epoch, a line for each policy: the
    mean of its runs as far as all of them went, with their standard deviation as a band.

    Args:
        policies: with the columns of each run's metrics.csv.
        val_name: what the `val_` columns were measured on, `test` or `validation`.
        cycle: epochs of a cycle, every other of which is shaded; None for no cycles.
    """
    figure, drawn = new_figure(8, 9, 3, sharex=True)
    names = {"loss": "training loss", "val_loss": f"{val_name} loss", "val_accuracy": f"{val_name} accuracy"}
    longest = 1
    for axes, (column, name) in zip(drawn, names.items(), strict=True):
        for policy in policies:
            longest = max(longest, mean_and_band(axes, policy, column, abscissa="epoch", width=1.6, alpha=0.13))
        shade_cycles(axes, cycle, longest)
        axes.set_ylabel(name)
    shaded = "" if cycle is None else f" (shaded: every other cycle of {counted(cycle, 'epoch')})"
    whole_numbers(drawn[-1], f"epoch{shaded}")
    drawn[-1].set_xlim(0, longest)
    figure.suptitle(title, fontsize=11)
    legend_below(figure, drawn)
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
    figure, (axes,) = new_figure(8, 5)
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
    highest_before_half = max(float(np.max(line.smoothed[: max(1, len(line.smoothed) // 2)])) for line in lines)
    lowest = min(float(np.min(line.smoothed)) for line in lines)
    highest = max(float(np.max(line.smoothed)) for line in lines)
    # A loss that ran away would press everything before it flat.
    top = min(highest, highest_before_half + (highest_before_half - lowest) * 0.5)
    axes.set_ylim(max(0.0, lowest - 0.1 * (top - lowest)), lowest + _HEADROOM * (top - lowest) or None)
    axes.set_xlabel("learning rate" + ("" if linear else ", logarithmic"))
    axes.set_ylabel("training loss")
    axes.set_title(title, fontsize=11)
    axes.legend(fontsize=9)
    return figure
