"""Figures of curves: metrics by epoch, learning rates by update, over seeds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from stopcli.quantities import counted
from stopcli.runs.metrics import Columns

# Okabe and Ito's colours, which remain apart for colour-blind readers.
BLACK, BLUE, ORANGE, GREEN, PURPLE = "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7"
YELLOW, SKY = "#E69F00", "#56B4E9"
GREY = "#666666"
_COLOURS = (BLACK, BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
# For more arms than colours.
_STYLES = ("-", "--", ":", "-.")
# More points than a figure has pixels make the file large and the line no finer.
MOST_POINTS = 4000
# More cycles than this would be a grey surface.
MOST_SHADED_CYCLES = 60
_SHADE = "#F1EEE6"


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, *, grid: str = "both", **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row, each with a grid.

    Args:
        width, height: in inches.
        grid: of which axis.
        shared: as for `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    drawn: list[Axes] = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for axes in drawn:
        axes.grid(axis=grid, alpha=0.25)  # type: ignore[arg-type]
    return figure, drawn


def legend_below(
    figure: Figure, drawn: Sequence[Axes], *, handles: Sequence[Line2D] | None = None, columns: int = 2
) -> None:
    """One legend for all panels, below them, where it hides no part of a curve.

    Args:
        handles: what it shows; what the panels have labels for where it is left out.
    """
    if handles is not None:
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)
        return
    shown = {label: handle for axes in drawn for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=columns, fontsize=9)


def whole_numbers(axes: Axes, label: str) -> None:
    """Name the horizontal axis, and number it in whole numbers."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def thinned(points: int, most: int = MOST_POINTS) -> slice:
    """As many points, evenly, as a figure can show."""
    return slice(None, None, max(1, -(-points // most)))


def legend_mark(label: str, **look: Any) -> Line2D:
    """An entry of a legend for what no single artist stands for."""
    return Line2D([], [], label=label, **{"color": GREY, **look})


def arm_look(index: int) -> tuple[str, str]:
    """Colour and line style of an arm by its index in the plan."""
    return _COLOURS[index % len(_COLOURS)], _STYLES[(index // len(_COLOURS)) % len(_STYLES)]


@dataclass(frozen=True)
class RunGroup:
    """Runs that share a colour.

    Attributes:
        index: of the arm among those of the plan, or of the comparison; its colour goes by it.
        runs: of each run its columns, such as those of metrics.csv; one or more.
    """

    label: str
    index: int
    runs: Sequence[Columns]


def mean_and_band(axes: Axes, group: RunGroup, name: str, *, abscissa: str, width: float, alpha: float) -> int:
    """A line: the mean of a group's runs as far as all of them went, and their standard deviation as a band.

    Returns:
        How many points the line has.
    """
    colour, style = arm_look(group.index)
    common = min(len(run[name]) for run in group.runs)
    values = np.stack([run[name][:common] for run in group.runs])
    mean, positions = values.mean(axis=0), group.runs[0][abscissa][:common]
    axes.plot(positions, mean, color=colour, ls=style, lw=width, marker=_marker(common), label=group.label)
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        axes.fill_between(positions, mean - sd, mean + sd, color=colour, alpha=alpha, lw=0)
    return common


def _marker(points: int) -> str:
    """A line of one point is invisible."""
    return "o" if points == 1 else ""


def shade_cycles(axes: Axes, cycle: float | None, last: float) -> None:
    """Shade every other cycle of the learning rate, the first one too.

    Args:
        cycle: its length, and `last` how far the axis goes, in what the horizontal axis shows; None for no cycles.
    """
    if cycle is None or last / cycle > MOST_SHADED_CYCLES:
        return
    at = 0.0
    while at < last:
        axes.axvspan(at, min(at + cycle, last), color=_SHADE, lw=0, zorder=0)
        at += 2 * cycle


@dataclass(frozen=True)
class Marks:
    """What is marked on a run's curves; an epoch of 0 stands for none.

    Attributes:
        stop_epoch: where training stopped, with `stop_label` saying why.
        best_epoch: the best epoch for stopping, by `best_label`.
        saved_epoch: the epoch of the saved best model, by `saved_label`.
        wait: where the stop came from waiting, how many epochs it waited; they are shaded.
        level: a value that a rule compares with (a baseline, a threshold): its metric, the value, its label.
    """

    stop_epoch: int
    stop_label: str
    best_epoch: int = 0
    best_label: str = ""
    saved_epoch: int = 0
    saved_label: str = ""
    wait: int = 0
    level: tuple[str, float, str] | None = None


def learning_curves(metrics: Columns, val_name: str, marks: Marks, title: str) -> Figure:
    """Loss and accuracy on the training rows and on those that validate against the epoch.

    Args:
        metrics: the columns of metrics.csv.
        val_name: what the `val_` columns were measured on, for the legend: `test` or `validation`.
    """
    figure, (loss, accuracy) = new_figure(8, 7.2, 2, sharex=True)
    names = ("train (as it trains)", val_name)
    _run_curves(loss, metrics, "loss", names, marks)
    _run_curves(accuracy, metrics, "accuracy", names, marks)
    # Of a long run all is shown; a short one would be squeezed to the edge.
    if len(metrics["epoch"]) >= 20:
        loss.set_ylim(bottom=0)
    loss.set_ylabel("loss (cross-entropy)")
    accuracy.set_ylabel("accuracy")
    whole_numbers(accuracy, "epoch")
    figure.suptitle(title, fontsize=11)
    legend_below(figure, (loss, accuracy))
    return figure


def error_curves(
    metrics: Columns,
    val_name: str,
    marks: Marks,
    title: str,
    loss_name: str = "cross-entropy",
    cycle: float | None = None,
) -> Figure:
    """Error (1 − accuracy), loss and learning rate against the epoch; arguments as for `learning_curves`.

    Args:
        cycle: epochs of a cycle of the learning rate, every other of which is shaded; None for no cycles.
    """
    figure, (error, loss, rate) = new_figure(8, 9, 3, sharex=True, height_ratios=[3, 3, 1.4])
    epochs = metrics["epoch"]
    names = ("train (augmented, as it trains)", val_name)
    _run_curves(error, metrics, "accuracy", names, marks, rest=True)
    _run_curves(loss, metrics, "loss", names, marks)
    error.set_ylabel("error (1 − accuracy)")
    error.set_ylim(bottom=0)
    loss.set_ylabel(f"loss ({loss_name})")
    for axes in (error, loss, rate):
        shade_cycles(axes, cycle, len(epochs))
    rates = metrics["learning_rate"]
    rate.plot(epochs, rates, color=GREEN, lw=1.4, marker=_marker(len(epochs)), drawstyle="steps-mid")
    rate.set_ylabel("learning rate")
    positive = rates[rates > 0]
    if len(positive) and positive.max() > 5 * positive.min():
        rate.set_yscale("log")
    whole_numbers(rate, "epoch")
    figure.suptitle(title, fontsize=11)
    legend_below(figure, (loss, error))
    return figure


def _run_curves(
    axes: Axes, metrics: Columns, name: str, labels: Sequence[str], marks: Marks, *, rest: bool = False
) -> None:
    """A metric on the training rows and on those that validate, with the marks.

    Args:
        rest: whether what a share leaves of 1 is drawn.
    """
    epochs = metrics["epoch"]
    shown = thinned(len(epochs))
    for column, colour, label in zip((name, f"val_{name}"), (BLUE, ORANGE), labels, strict=True):
        values = 1 - metrics[column] if rest else metrics[column]
        axes.plot(epochs[shown], values[shown], color=colour, lw=1.4, label=label, marker=_marker(len(epochs)))
    mark_epochs(axes, marks, len(epochs))
    if marks.level and marks.level[0].endswith(name):
        _, level, label = marks.level
        axes.axhline(1 - level if rest else level, color=GREY, lw=1, ls=(0, (1, 2)), label=label)


def mark_epochs(axes: Axes, marks: Marks, last: int) -> None:
    """Draw the marks on an axis of epochs that ends at `last`."""
    if marks.wait:
        label = f"patience: {counted(marks.wait, 'epoch')} without an improvement"
        axes.axvspan(marks.stop_epoch - marks.wait, marks.stop_epoch, color=GREY, alpha=0.13, lw=0, label=label)
    if marks.best_epoch:
        axes.axvline(marks.best_epoch, color=GREEN, lw=1.3, ls="--", label=marks.best_label)
    if marks.saved_epoch:
        axes.axvline(marks.saved_epoch, color=PURPLE, lw=1.3, ls="-.", label=marks.saved_label)
    if marks.stop_epoch:
        axes.axvline(marks.stop_epoch, color="black", lw=1.3, ls=":", label=marks.stop_label)
    axes.set_xlim(0, max(last, 1) * 1.02)


def seed_curves(runs: Sequence[Columns], val_name: str, stops: Sequence[int], title: str) -> Figure:
    """Loss and accuracy over seeds: every run thin, their median and the middle 80 % of them, and where each stopped.

    Median and spread are drawn as far as every seed was still training, because beyond it they would speak of other
    seeds than before.
    """
    figure, drawn = new_figure(8, 7.2, 2, sharex=True)
    common = min(len(run["epoch"]) for run in runs)
    for axes, name in zip(drawn, ("loss", "accuracy"), strict=True):
        for prefix, colour, label in (("", BLUE, "train"), ("val_", ORANGE, val_name)):
            _seed_band(axes, runs, prefix + name, common, colour, label)
        for i, stop in enumerate(stops):
            axes.axvline(stop, ymax=0.04, color="black", lw=1, label="stops" if i == 0 else None)
        if common < max(len(run["epoch"]) for run in runs):
            axes.axvline(common, color=GREY, lw=1, ls=":", label=f"epoch {common}: the first seed stopped")
        axes.set_ylabel(name)
    drawn[0].set_ylim(bottom=0)
    drawn[1].set_xlabel("epoch")
    figure.suptitle(title, fontsize=11)
    legend_below(figure, drawn, columns=3)
    return figure


def _seed_band(axes: Axes, runs: Sequence[Columns], name: str, common: int, colour: str, label: str) -> None:
    shown = thinned(max(len(run["epoch"]) for run in runs) * len(runs), 8 * MOST_POINTS)
    for run in runs:
        axes.plot(run["epoch"][shown], run[name][shown], color=colour, lw=0.5, alpha=0.25)
    epochs = runs[0]["epoch"][:common][shown]
    values = np.stack([run[name][:common] for run in runs])
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)[:, shown]
    axes.fill_between(epochs, low, high, color=colour, alpha=0.2, lw=0, label=f"{label}: middle 80 % of seeds")
    axes.plot(epochs, middle, color=colour, lw=1.8, label=f"{label}: median of {counted(len(runs), 'seed')}")


def seed_points(groups: Mapping[str, Sequence[float]], name: str, form: str, title: str) -> Figure:
    """A value of each seed as a point, a row for each group, and its mean.

    Args:
        name: of the value, on the axis.
        form: how a mean is written, such as `{:.3f}`.
    """
    figure, (axes,) = new_figure(8, 1.6 + 0.7 * len(groups), grid="x")
    colours = [BLUE, GREEN, PURPLE, ORANGE]
    # The first group on top.
    for row, values in enumerate(reversed(list(groups.values()))):
        array = np.asarray(values, dtype=float)
        # Of equal values each further one stands a little higher or lower.
        earlier = earlier_equals(array)
        heights = np.clip((-1.0) ** earlier * ((earlier + 1) // 2) * 0.05, -0.3, 0.3)
        axes.scatter(array, row + heights, s=26, alpha=0.6, color=colours[row % len(colours)], lw=0)
        mean = array.mean()
        axes.scatter([mean], [row + 0.36], marker="v", s=28, color="black")
        axes.annotate(f"mean {form.format(mean)}", (mean, row + 0.42), ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(len(groups)), list(groups)[::-1])
    axes.set_ylim(-0.6, len(groups) - 0.2)
    # Room at the sides for the words over an outermost mean.
    axes.margins(x=0.1)
    axes.set_xlabel(name)
    axes.set_title(title, fontsize=11)
    return figure


def earlier_equals(values: NDArray[Any]) -> NDArray[np.int64]:
    """Of each value how many before it are the same.

    >>> earlier_equals(np.array([1.0, 2.0, 1.0, 1.0])).tolist()
    [0, 0, 1, 2]
    """
    return np.array([np.count_nonzero(values[:i] == value) for i, value in enumerate(values)], np.int64)


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
