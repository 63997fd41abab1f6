"""A comparison's tables, as people read them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from stopcli.counts import counted
from stopcli.durations import format_duration
from stopcli.evidence.differences import p_cell, ratio_of, signed
from stopcli.report.tables import Table
from stopcli.studies.compare.judging import Comparison, counted_on_rows, moments_of, values_of
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.sameness import Settings, machine_of, seeds_of
from stopcli.studies.compare.things import Arm

# More arms than this do not fit side by side: they stand one below the other.
_SIDE_BY_SIDE = 6
NONE = "–"


def results_table(arms: Sequence[Arm], measure: Measure) -> Table:
    """A row for each arm and each of its values: means and standard deviations over its runs, and the interval of
    what is compared."""
    words = measure.name.replace("_", " ")
    others = [name for name in ("train_loss", "train_accuracy") if name != measure.name]
    columns = ("", "of", "runs", "epoch", *(name.replace("_", " ") for name in others), words, "95 % interval")
    rows = tuple(_results_row(arm, measure, view, others) for arm in arms for view in measure.views)
    return Table("Results", columns, rows)


def _results_row(arm: Arm, measure: Measure, view: str, others: Sequence[str]) -> tuple[str, ...]:
    return (
        arm.label,
        view,
        str(len(values_of(arm, measure, view))),
        _epochs([measure.epoch_of(outcome, view) for outcome in arm.outcomes]),
        *(_spread([outcome.of(view).get(name) for outcome in arm.outcomes]) for name in others),
        _spread(list(values_of(arm, measure, view).values())),
        _interval(arm, measure, view),
    )


def _interval(arm: Arm, measure: Measure, view: str) -> str:
    """Of the mean over runs; of one run alone, of the rows that it was measured on."""
    moments, of_rows = moments_of(arm, measure, view), counted_on_rows(arm, measure, view)
    if of_rows is not None:
        return f"{of_rows.low:.3f} to {of_rows.high:.3f} ({counted(of_rows.rows, 'row')})"
    if moments is None or moments.low is None or moments.high is None:
        return NONE
    return f"{_number(moments.low)} to {_number(moments.high)}"


def _spread(values: Sequence[float | None]) -> str:
    """Mean and standard deviation; a dash for no values."""
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    mean = statistics.fmean(known)
    sd = f" ± {_number(statistics.stdev(known), like=mean)}" if len(known) > 1 else ""
    return _number(mean) + sd


def _epochs(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(set(known)) > 1:
        return f"{statistics.fmean(known):.1f} ± {statistics.stdev(known):.1f}"
    return f"{known[0]:.0f}" if known else NONE


def _number(value: float, like: float | None = None) -> str:
    """As text with as many digits as tell anything, or as another number has."""
    size = abs(value if like is None else like)
    if 0 < size < 0.0005:
        return f"{value:.1e}"
    if size == int(size) and size >= 2:
        return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def comparisons_table(comparisons: Sequence[Comparison], measure: Measure, base: Arm) -> Table:
    """A row for each arm and value of it, against the one that all are compared with."""
    columns = ("", "of", "n", "difference", "95 % interval", "p", "seeds", "verdict")
    rows = tuple(
        (comparison.arm.label, comparison.view, *_comparison_cells(comparison, measure)) for comparison in comparisons
    )
    return Table(f"{measure.name.replace('_', ' ').capitalize()} against {base.label}", columns, rows)


def _comparison_cells(comparison: Comparison, measure: Measure) -> tuple[str, ...]:
    found = comparison.found
    if found is None:
        return (*[NONE] * 5, "no claim")
    interval = NONE if found.low is None or found.high is None else f"{signed(found.low)} to {signed(found.high)}"
    return (
        found.sample_size(),
        signed(found.mean),
        interval,
        p_cell(found.p),
        found.agreement() or "unpaired",
        found.verdict(measure.better),
    )


def settings_table(arms: Sequence[Arm], settings: Settings) -> Table:
    """The settings that differ: a row a setting, or where there are many arms, a row an arm."""
    differ = _with_seeds(arms, settings)
    labels = tuple(arm.label for arm in arms)
    if len(arms) <= _SIDE_BY_SIDE:
        rows = tuple((name, *values) for name, values in differ.items())
        return Table("Settings that differ", ("setting", *labels), rows)
    rows = tuple((label, *(values[i] for values in differ.values())) for i, label in enumerate(labels))
    return Table("Settings that differ", ("", *differ), rows)


def settings_csv(arms: Sequence[Arm], settings: Settings) -> str:
    """A row a setting and a column an arm, however many."""
    rows = tuple((name, *values) for name, values in _with_seeds(arms, settings).items())
    return Table("", ("setting", *(arm.label for arm in arms)), rows).csv()


def _with_seeds(arms: Sequence[Arm], settings: Settings) -> dict[str, tuple[str, ...]]:
    """The settings that differ, and the seeds where they do."""
    seeds = tuple(seeds_of(arm) for arm in arms)
    return {**settings.differ, **({"seeds": seeds} if len(set(seeds)) > 1 else {})}


def cost_table(arms: Sequence[Arm], base: Arm) -> Table:
    """Where and why training stopped and what it cost, as means over the runs, and as multiples of the base's time: of
    the same seed, with their standard deviation, or where no seed is the same, of its mean. None for what has not
    finished, and none of it."""
    machines = {arm.label: machine_of(arm) for arm in arms}
    several = len(set(machines.values())) > 1
    columns = ("", "stopped at epoch", "by", "updates", "rows", "training", f"times {base.label}'s")
    rows = tuple((*_cost_row(arm, base), *([machines[arm.label]] if several else [])) for arm in arms)
    return Table("Cost", (*columns, *(["machine"] if several else [])), rows)


def _cost_row(arm: Arm, base: Arm) -> tuple[str, ...]:
    counts = [mean_of(arm, name) for name in ("updates", "rows")]
    seconds = mean_of(arm, "train_seconds")
    reasons = Counter(outcome.reason.replace("_", " ") or outcome.run.state for outcome in arm.outcomes)
    return (
        arm.label,
        _epochs([outcome.cost.get("epochs") for outcome in arm.outcomes]),
        ", ".join(f"{reason} ({count})" if len(reasons) > 1 else reason for reason, count in reasons.most_common()),
        *(NONE if count is None else f"{count:,.0f}" for count in counts),
        NONE if seconds is None else format_duration(seconds) if seconds >= 60 else f"{seconds:.2f} s",
        _times(arm, base),
    )


def _times(arm: Arm, base: Arm) -> str:
    if not (arm.finished and base.finished):
        return NONE
    ours, theirs = (by_seed(each, "train_seconds") for each in (arm, base))
    if not ours or not theirs or not statistics.fmean(theirs.values()):
        return NONE
    found = ratio_of(ours, theirs)
    return str(found) if found else f"{statistics.fmean(ours.values()) / statistics.fmean(theirs.values()):.2f} (means)"


def by_seed(arm: Arm, name: str) -> dict[int, float]:
    """A part of the cost of each of an arm's runs that has it, by seed."""
    return {outcome.run.seed: outcome.cost[name] for outcome in arm.outcomes if name in outcome.cost}


def mean_of(arm: Arm, name: str) -> float | None:
    """The mean of a part of the cost over an arm's runs; None where no run has it."""
    known = by_seed(arm, name)
    return statistics.fmean(known.values()) if known else None
