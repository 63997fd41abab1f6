"""What `stopcli compare` leaves: tables, CSV files in full precision, figures, a report, a summary."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from stopcli.analysis.arms import RunArm, first_run, is_finished, time_ratio
from stopcli.analysis.compare import (
    COSTS,
    CompareResults,
    Comparison,
    Measure,
    View,
    counted_on_rows,
    machine_of,
    seeds_of,
    some,
)
from stopcli.analysis.run_result import RunResult
from stopcli.quantities import counted, format_duration, numbered
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Table, Warn, csv_of
from stopcli.report.drawing import Draw, Figures
from stopcli.report.html import AnalysisOutput
from stopcli.stats.differences import NONE, p_cell, signed
from stopcli.stats.intervals import MeanInterval, mean_interval

# More arms than this do not fit side by side: they stand one below the other.
_SIDE_BY_SIDE = 6
_IN_A_TITLE = 4
# More curves cannot be told apart.
MOST_DRAWN = 14
# What is drawn where all have it, in this order; the second pair where the first is not there.
_PREFERRED = (("val_loss", "val_accuracy"), ("loss", "accuracy"))
_AXIS_LABELS = {
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "loss": "training loss",
    "accuracy": "training accuracy",
}


def output_of(results: CompareResults) -> AnalysisOutput:
    """What a comparison leaves in its folder."""
    curves = curves_of(results.arms, results.measure)
    tables = tables_of(results)
    return AnalysisOutput(
        command="compare",
        table=tables[0],
        tables=tables,
        warnings=results.warnings,
        files={
            "table.csv": csv_of([_arm_row(results, arm) for arm in results.arms]),
            "differences.csv": _settings_csv(results),
            "runs.csv": csv_of(_run_rows(results)),
        },
        answers=results.answers(),
        conclusions=results.conclusions(),
        summary={
            "metric": results.measure.name,
            "baseline": results.base.label,
            "things": [_arm_summary(arm, results.measure) for arm in results.arms],
            "differences": [_comparison_summary(comparison) for comparison in results.comparisons],
            "settings": {
                "same": results.settings.same,
                "differ": {name: list(values) for name, values in results.settings.differ.items()},
            },
        },
        figures=lambda: figures_of(results, curves),
        document=lambda pictures: _document(results, tables, [*results.notes(), *curves.notes], pictures),
    )


def tables_of(results: CompareResults) -> tuple[Table, ...]:
    """Results, differences, settings, cost."""
    return _results_table(results), _differences_table(results), _settings_table(results), _cost_table(results)


def _results_table(results: CompareResults) -> Table:
    """A row for each arm and each of its values: means and standard deviations over its runs, and the interval of
    what is compared."""
    others = [name for name in ("train_loss", "train_accuracy") if name != results.measure.name]
    rows = []
    for arm in results.arms:
        for view in results.measure.views:
            epochs = [epoch for result in arm.runs if (epoch := result.epoch(view.value)) is not None]
            means = [arm.interval(name) for name in (*(f"{view.name}_{other}" for other in others), view.value)]
            count = str(len(arm.values(view.value)))
            rows.append((arm.label, view.name, count, _epochs(epochs), *map(_mean, means), _interval(arm, view)))
    names = (name.replace("_", " ") for name in others)
    columns = ("", "of", "runs", "epoch", *names, results.measure.phrase, "95 % interval")
    return Table("Results", columns, tuple(rows))


def _interval(arm: RunArm, view: View) -> str:
    """Of the mean over runs; of a single run, of the rows that it was measured on."""
    interval, of_rows = arm.interval(view.value), counted_on_rows(arm, view)
    if of_rows is not None:
        return f"{of_rows.low:.3f} to {of_rows.high:.3f} ({counted(of_rows.rows, 'row')})"
    return " to ".join(map(_number, interval.bounds)) if interval and interval.bounds else NONE


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


def _differences_table(results: CompareResults) -> Table:
    """A row for each arm and value of it, against the one that all are compared with."""
    rows = []
    for comparison in results.comparisons:
        difference, on_rows = comparison.difference, comparison.on_rows
        cells: tuple[str, ...] = (*[NONE] * 5, "no claim")
        if on_rows is not None:
            cells = (
                counted(on_rows.rows, "row"),
                signed(on_rows.mean),
                f"{signed(on_rows.low)} to {signed(on_rows.high)}",
                p_cell(on_rows.p),
                f"{on_rows.only_first:,} to {on_rows.only_second:,} rows",
                on_rows.verdict(),
            )
        elif difference is not None:
            cells = (
                difference.sample_size(),
                signed(difference.mean),
                " to ".join(map(signed, difference.bounds)) if difference.bounds else NONE,
                p_cell(difference.p),
                difference.agreement() or "unpaired",
                difference.verdict(results.measure.better),
            )
        rows.append((comparison.arm.label, comparison.view.name, *cells))
    by = "rows" if any(comparison.on_rows for comparison in results.comparisons) else "seeds"
    columns = ("", "of", "n", "difference", "95 % interval", "p", by, "verdict")
    return Table(f"{results.measure.phrase.capitalize()} against {results.base.label}", columns, tuple(rows))


def _settings_table(results: CompareResults) -> Table:
    """The settings that differ: a row a setting, or where there are many arms, a row an arm."""
    if len(results.arms) <= _SIDE_BY_SIDE:
        return _settings_by_arm("Settings that differ", results)
    values = _settings(results)
    rows = tuple((arm.label, *(of_arms[arm.index] for of_arms in values.values())) for arm in results.arms)
    return Table("Settings that differ", ("", *values), rows)


def _settings_csv(results: CompareResults) -> str:
    return _settings_by_arm("", results).csv()


def _settings_by_arm(title: str, results: CompareResults) -> Table:
    """A row a setting and a column an arm, however many."""
    rows = tuple((name, *values) for name, values in _settings(results).items())
    return Table(title, ("setting", *(arm.label for arm in results.arms)), rows)


def _settings(results: CompareResults) -> dict[str, tuple[str, ...]]:
    """The settings that differ, and the seeds where they do."""
    seeds = tuple(seeds_of(arm) for arm in results.arms)
    return {**results.settings.differ, **({"seeds": seeds} if len(set(seeds)) > 1 else {})}


def _cost_table(results: CompareResults) -> Table:
    """Where and why training stopped and what it cost, as means over the runs, and as multiples of the base's time: of
    the same seed, with their standard deviation, or where no seed is the same, of its mean. None for what has not
    finished, and none of it."""
    machines = [machine_of(arm) for arm in results.arms]
    several = len(set(machines)) > 1
    columns = ("", "stopped at epoch", "by", "updates", "rows", "training", f"times {results.base.label}'s")
    rows = (
        (*_cost_cells(arm, results.base), *([machine] if several else []))
        for arm, machine in zip(results.arms, machines, strict=True)
    )
    return Table("Cost", (*columns, *(["machine"] if several else [])), tuple(rows))


def _cost_cells(arm: RunArm, base: RunArm) -> tuple[str, ...]:
    counts = [arm.mean(name) for name in ("updates", "rows")]
    seconds, base_seconds = arm.mean("train_seconds"), base.mean("train_seconds")
    reasons = Counter(result.reason.replace("_", " ") or result.run.state for result in arm.runs)
    times = NONE
    if is_finished(arm) and is_finished(base) and seconds is not None and base_seconds:
        times = str(time_ratio(arm, base) or f"{seconds / base_seconds:.2f} (means)")
    return (
        arm.label,
        _epochs(arm.values("epochs")),
        ", ".join(f"{reason} ({count})" if len(reasons) > 1 else reason for reason, count in reasons.most_common()),
        *(NONE if count is None else f"{count:,.0f}" for count in counts),
        NONE if seconds is None else format_duration(seconds) if seconds >= 60 else f"{seconds:.2f} s",
        times,
    )


def _arm_row(results: CompareResults, arm: RunArm) -> dict[str, object]:
    """A row of table.csv."""
    row: dict[str, object] = {"label": arm.label, "command": first_run(arm).command, "runs": len(arm.runs)}
    row |= {"left_out": len(arm.left_out), "seeds": seeds_of(arm)}
    for view in results.measure.views:
        interval, prefix = arm.interval(view.value), f"{view.name}_{results.measure.name}"
        row |= {f"{prefix}_{key}": getattr(interval, key, None) for key in ("n", "mean", "sd", "low", "high")}
        of_arm = (comparison for comparison in results.comparisons if comparison.arm is arm and comparison.view is view)
        difference = next((comparison.difference for comparison in of_arm), None)
        row[f"{view.name}_difference_against"] = results.base.label if difference else None
        for key in ("paired", "n", "mean", "low", "high", "p", "share_higher", "share_equal", "distinguishable"):
            attribute = "share_above" if key == "share_higher" else key
            row[f"{view.name}_difference_{key}"] = getattr(difference, attribute, None)
    return {**row, **{f"{name}_mean": arm.mean(name) for name in COSTS}, "machine": machine_of(arm)}


def _run_rows(results: CompareResults) -> list[dict[str, object]]:
    """The rows of runs.csv, also those of runs that do not count."""
    return [
        _run_row(arm, result, counts, results.measure)
        for arm in results.arms
        for runs, counts in ((arm.runs, True), (arm.left_out, False))
        for result in runs
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
        **{f"{which}_{name}": result.value(f"{which}_{name}") for which in ("final", "saved") for name in models},
        **{name: result.value(name) for name in COSTS},
    }
    # A column of metrics.csv, where that is what is compared.
    for view in measure.views:
        if measure.name not in row:
            row.setdefault(f"{view.name}_{measure.name}", result.value(view.value))
    return row


def _arm_summary(arm: RunArm, measure: Measure) -> dict[str, Any]:
    intervals = {view.name: arm.interval(view.value) for view in measure.views}
    proportions = {view.name: counted_on_rows(arm, view) for view in measure.views}
    return {
        "label": arm.label,
        "command": first_run(arm).command,
        "runs": [str(result.run.path) for result in arm.runs],
        "left_out": [str(result.run.path) for result in arm.left_out],
        "seeds": [result.seed for result in arm.runs],
        "finished": is_finished(arm),
        **{name: asdict(interval) if interval else None for name, interval in intervals.items()},
        "counted_on_rows": {name: asdict(share) if share else None for name, share in proportions.items()},
    }


def _comparison_summary(comparison: Comparison) -> dict[str, Any]:
    on_rows = comparison.on_rows
    return {
        "label": comparison.arm.label,
        "against": comparison.base.label,
        "view": comparison.view.name,
        **(comparison.difference.to_dict() if comparison.difference else {}),
        "on_rows": on_rows and {**asdict(on_rows), "distinguishable": on_rows.distinguishable},
        "words": comparison.sentence,
    }


@dataclass(frozen=True)
class Curves:
    """What is drawn.

    Attributes:
        arms: that have curves.
        panels: columns that all of them have, with their words.
        notes: what is not drawn, and why.
    """

    arms: Sequence[RunArm]
    panels: dict[str, str]
    notes: Sequence[str]


def curves_of(arms: Sequence[RunArm], measure: Measure) -> Curves:
    """The columns that all arms have, of the first so many."""
    with_curves = [arm for arm in arms if all(len(result.columns) for result in arm.runs)]
    drawn, notes = with_curves[:MOST_DRAWN], []
    if len(with_curves) > MOST_DRAWN:
        notes.append(f"The figures show the first {MOST_DRAWN} of {len(with_curves)}.")
    recorded = [set(result.columns) for arm in drawn for result in arm.runs]
    common = set.intersection(*recorded) if recorded else set()
    pairs = ([name for name in pair if name in common] for pair in _PREFERRED)
    names = next(filter(None, pairs), [])
    if measure.name in common and measure.name not in names:
        names.append(measure.name)
    unequal = sorted(set().union(*recorded) - common)
    if unequal:
        notes.append(f"Not all runs recorded {', '.join(unequal)}; only what all of them recorded is overlaid.")
    return Curves(drawn, {name: _AXIS_LABELS.get(name, name) for name in names}, notes)


def figures_of(results: CompareResults, curves: Curves) -> Figures:
    """Curves over each other, and the value that is compared with its intervals."""
    from stopcli.report.arm_curves import ValueRow, overlaid_curves, value_strips
    from stopcli.report.curves import RunGroup

    figures: dict[str, Draw] = {}
    if curves.panels:
        groups = [RunGroup(arm.label, arm.index, [result.columns for result in arm.runs]) for arm in curves.arms]
        figures["curves"] = lambda: overlaid_curves(groups, curves.panels, "Curves of what was compared")

    def row(arm: RunArm, view: View) -> ValueRow:
        interval = arm.interval(view.value)
        return ValueRow(arm.label, arm.values(view.value), interval.bounds if interval else None)

    # Arms without a value have a row too: the panels share their rows.
    rows = {view.phrase: [row(arm, view) for arm in results.arms[:MOST_DRAWN]] for view in results.measure.views}
    rows_with_values = {phrase: of_arms for phrase, of_arms in rows.items() if any(row.values for row in of_arms)}
    if rows_with_values:
        figures["values"] = lambda: value_strips(rows_with_values, f"{results.measure.phrase} of each run")
    return figures


def _document(
    results: CompareResults, tables: Sequence[Table], notes: Sequence[str], pictures: Sequence[Picture]
) -> Document:
    by_arm, differences, settings, cost = tables
    against: list[Part] = [differences, *([Bullets(tuple(notes))] if notes else [])]
    means = Paragraph("Means ± standard deviations over the runs, and the interval of the mean.")
    sections = [
        Section("Results", (by_arm, means)),
        Section(differences.title, tuple(against)),
        Section("Figures", tuple(map(_with_alt_text, pictures))),
        Section(settings.title, (settings, Paragraph(f"{results.settings.same} settings are the same."))),
        Section(cost.title, (cost,)),
        Section("What was compared", (Bullets(tuple(map(_sources, results.arms))),)),
    ]
    labels = [arm.label for arm in results.arms]
    more = f" and {len(labels) - _IN_A_TITLE} more" if len(labels) > _IN_A_TITLE else ""
    lead: list[Part] = [Paragraph(sentence) for sentence in (*results.answers(), *results.conclusions())]
    lead += [Warn(f"{warning}.") for warning in results.warnings]
    title = f"compare: {', '.join(labels[:_IN_A_TITLE])}{more}"
    return Document(title, tuple(lead), tuple(section for section in sections if section.parts))


def _with_alt_text(picture: Picture) -> Picture:
    if picture.name != "curves":
        return picture
    alt = (
        "Curves of all runs over each other against the epoch, a colour for each that is compared, the median of its "
        "seeds bold, and a dot where each run stopped."
    )
    return replace(picture, alt=alt)


def _sources(arm: RunArm) -> str:
    seeds = numbered("seed", [result.seed for result in arm.runs])
    folders = dict.fromkeys(str(result.run.sweep or result.run.path) for result in arm.runs)
    return f"{arm.label}: {seeds}, of {some([f'`{folder}`' for folder in folders])}"
