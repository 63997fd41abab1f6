"""A comparison's tables, as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from stopcli.analysis.arms import RunArm, time_ratio
from stopcli.counts import counted
from stopcli.durations import format_duration
from stopcli.evidence.differences import NONE, p_cell, signed
from stopcli.evidence.interval import MeanInterval, mean_interval
from stopcli.report.tables import Table
from stopcli.studies.compare.judging import Comparison, counted_on_rows
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.sameness import Settings, machine_of, seeds_of
from stopcli.studies.compare.things import is_finished

# More arms than this do not fit side by side: they stand one below the other.
_SIDE_BY_SIDE = 6


def results_table(arms: Sequence[RunArm], measure: Measure) -> Table:
    """A row for each arm and each of its values: means and standard deviations over its runs, and the interval of
    what is compared."""
    words = measure.name.replace("_", " ")
    others = [name for name in ("train_loss", "train_accuracy") if name != measure.name]
    columns = ("", "of", "runs", "epoch", *(name.replace("_", " ") for name in others), words, "95 % interval")
    rows = tuple(_results_row(arm, measure, view, others) for arm in arms for view in measure.views)
    return Table("Results", columns, rows)


def _results_row(arm: RunArm, measure: Measure, view: str, others: Sequence[str]) -> tuple[str, ...]:
    name = measure.value_name(view)
    epochs = [epoch for result in arm.runs if (epoch := result.epoch(name)) is not None]
    return (
        arm.label,
        view,
        str(len(arm.by_seed(name))),
        _epochs(epochs),
        *(_mean(arm.interval(f"{view}_{other}")) for other in others),
        _mean(arm.interval(name)),
        _interval(arm, measure, view),
    )


def _interval(arm: RunArm, measure: Measure, view: str) -> str:
    """Of the mean over runs; of a single run, of the rows that it was measured on."""
    interval, of_rows = arm.interval(measure.value_name(view)), counted_on_rows(arm, measure, view)
    if of_rows is not None:
        return f"{of_rows.low:.3f} to {of_rows.high:.3f} ({counted(of_rows.rows, 'row')})"
    if interval is None or interval.low is None or interval.high is None:
        return NONE
    return f"{_number(interval.low)} to {_number(interval.high)}"


def _mean(interval: MeanInterval | None) -> str:
    """Mean and standard deviation; a dash for no values."""
    return interval.cell(partial(_number, like=interval.mean), interval=False) if interval else NONE


def _epochs(epochs: Sequence[float]) -> str:
    if len(set(epochs)) > 1:
        return mean_interval(epochs).cell("{:.1f}".format, interval=False)
    return f"{epochs[0]:.0f}" if epochs else NONE


def _number(value: float, like: float | None = None) -> str:
    """As text with as many digits as tell anything, or as another number has."""
    size = abs(value if like is None else like)
    if 0 < size < 0.0005:
        return f"{value:.1e}"
    if size == int(size) and size >= 2:
        return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def comparisons_table(comparisons: Sequence[Comparison], measure: Measure, base: RunArm) -> Table:
    """A row for each arm and value of it, against the one that all are compared with."""
    columns = ("", "of", "n", "difference", "95 % interval", "p", "seeds", "verdict")
    rows = tuple(
        (comparison.arm.label, comparison.view, *_comparison_cells(comparison, measure)) for comparison in comparisons
    )
    return Table(f"{measure.name.replace('_', ' ').capitalize()} against {base.label}", columns, rows)


def _comparison_cells(comparison: Comparison, measure: Measure) -> tuple[str, ...]:
    difference = comparison.difference
    if difference is None:
        return (*[NONE] * 5, "no claim")
    low, high = difference.low, difference.high
    interval = NONE if low is None or high is None else f"{signed(low)} to {signed(high)}"
    return (
        difference.sample_size(),
        signed(difference.mean),
        interval,
        p_cell(difference.p),
        difference.agreement() or "unpaired",
        difference.verdict(measure.better),
    )


def settings_table(arms: Sequence[RunArm], settings: Settings) -> Table:
    """The settings that differ: a row a setting, or where there are many arms, a row an arm."""
    differ = _with_seeds(arms, settings)
    labels = tuple(arm.label for arm in arms)
    if len(arms) <= _SIDE_BY_SIDE:
        rows = tuple((name, *values) for name, values in differ.items())
        return Table("Settings that differ", ("setting", *labels), rows)
    rows = tuple((label, *(values[i] for values in differ.values())) for i, label in enumerate(labels))
    return Table("Settings that differ", ("", *differ), rows)


def settings_csv(arms: Sequence[RunArm], settings: Settings) -> str:
    """A row a setting and a column an arm, however many."""
    rows = tuple((name, *values) for name, values in _with_seeds(arms, settings).items())
    return Table("", ("setting", *(arm.label for arm in arms)), rows).csv()


def _with_seeds(arms: Sequence[RunArm], settings: Settings) -> dict[str, tuple[str, ...]]:
    """The settings that differ, and the seeds where they do."""
    seeds = tuple(seeds_of(arm) for arm in arms)
    return {**settings.differ, **({"seeds": seeds} if len(set(seeds)) > 1 else {})}


def cost_table(arms: Sequence[RunArm], base: RunArm) -> Table:
    """Where and why training stopped and what it cost, as means over the runs, and as multiples of the base's time: of
    the same seed, with their standard deviation, or where no seed is the same, of its mean. None for what has not
    finished, and none of it."""
    machines = {arm.label: machine_of(arm) for arm in arms}
    several = len(set(machines.values())) > 1
    columns = ("", "stopped at epoch", "by", "updates", "rows", "training", f"times {base.label}'s")
    rows = tuple((*_cost_row(arm, base), *([machines[arm.label]] if several else [])) for arm in arms)
    return Table("Cost", (*columns, *(["machine"] if several else [])), rows)


def _cost_row(arm: RunArm, base: RunArm) -> tuple[str, ...]:
    counts = [arm.mean(name) for name in ("updates", "rows")]
    seconds = arm.mean("train_seconds")
    reasons = Counter(result.reason.replace("_", " ") or result.run.state for result in arm.runs)
    return (
        arm.label,
        _epochs(arm.values("epochs")),
        ", ".join(f"{reason} ({count})" if len(reasons) > 1 else reason for reason, count in reasons.most_common()),
        *(NONE if count is None else f"{count:,.0f}" for count in counts),
        NONE if seconds is None else format_duration(seconds) if seconds >= 60 else f"{seconds:.2f} s",
        _times(arm, base),
    )


def _times(arm: RunArm, base: RunArm) -> str:
    seconds, base_seconds = (each.mean("train_seconds") for each in (arm, base))
    if not (is_finished(arm) and is_finished(base) and seconds is not None and base_seconds):
        return NONE
    ratio = time_ratio(arm, base)
    return str(ratio) if ratio else f"{seconds / base_seconds:.2f} (means)"
