"""How the interval of a difference narrows with the seeds, until it decides."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stopcli.report.curves import GREY, arm_look, legend_below, legend_mark, new_figure, whole_numbers
from stopcli.report.drawing import drawn_name
from stopcli.stats.sequential import SequentialTest

# The first intervals of few seeds are many times as wide as those that decide.
_WIDEST = 6.0
# Of the differences that count as none.
_MARGIN = "#B8860B"


def decision_curves(tests: Mapping[str, tuple[int, SequentialTest]], ordinate: str) -> Figure:
    """A panel for each comparison: the mean of the differences after each seed with its anytime-valid interval, the
    plain one that holds for a single look, the difference that counts as none, and where it is decided.

    Args:
        tests: by what is compared, the index of the arm, which its colour goes by, and the looks.
        ordinate: what the differences are of.
    """
    figure, drawn = new_figure(1.3 + 2.2 * len(tests), len(tests), title=drawn_name(ordinate, 100), sharex=True)
    for axes, (label, (index, test)) in zip(drawn, tests.items(), strict=True):
        _panel(axes, index, test)
        axes.set_title(drawn_name(label, 70), loc="left")
    whole_numbers(drawn[-1], "seeds")
    legend_below(
        figure,
        drawn,
        handles=[
            legend_mark("anytime-valid 95 %", lw=8, alpha=0.3),
            legend_mark("plain 95 %", ls="--", lw=1),
            legend_mark("counts as none", lw=8, alpha=0.15, color=_MARGIN),
            legend_mark("mean", marker="o", ms=3),
            legend_mark("decided", marker="D", ls="", ms=7),
        ],
    )
    return figure


def _panel(axes: Axes, index: int, test: SequentialTest) -> None:
    colour, _ = arm_look(index)
    looks = [look for look in test.looks if look.plain is not None]
    n = np.array([look.n for look in looks])
    means = np.array([look.interval.mean for look in looks])
    margins = np.array([look.margin for look in looks])
    plain = np.array([look.plain for look in looks])
    bounds = np.array([look.interval.bounds or (np.nan, np.nan) for look in looks])
    axes.fill_between(n, -margins, margins, color=_MARGIN, alpha=0.15, lw=0)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.fill_between(n, bounds[:, 0], bounds[:, 1], color=colour, alpha=0.3, lw=0)
    axes.plot(n, plain, color=colour, ls="--", lw=1)
    axes.plot(n, means, color=colour, marker="o", ms=3, lw=1.2)
    if test.decided is not None:
        mean = test.looks[test.decided - 1].interval.mean
        axes.plot([test.decided], [mean], color=colour, marker="D", ms=7, markeredgecolor="white", ls="", zorder=4)
    _fit(axes, bounds, plain, margins)


def _fit(axes: Axes, bounds: np.ndarray, plain: np.ndarray, margins: np.ndarray) -> None:
    """Fit the axis to the last intervals: the first are so wide that nothing else could be seen."""
    last = bounds[-1] if np.isfinite(bounds[-1]).all() else plain[-1]
    middle = float(last.mean())
    reach = max(float(np.ptp(last)) / 2 * _WIDEST, 1.5 * float(margins[-1]), abs(middle) * 1.2) or 1.0
    everything = np.concatenate([bounds.ravel(), plain.ravel(), margins, -margins, [0.0]])
    everything = everything[np.isfinite(everything)]
    low, high = max(everything.min(), min(middle - reach, 0.0)), min(everything.max(), max(middle + reach, 0.0))
    room = 0.05 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
