"""Runs and sweeps side by side: what is compared, by what, and what follows.

How arms differ from the one that they are compared with, as far as their runs can tell.

A comparison's CSV files: everything in full precision, for further use.

A comparison's tables, as people read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stopcli.analysis.arms import (
    DEFAULT,
    Measure,
    RunArm,
    baseline_of,
    first_run,
    is_finished,
    measure_of,
    read_arms,
    time_ratio,
)
from stopcli.analysis.results import RunResult
from stopcli.analysis.settings_diff import (
    Settings,
    environments_differ,
    experiments_differ,
    machine_of,
    other_test_rows,
    seeds_of,
    settings_of,
)
from stopcli.quantities import agreeing, counted, format_duration
from stopcli.report.document import Table
from stopcli.report.run_report import TEST_ROWS_CHOSE
from stopcli.stats.differences import NONE, Difference, difference_by_seed, p_cell, signed, unpaired_difference
from stopcli.stats.intervals import FEWEST, MeanInterval, Proportion, mean_interval, proportion_of

# From so many on, a false one among them is no rare event.
_MANY_DIFFERENCES = 3


@dataclass(frozen=True)
class Comparison:
    """An arm against the one that it is compared with, in one value.

    Attributes:
        view: which of the measure's values.
        difference: None where none is claimed.
        sentence: what the difference says, or why there is none.
    """

    arm: RunArm
    base: RunArm
    view: str
    difference: Difference | None
    sentence: str


def counted_on_rows(arm: RunArm, measure: Measure, view: str) -> Proportion | None:
    """How sure the test accuracy of a single run is, because it was counted on so many rows; None for anything else.

    It says nothing of other seeds.
    """
    values = arm.by_seed(measure.value_name(view))
    if measure.name != "test_accuracy" or len(values) != 1:
        return None
    ((seed, accuracy),) = values.items()
    (run,) = (result.run for result in arm.runs if result.seed == seed)
    rows = (run.summary.get("rows") or {}).get("test") or 0
    return proportion_of(accuracy, int(rows))


def compare_to_baseline(arms: Sequence[RunArm], base: RunArm, measure: Measure) -> list[Comparison]:
    """Every other arm against the base, by each of the measure's values."""
    others = [arm for arm in arms if arm is not base]
    return [_compare(arm, base, measure, view) for view in measure.views for arm in others]


def _compare(arm: RunArm, base: RunArm, measure: Measure, view: str) -> Comparison:
    what = measure.views[view]
    settings = other_test_rows(arm, base)
    # What it cost does not depend on which rows test.
    if settings and not measure.is_cost:
        reason = f"{arm.label} and {base.label} are measured on different test rows ({', '.join(settings)}): no claim."
        return Comparison(arm, base, view, None, reason)
    values, others = (each.by_seed(measure.value_name(view)) for each in (arm, base))
    if not values or not others:
        missing = base if values else arm
        return Comparison(arm, base, view, None, f"{arm.label} against {base.label}: {missing.label} has no {what}.")
    difference, note = difference_of(values, others)
    return Comparison(
        arm, base, view, difference, difference.sentence(arm.label, base.label, what, measure.better) + note
    )


def difference_of(values: Mapping[int, float], others: Mapping[int, float]) -> tuple[Difference, str]:
    """The difference of values by seed, and a note on seeds that it is not of: pairs where enough seeds match, else
    two independent samples where both are large enough, else whatever there is."""
    pairs = len(values.keys() & others.keys())
    if pairs >= FEWEST or min(len(values), len(others)) < FEWEST:
        paired = difference_by_seed(values, others)
        if paired is not None:
            unmatched = len(values.keys() ^ others.keys())
            runs = f"{counted(unmatched, 'run')} {agreeing(unmatched, 'has', 'have')}"
            return paired, f" ({runs} no partner of the same seed.)" if unmatched else ""
    return unpaired_difference(list(values.values()), list(others.values())), ""


def note_on_many(comparisons: Sequence[Comparison]) -> list[str]:
    """A note where so many differences are tested that some may be told apart by chance."""
    differences = [comparison.difference for comparison in comparisons]
    tested = sum(difference is not None and difference.p is not None for difference in differences)
    if tested < _MANY_DIFFERENCES:
        return []
    return [
        f"{tested} differences are tested, each with an error of 5 %: where nothing differs, one of them is told apart "
        f"by chance with a probability of up to {min(100, tested * 5)} %."
    ]


_COST = ("epochs", "updates", "rows", "train_seconds")


def arms_rows(arms: Sequence[RunArm], measure: Measure, comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """A row of table.csv for each arm."""
    by_arm = {(comparison.arm.label, comparison.view): comparison for comparison in comparisons}
    rows = []
    for arm in arms:
        row: dict[str, object] = {"label": arm.label, "command": first_run(arm).command, "runs": len(arm.runs)}
        row |= {"left_out": len(arm.left_out), "seeds": seeds_of(arm)}
        for view in measure.views:
            row |= _interval_values(f"{view}_{measure.name}", arm.interval(measure.value_name(view)))
            row |= _difference_values(f"{view}_difference", by_arm.get((arm.label, view)))
        rows.append({**row, **{f"{name}_mean": arm.mean(name) for name in _COST}, "machine": machine_of(arm)})
    return rows


def _interval_values(name: str, interval: MeanInterval | None) -> dict[str, object]:
    return {f"{name}_{key}": getattr(interval, key, None) for key in ("n", "mean", "sd", "low", "high")}


def _difference_values(name: str, comparison: Comparison | None) -> dict[str, object]:
    difference = comparison.difference if comparison else None
    columns = {"share_higher": "share_above"}
    names = ("paired", "n", "mean", "low", "high", "p", "share_higher", "share_equal", "distinguishable")
    return {
        f"{name}_against": comparison.base.label if comparison and difference else None,
        **{f"{name}_{column}": getattr(difference, columns.get(column, column), None) for column in names},
    }


def runs_rows(arms: Sequence[RunArm], measure: Measure) -> list[dict[str, object]]:
    """A row of runs.csv for each run, also for those that do not count."""
    return [
        _run_row(arm, result, counts, measure)
        for arm in arms
        for results, counts in ((arm.runs, True), (arm.left_out, False))
        for result in results
    ]


def _run_row(arm: RunArm, result: RunResult, counts: bool, measure: Measure) -> dict[str, object]:
    models = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    row: dict[str, object] = {
        "label": arm.label,
        "run": str(result.run.path),
        "seed": result.seed,
        "state": result.run.state,
        "stop_reason": result.reason,
        "counts": counts,
        "measured": result.measured,
        **{f"{view}_{name}": result.model(view).get(name) for view in ("final", "saved") for name in models},
        **{name: result.cost.get(name) for name in _COST},
    }
    # A column of metrics.csv, where that is what is compared.
    return row | {
        f"{view}_{measure.name}": result.value(measure.value_name(view))
        for view in measure.views
        if measure.name not in row and f"{view}_{measure.name}" not in row
    }


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


# Of more arms than this the sentences are summed up.
_MANY = 8
_SHARED_ROWS = (
    "The seeds share their test rows: intervals over seeds and p say what other seeds would give on these rows, and "
    "nothing of other rows."
)


@dataclass(frozen=True)
class CompareResults:
    """Things side by side.

    Attributes:
        base: what the others are compared with.
        warnings: what the user should know, a sentence without a full stop each.
    """

    arms: Sequence[RunArm]
    base: RunArm
    measure: Measure
    comparisons: Sequence[Comparison]
    settings: Settings
    warnings: Sequence[str]

    def tables(self) -> tuple[Table, ...]:
        """Results, differences, settings, cost."""
        return (
            results_table(self.arms, self.measure),
            comparisons_table(self.comparisons, self.measure, self.base),
            settings_table(self.arms, self.settings),
            cost_table(self.arms, self.base),
        )

    def conclusions(self) -> tuple[str, ...]:
        """What follows, a sentence for each difference, or for many arms, for each value."""
        if len(self.arms) - 1 <= _MANY:
            return tuple(dict.fromkeys(comparison.sentence for comparison in self.comparisons))
        return tuple(self._counts(view) for view in self.measure.views)

    def _counts(self, view: str) -> str:
        """How many arms are better, worse, or not distinguishable."""
        comparisons = [comparison for comparison in self.comparisons if comparison.view == view]
        labels: dict[str, list[str]] = {}
        for comparison in comparisons:
            verdict = comparison.difference.verdict(self.measure.better) if comparison.difference else "no claim"
            labels.setdefault(verdict, []).append(comparison.arm.label)
        counts = "; ".join(f"{len(names)} {verdict} ({some(names)})" for verdict, names in labels.items())
        return f"{self.measure.views[view]} of {len(comparisons)} against {self.base.label}: {counts}."

    def notes(self) -> list[str]:
        """How to read it."""
        notes = note_on_many(self.comparisons)
        if any(counted_on_rows(arm, self.measure, view) for arm in self.arms for view in self.measure.views):
            notes.append(
                "The interval of a single run is that of an accuracy which was counted on so many rows (Wilson's); it "
                "says nothing of other seeds."
            )
        if self.measure.name.startswith("test_"):
            if any(comparison.difference and comparison.difference.p is not None for comparison in self.comparisons):
                notes.append(_SHARED_ROWS)
            if any(map(_test_rows_chose, self.arms)):
                notes.append(TEST_ROWS_CHOSE)
        return notes


def compare(paths: Sequence[Path], baseline: str = "", metric: str = DEFAULT) -> CompareResults:
    """Set runs and sweeps side by side.

    Args:
        paths: their folders.
        baseline: the label or the folder of what the others are compared with; the first where it is empty.

    Raises:
        RequestError: they cannot be compared; nothing is written.
    """
    arms, warnings = read_arms(paths)
    measure = measure_of(metric, [result for arm in arms for result in arm.runs])
    base = baseline_of(arms, baseline)
    warnings = [*experiments_differ(arms), *warnings, *environments_differ(arms)]
    comparisons = compare_to_baseline(arms, base, measure)
    return CompareResults(arms, base, measure, comparisons, settings_of(arms), warnings)


def some(names: Sequence[str]) -> str:
    """The first so many of some names, and how many more there are."""
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more


def _test_rows_chose(arm: RunArm) -> bool:
    """Whether the rows that test also chose the epoch that was saved."""
    return any(result.saved for result in arm.runs) and first_run(arm).settings.get("validation", "test") == "test"
