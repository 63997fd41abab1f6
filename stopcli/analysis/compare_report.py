"""What `stopcli compare` leaves: tables, CSV files in full precision, figures, a report, a summary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from stopcli.analysis.arms import RunArm, first_run, is_finished, time_ratio
from stopcli.analysis.compare import (
    CompareResults,
    Comparison,
    bounds_on_rows,
    counted_on_rows,
    machine_of,
    seeds_of,
    some,
)
from stopcli.analysis.compare_decisions import (
    decision_figures,
    decision_summary,
    decision_values,
    files_of_decisions,
    note_on_panels,
)
from stopcli.analysis.gate import Gate
from stopcli.analysis.measure import COSTS, Measure, View, headlines_of
from stopcli.analysis.run_result import RunResult
from stopcli.quantities import counted, format_duration, numbered
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Table, Warn, csv_of
from stopcli.report.drawing import Draw, Figures
from stopcli.report.html import AnalysisOutput
from stopcli.runs.headline import ACCURACY, Headline, base_name, rows_of
from stopcli.runs.summary import FOREIGN
from stopcli.runs.typed_json import to_json
from stopcli.stats.differences import NONE, p_cell, writer_of_differences
from stopcli.stats.intervals import MeanInterval, mean_interval

# More arms than this do not fit side by side: they stand one below the other.
_SIDE_BY_SIDE = 6
_IN_A_TITLE = 4
# More curves cannot be told apart.
MOST_DRAWN = 14
_ROWS = {"val": "validation", "train": "training"}


def output_of(results: CompareResults, gate: Gate | None = None) -> AnalysisOutput:
    """What a comparison leaves in its folder.

    Args:
        gate: what was required of it, if anything was; its answer comes first.
    """
    curves = curves_of(results.arms, results.measure)
    tables = tables_of(results)
    return AnalysisOutput(
        command="compare",
        table=tables[0],
        # Of CSV files no settings are known.
        tables=[table for table in tables if table.rows],
        warnings=results.warnings,
        files={
            "table.csv": csv_of([_arm_row(results, arm) for arm in results.arms]),
            "differences.csv": _settings_csv(results),
            "runs.csv": csv_of(_run_rows(results)),
            **files_of_decisions(results),
        },
        answers=(*_answer_of(gate), *results.answers()),
        conclusions=results.conclusions(),
        summary={
            "metric": results.measure.name,
            **({} if gate is None else {"gate": gate.to_dict()}),
            **_headline_of_summary(results.measure),
            "baseline": results.base.label,
            "things": [_arm_summary(arm, results.measure) for arm in results.arms],
            "differences": [_comparison_summary(comparison) for comparison in results.comparisons],
            "settings": {
                "same": results.settings.same,
                "differ": {name: list(values) for name, values in results.settings.differ.items()},
            },
        },
        figures=lambda: {**figures_of(results, curves), **decision_figures(results)},
        document=lambda pictures: _document(
            results, tables, _answer_of(gate), [*results.notes(), *curves.notes, *note_on_panels(results)], pictures
        ),
    )


def _answer_of(gate: Gate | None) -> tuple[str, ...]:
    return () if gate is None else (gate.sentence,)


def _headline_of_summary(measure: Measure) -> dict[str, Any]:
    """What summary.json holds of a metric that is not the accuracy."""
    headline = measure.headline
    return {} if headline is None or headline == ACCURACY else {"headline": to_json(headline)}


def tables_of(results: CompareResults) -> tuple[Table, ...]:
    """Results, differences, settings, cost."""
    return _results_table(results), _differences_table(results), _settings_table(results), _cost_table(results)


def _results_table(results: CompareResults) -> Table:
    """A row for each arm and each of its values: means and standard deviations over its runs, and the interval of
    what is compared."""
    measure, trained = results.measure, _training_values(results)
    rows = []
    for arm in results.arms:
        for view in measure.views:
            epochs = [epoch for result in arm.runs if (epoch := result.epoch(view.value)) is not None]
            before = [_mean(_beside(arm, view, name), of_train) for name, (_, of_train) in trained.items()]
            mean, interval = _mean(arm.interval(view.value), measure.headline), _interval(arm, view, measure)
            count = str(len(arm.values(view.value)))
            rows.append((arm.label, view.name, count, _epochs(epochs), *before, mean, interval))
    names = (name for name, _ in trained.values())
    columns = ("", "of", "runs", "epoch", *names, measure.with_unit(measure.phrase), "95 % interval")
    return Table("Results", columns, tuple(rows))


def _beside(arm: RunArm, view: View, name: str) -> MeanInterval | None:
    """A value on the rows that train beside what is compared: of the same model, or of what something else trained, in
    the same epoch. None where no run has it."""
    if view.model or first_run(arm).command not in FOREIGN:
        return arm.interval(f"{view.model}_{name}")
    values = [value for run in arm.runs if (value := run.recorded(name, beside=view.value)) is not None]
    return mean_interval(values) if values else None


def _training_values(results: CompareResults) -> dict[str, tuple[str, Headline | None]]:
    """Loss and metrics that count on the rows that train, by their name, as far as an arm has them and they are not
    what is compared: what is above their column, and of what kind they are."""
    columns: dict[str, tuple[str, Headline | None]] = {"train_loss": ("train loss", None)}
    for headline in headlines_of(results.arms).values():
        columns[f"train_{headline.name}"] = (f"train {headline.axis}", headline)
    values = [f"{view.model}_{name}" for view in results.measure.views for name in columns]
    recorded = {value.partition("_")[2] for value in values if any(arm.values(value) for arm in results.arms)}
    return {name: column for name, column in columns.items() if name in recorded and name != results.measure.name}


def _interval(arm: RunArm, view: View, measure: Measure) -> str:
    """Of the mean over runs; of a single run, of the rows that it was measured on."""
    interval, on_rows = arm.interval(view.value), bounds_on_rows(arm, view)
    if on_rows is not None and interval is not None:
        texts = [_number(bound, interval.mean, measure.headline) for bound in on_rows[0]]
        return f"{' to '.join(texts)} ({counted(on_rows[1], 'row')})"
    if interval is None or interval.bounds is None:
        return NONE
    if measure.headline is not None and measure.headline.kind == "error":
        return " to ".join(measure.headline.show(bound, interval.mean) for bound in interval.bounds)
    return " to ".join(map(_number, interval.bounds))


def _mean(interval: MeanInterval | None, headline: Headline | None = None) -> str:
    """Mean and standard deviation; a dash for no values."""
    if interval is None:
        return NONE
    return interval.cell(partial(_number, like=interval.mean, headline=headline), interval=False)


def _epochs(epochs: Sequence[float]) -> str:
    if len(set(epochs)) > 1:
        return mean_interval(epochs).cell("{:.1f}".format, interval=False)
    return f"{epochs[0]:.0f}" if epochs else NONE


def _number(value: float, like: float | None = None, headline: Headline | None = None) -> str:
    """As text with as many digits as tell anything, or as another number has."""
    if headline is not None and headline.kind == "error":
        return headline.show(value, like)
    size = abs(value if like is None else like)
    if 0 < size < 0.0005:
        return f"{value:.1e}"
    if size == int(size) and size >= 2:
        return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}"


def _differences_table(results: CompareResults) -> Table:
    """A row for each arm and value of it, against the one that all are compared with. With a column for what looking
    after every seed would have decided, where that is known of any."""
    decisions = results.decisions()
    rows, show = [], writer_of_differences(results.measure.headline)
    for comparison in results.comparisons:
        difference, on_rows = comparison.difference, comparison.on_rows
        cells: tuple[str, ...] = (*[NONE] * 5, "no claim")
        if on_rows is not None:
            cells = (
                counted(on_rows.rows, "row"),
                show(on_rows.mean),
                f"{show(on_rows.low)} to {show(on_rows.high)}",
                p_cell(on_rows.p),
                on_rows.by_rows(),
                on_rows.verdict(),
            )
        elif difference is not None:
            cells = (
                difference.sample_size(),
                show(difference.mean),
                " to ".join(map(show, difference.bounds)) if difference.bounds else NONE,
                p_cell(difference.p),
                difference.agreement() or "unpaired",
                difference.verdict(results.measure.better),
            )
        decided = comparison.decision.cell() if comparison.decision is not None else NONE
        cells = (*cells, decided) if decisions else cells
        rows.append((comparison.arm.label, comparison.view.name, *cells))
    by = "rows" if any(comparison.on_rows for comparison in results.comparisons) else "seeds"
    columns = ("", "of", "n", "difference", "95 % interval", "p", by, "verdict", *(["decided"] if decisions else []))
    title = results.measure.with_unit(results.measure.phrase)
    return Table(f"{title[:1].upper()}{title[1:]} against {results.base.label}", columns, tuple(rows))


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
    columns = ["", "stopped at epoch", "by", "updates", "rows", "training", f"times {results.base.label}'s", "machine"]
    rows = [(*_cost_cells(arm, results.base), machine) for arm, machine in zip(results.arms, machines, strict=True)]
    # Of what something else trained, much is not known.
    shown = [i for i in range(len(columns)) if not _are_foreign(results) or any(row[i] != NONE for row in rows)]
    if len(set(machines)) == 1:
        shown.remove(columns.index("machine"))
    return Table("Cost", tuple(columns[i] for i in shown), tuple(tuple(row[i] for i in shown) for row in rows))


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
        comparison = next(of_arm, None)
        difference, decision = (comparison.difference, comparison.decision) if comparison else (None, None)
        row[f"{view.name}_difference_against"] = results.base.label if difference else None
        for key in ("paired", "n", "mean", "low", "high", "p", "share_higher", "share_equal", "distinguishable"):
            attribute = "share_above" if key == "share_higher" else key
            row[f"{view.name}_difference_{key}"] = getattr(difference, attribute, None)
        row |= {f"{view.name}_difference_{key}": value for key, value in decision_values(decision).items()}
    return {**row, **{f"{name}_mean": arm.mean(name) for name in COSTS}, "machine": machine_of(arm)}


def _run_rows(results: CompareResults) -> list[dict[str, object]]:
    """The rows of runs.csv, also those of runs that do not count."""
    metrics = dict.fromkeys(["loss", *(headline.name for headline in headlines_of(results.arms).values())])
    models = ("epoch", *(f"{rows}_{name}" for rows in ("train", "test") for name in metrics))
    rows = [
        _run_row(arm, result, counts, results.measure, models)
        for arm in results.arms
        for runs, counts in ((arm.runs, True), (arm.left_out, False))
        for result in runs
    ]
    # Of what something else trained, much is not known.
    shown = [name for name in rows[0] if not _are_foreign(results) or any(row[name] is not None for row in rows)]
    return [{name: row[name] for name in shown} for row in rows]


def _are_foreign(results: CompareResults) -> bool:
    """Whether something else trained all that is compared."""
    return all(first_run(arm).command in FOREIGN for arm in results.arms)


def _run_row(
    arm: RunArm, result: RunResult, counts: bool, measure: Measure, models: Sequence[str]
) -> dict[str, object]:
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
        if measure.name not in row and view.value not in row:
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
        "sequential": decision_summary(comparison.decision),
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
    headlines = {headline.name: headline for headline in headlines_of(drawn).values()}
    metrics = list(dict.fromkeys(["loss", *headlines]))
    # Where nothing validates, what trains.
    names = [f"val_{name}" for name in metrics if f"val_{name}" in common] or [
        name for name in metrics if name in common
    ]
    if measure.name in common and measure.name not in names:
        names.append(measure.name)
    unequal = sorted(set().union(*recorded) - common)
    if unequal:
        notes.append(f"Not all runs recorded {', '.join(unequal)}; only what all of them recorded is overlaid.")
    return Curves(drawn, {name: _axis_label(name, headlines) for name in names}, notes)


def _axis_label(column: str, headlines: Mapping[str, Headline]) -> str:
    """What a column is beside an axis."""
    name, rows = base_name(column), rows_of(column)
    if name != "loss" and name not in headlines:
        return column
    return f"{_ROWS.get(rows, rows)} {headlines[name].axis if name in headlines else name}"


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
    measure = results.measure
    rows = {
        measure.with_unit(view.phrase): [row(arm, view) for arm in results.arms[:MOST_DRAWN]] for view in measure.views
    }
    rows_with_values = {phrase: of_arms for phrase, of_arms in rows.items() if any(row.values for row in of_arms)}
    if rows_with_values:
        figures["values"] = lambda: value_strips(rows_with_values, f"{measure.phrase} of each run")
    return figures


def _document(
    results: CompareResults,
    tables: Sequence[Table],
    first: Sequence[str],
    notes: Sequence[str],
    pictures: Sequence[Picture],
) -> Document:
    """The report.

    Args:
        first: sentences above all others.
    """
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
    lead: list[Part] = [Paragraph(sentence) for sentence in (*first, *results.answers(), *results.conclusions())]
    lead += [Warn(f"{warning}.") for warning in results.warnings]
    title = f"compare: {', '.join(labels[:_IN_A_TITLE])}{more}"
    # Of CSV files no settings are known.
    if not settings.rows:
        sections = [section for section in sections if settings not in section.parts]
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
