"""Figures of curves: metrics by epoch, learning rates by update, over seeds."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from stopcli.quantities import counted
from stopcli.runs.headline import ACCURACY, LOSS, Headline, Rows
from stopcli.runs.metrics import Columns
from stopcli.runs.summary import RunSummary
from stopcli.stopping.combine import rule_of_reason

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


# Of all figures, in inches. On a page as wide as a phone, letters of 10 points are then 9 pixels tall.
WIDTH = 5.5
# Letters of 11 points, and of 10, that are as wide as a figure.
_TITLE_LETTERS, _LABEL_LETTERS = 58, 68
# Letters that the line of a legend's entry takes.
_HANDLE_LETTERS = 6


def new_figure(
    height: float, rows: int = 1, columns: int = 1, *, title: str = "", grid: str = "both", **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row, each with a grid.

    Args:
        height: in inches.
        title: in as many lines as it takes.
        grid: of which axis.
        shared: as for `Figure.subplots`.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    drawn: list[Axes] = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for axes in drawn:
        axes.grid(axis=grid, alpha=0.25)  # type: ignore[arg-type]
    set_title(figure, title)
    return figure, drawn


def set_title(figure: Figure, title: str) -> None:
    """Write a title over a figure, in as many lines as it takes."""
    figure.suptitle(textwrap.fill(title, _TITLE_LETTERS))


def legend_below(figure: Figure, drawn: Sequence[Axes], *, handles: Sequence[Any] | None = None) -> None:
    """One legend for all panels, below them, where it hides no curve, in as many columns as there is room for.

    Args:
        handles: what it shows; what the panels have labels for where it is left out.
    """
    if handles is None:
        pairs = [pair for axes in drawn for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
        shown = {label: handle for handle, label in pairs}
    else:
        shown = {handle.get_label(): handle for handle in handles}
    labels = [textwrap.fill(label, _LABEL_LETTERS - _HANDLE_LETTERS) for label in shown]
    longest = max(len(line) for label in labels for line in label.splitlines())
    columns = max(1, min(3, _LABEL_LETTERS // (longest + _HANDLE_LETTERS)))
    figure.legend(shown.values(), labels, loc="outside lower center", ncols=columns, frameon=False)


# Where half of the values lie in a smaller part of an axis than this, their differences cannot be seen.
_SQUEEZED = 0.15
# The part of the values that an axis is fitted to where the others would squeeze them.
_FITTED = 0.8
# A part is cut off where the axis is then so many times as fine.
_WORTH_A_CUT = 2


def fit_scale(axes: Axes, curves: Sequence[NDArray[Any]], *, falls: bool, level: float | None = None) -> None:
    """Give a vertical axis the scale on which curves that settle can be told apart.

    It is linear over all values, not from 0, unless a first part far above (or below) the rest squeezes half of them
    into a small part of the axis. Then a loss is drawn by its logarithm where that helps; else the first part is cut
    off, and a note above the panel says up to where it went.

    Args:
        falls: whether lower is better: a loss or an error.
        level: a value that is to be seen too.
    """
    values = np.sort(np.concatenate([curve[np.isfinite(curve)] for curve in curves])) if curves else np.empty(0)
    if not len(values) or not _squeezes(values if falls else -values[::-1]):
        return
    if falls and values[0] > 0 and not _squeezes(np.log(values)):
        axes.set_yscale("log")
        mark_decades(axes.yaxis, "{:g}")
        return
    settled, farthest = (values[0], values[-1]) if falls else (values[-1], values[0])
    fitted = np.quantile(values, _FITTED if falls else 1 - _FITTED)
    end = fitted + (fitted - settled) / 2
    if fitted == settled or abs(end - settled) * _WORTH_A_CUT > abs(farthest - settled):
        return
    low, high = sorted((settled, end, *(() if level is None else (level,))))[:: 1 if level is None else 2]
    margin = 0.05 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    axes.set_title(f"cut off: {'up' if falls else 'down'} to {farthest:.3g}", loc="right", color=GREY)


def _squeezes(values: NDArray[Any]) -> bool:
    """Whether an axis over values in ascending order shows the lower half of them in a small part of it."""
    return bool(np.median(values) - values[0] < _SQUEEZED * (values[-1] - values[0]))


def mark_decades(axis: Axis, form: str) -> None:
    """Mark 1, 2, 5, 10, 20, … on a logarithmic axis; over many decades 1, 10, …

    Args:
        form: how a value is written, such as `{:g}`.
    """
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < low * 300 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value).replace("e-0", "e-")))
    axis.set_minor_formatter(NullFormatter())


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


def marks_of(summary: RunSummary, level: tuple[str, float, str] | None = None) -> Marks:
    """What to mark on a run's curves: the stop, the best epoch, the saved one.

    Args:
        level: as in `Marks`.
    """
    stop, best = summary.stop, summary.best
    rule = rule_of_reason(stop.reason)
    reasons = {
        "completed": "end of training",
        "non_finite": "a metric is not finite",
        "interrupted": "interrupted",
        "time_budget": "paused",
        "all_of": "all rules had fired",
    }
    # Of the models that something else trained it is not known whether they were saved.
    saved = "saved, best" if summary.trained_here else "best"
    is_new = best is not None and (summary.trained_here or best.epoch != stop.best_epoch)
    return Marks(
        stop.epoch,
        f"epoch {stop.epoch}: {reasons.get(stop.reason, 'stopped by ' + stop.reason)}",
        stop.best_epoch,
        f"epoch {stop.best_epoch}: best {summary.monitor}",
        best.epoch if best and is_new else 0,
        f"epoch {best.epoch}: {saved} {best.monitor}" if best and is_new else "",
        wait=stop.wait if rule is not None and rule.waits else 0,
        level=level,
    )


def learning_curves(
    metrics: Columns,
    val_name: str,
    marks: Marks,
    title: str,
    headline: Headline = ACCURACY,
    *,
    trained_here: bool = True,
    loss_name: str = "cross-entropy",
) -> Figure:
    """Loss and the metric that counts on the training rows and on those that validate against the epoch; a panel for
    each of the two that is on record.

    Args:
        metrics: the columns of metrics.csv.
        val_name: what the `val_` columns were measured on, for the legend: `test` or `validation`.
        headline: the metric that counts.
        trained_here: whether stopcli trained the run; else it is not known what its loss is, and whether training rows
            were measured while it trained.
        loss_name: which one; empty where that is not known.
    """
    panels = panels_of([metrics], headline)
    figure, drawn = new_figure(2.4 + 2 * len(panels), len(panels), title=title, sharex=True)
    names = {"train": "train (as it trains)" if trained_here else "train", "val": val_name, "test": "test"}
    for axes, metric in zip(drawn, panels, strict=True):
        _run_curves(axes, metrics, metric, names, marks)
        named = trained_here and metric is LOSS and loss_name
        axes.set_ylabel(f"loss ({loss_name})" if named else metric.axis)
    whole_numbers(drawn[-1], "epoch")
    legend_below(figure, drawn)
    return figure


def panels_of(runs: Sequence[Columns], headline: Headline) -> list[Headline]:
    """What learning curves have panels for: the loss and the metric that counts, as far as all runs have it on
    record."""
    both = [headline] if headline.name == LOSS.name else [LOSS, headline]
    return [metric for metric in both if all(curves_of(run, metric) for run in runs)]


def curves_of(metrics: Columns, metric: Headline) -> dict[Rows, str]:
    """The columns of a metric that are drawn, by the rows that they are of: those that train, and those that validate
    or, where none do, that test."""
    rows: tuple[Rows, ...] = ("train", "val") if metric.column("val") in metrics else ("train", "test")
    return {of: metric.column(of) for of in rows if metric.column(of) in metrics}


def error_curves(
    metrics: Columns,
    val_name: str,
    marks: Marks,
    title: str,
    loss_name: str = "cross-entropy",
    cycle: float | None = None,
    headline: Headline = ACCURACY,
) -> Figure:
    """Error, loss and learning rate against the epoch; arguments as for `learning_curves`.

    Args:
        cycle: epochs of a cycle of the learning rate, every other of which is shaded; None for no cycles.
    """
    figure, (error, loss, rate) = new_figure(7.6, 3, title=title, sharex=True, height_ratios=[3, 3, 1.5])
    epochs = metrics["epoch"]
    names = {"train": "train (augmented, as it trains)", "val": val_name, "test": "test"}
    _run_curves(error, metrics, headline, names, marks, as_error=True)
    _run_curves(loss, metrics, LOSS, names, marks)
    error.set_ylabel(headline.error_axis)
    loss.set_ylabel(f"loss ({loss_name})")
    for axes in (error, loss, rate):
        shade_cycles(axes, cycle, len(epochs))
    rates = metrics["learning_rate"]
    rate.plot(epochs, rates, color=GREEN, lw=1.4, marker=_marker(len(epochs)), drawstyle="steps-mid")
    rate.set_ylabel("learning rate")
    positive = rates[rates > 0]
    if len(positive) and positive.max() > 5 * positive.min():
        rate.set_yscale("log")
        mark_decades(rate.yaxis, "{:g}")
    whole_numbers(rate, "epoch")
    legend_below(figure, (loss, error))
    return figure


def _run_curves(
    axes: Axes,
    metrics: Columns,
    metric: Headline,
    labels: Mapping[str, str],
    marks: Marks,
    *,
    as_error: bool = False,
) -> None:
    """A metric on the training rows and on those that validate, with the marks.

    Args:
        labels: of the rows, by what columns call them.
        as_error: whether what a share leaves of 1 is drawn.
    """
    epochs = metrics["epoch"]
    of_error = metric.as_error if as_error else np.asarray
    columns = curves_of(metrics, metric)
    curves = {rows: of_error(metrics[column]) for rows, column in columns.items()}
    for rows, values in curves.items():
        # Some loops validate every tenth epoch only.
        measured = np.flatnonzero(~np.isnan(values))
        shown = measured[thinned(len(measured))]
        colour, marker = (BLUE if rows == "train" else ORANGE), _marker(len(measured))
        axes.plot(epochs[shown], values[shown], color=colour, lw=1.4, label=labels[rows], marker=marker)
    mark_epochs(axes, marks, len(epochs))
    level = None
    if marks.level and marks.level[0] in columns.values():
        level = float(of_error(marks.level[1]))
        axes.axhline(level, color=GREY, lw=1, ls=(0, (1, 2)), label=marks.level[2])
    falls = metric.kind != "score" if as_error else metric.lower_is_better
    fit_scale(axes, list(curves.values()), falls=falls, level=level)


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


def seed_curves(
    runs: Sequence[Columns], val_name: str, stops: Sequence[int], title: str, headline: Headline = ACCURACY
) -> Figure:
    """Loss and the metric that counts over seeds: every run thin, their median and the middle 80 % of them, and where
    each stopped.

    Median and spread are drawn as far as every seed was still training, because beyond it they would speak of other
    seeds than before.
    """
    panels = panels_of(runs, headline)
    figure, drawn = new_figure(2.6 + 2 * len(panels), len(panels), title=title, sharex=True)
    common = min(len(run["epoch"]) for run in runs)
    for axes, metric in zip(drawn, panels, strict=True):
        columns = curves_of(runs[0], metric)
        for rows, column in columns.items():
            colour, label = (BLUE, "train") if rows == "train" else (ORANGE, val_name)
            _seed_band(axes, runs, column, common, colour, label)
        for i, stop in enumerate(stops):
            axes.axvline(stop, ymax=0.04, color="black", lw=1, label="stops" if i == 0 else None)
        if common < max(len(run["epoch"]) for run in runs):
            axes.axvline(common, color=GREY, lw=1, ls=":", label=f"epoch {common}: the first seed stopped")
        axes.set_ylabel(metric.axis)
        curves = [run[column] for run in runs for column in columns.values()]
        fit_scale(axes, curves, falls=metric.lower_is_better)
    whole_numbers(drawn[-1], "epoch")
    legend_below(figure, drawn)
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


# Letters of a row's name in a line of its own, beside the axes.
_ROW_LETTERS = 18


def row_labels(names: Sequence[str]) -> list[str]:
    """Names for the rows of a figure, in lines that leave most of its width to the axes."""
    return [textwrap.fill(name, _ROW_LETTERS) for name in names]


def seed_points(groups: Mapping[str, Sequence[float]], name: str, show: Callable[[float], str], title: str) -> Figure:
    """A value of each seed as a point, a row for each group, and its mean.

    Args:
        name: of the value, on the axis.
        show: how a mean is written.
    """
    figure, (axes,) = new_figure(1.3 + 0.75 * len(groups), title=title, grid="x")
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
        axes.annotate(f"mean {show(mean)}", (mean, row + 0.42), ha="center", va="bottom")
    axes.set_yticks(range(len(groups)), row_labels(list(groups))[::-1])
    axes.set_ylim(-0.6, len(groups) - 0.2)
    # Room at the sides for the words over an outermost mean.
    axes.margins(x=0.2)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(name)
    return figure


def earlier_equals(values: NDArray[Any]) -> NDArray[np.int64]:
    """Of each value how many before it are the same.

    >>> earlier_equals(np.array([1.0, 2.0, 1.0, 1.0])).tolist()
    [0, 0, 1, 2]
    """
    return np.array([np.count_nonzero(values[:i] == value) for i, value in enumerate(values)], np.int64)
