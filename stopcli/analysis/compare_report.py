"""What `stopcli compare` leaves: tables, figures, a report, a summary.

Which curves of which arms a comparison draws over each other.

The figures of a comparison; imports matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from stopcli.analysis.arms import Measure, RunArm, first_run, is_finished
from stopcli.analysis.compare import (
    CompareResults,
    Comparison,
    arms_rows,
    counted_on_rows,
    runs_rows,
    settings_csv,
    some,
)
from stopcli.analysis.output import AnalysisOutput
from stopcli.quantities import numbered
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Table, Warn, csv_of
from stopcli.report.drawing import Draw, Figures

if TYPE_CHECKING:
    from stopcli.report.arm_curves import ValueRow


if TYPE_CHECKING:
    from stopcli.analysis.compare import CompareResults


# More curves cannot be told apart.
MOST_DRAWN = 14
# What is drawn where all have it, in this order; the second pair where the first is not there.
_PREFERRED = (("val_loss", "val_accuracy"), ("loss", "accuracy"))
_WORDS = {
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "loss": "training loss",
    "accuracy": "training accuracy",
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
    names: list[str] = []
    for preferred in _PREFERRED:
        names = names or [name for name in preferred if name in common]
    if measure.name in common and measure.name not in names:
        names.append(measure.name)
    unequal = sorted(set().union(*recorded) - common)
    if unequal:
        notes.append(f"Not all have recorded {', '.join(unequal)}; what all have is overlaid.")
    return Curves(drawn, {name: _WORDS.get(name, name) for name in names}, notes)


_IN_A_TITLE = 4


def output_of(results: CompareResults) -> AnalysisOutput:
    """What a comparison leaves in its folder."""
    curves = curves_of(results.arms, results.measure)
    tables, conclusions = results.tables(), results.conclusions()
    notes = [*results.notes(), *curves.notes]

    def figures() -> Figures:

        return figures_of(results, curves)

    return AnalysisOutput(
        command="compare",
        table=tables[0],
        tables=tables,
        warnings=results.warnings,
        files={
            "table.csv": csv_of(arms_rows(results.arms, results.measure, results.comparisons)),
            "differences.csv": settings_csv(results.arms, results.settings),
            "runs.csv": csv_of(runs_rows(results.arms, results.measure)),
        },
        conclusions=conclusions,
        summary=_summary(results),
        figures=figures,
        document=lambda pictures: _document(results, tables, conclusions, notes, pictures),
    )


def _title(results: CompareResults) -> str:
    labels = [arm.label for arm in results.arms]
    more = f" and {len(labels) - _IN_A_TITLE} more" if len(labels) > _IN_A_TITLE else ""
    return f"compare: {', '.join(labels[:_IN_A_TITLE])}{more}"


def _summary(results: CompareResults) -> dict[str, Any]:
    settings = results.settings
    return {
        "metric": results.measure.name,
        "baseline": results.base.label,
        "things": [_arm_summary(arm, results.measure) for arm in results.arms],
        "differences": [_comparison_summary(comparison) for comparison in results.comparisons],
        "settings": {"same": settings.same, "differ": {name: list(values) for name, values in settings.differ.items()}},
    }


def _arm_summary(arm: RunArm, measure: Measure) -> dict[str, Any]:
    intervals = {view: arm.interval(measure.value_name(view)) for view in measure.views}
    proportions = {view: counted_on_rows(arm, measure, view) for view in measure.views}
    return {
        "label": arm.label,
        "command": first_run(arm).command,
        "runs": [str(result.run.path) for result in arm.runs],
        "left_out": [str(result.run.path) for result in arm.left_out],
        "seeds": [result.seed for result in arm.runs],
        "finished": is_finished(arm),
        **{view: asdict(interval) if interval else None for view, interval in intervals.items()},
        "counted_on_rows": {view: asdict(share) if share else None for view, share in proportions.items()},
    }


def _comparison_summary(comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    return {
        "label": comparison.arm.label,
        "against": comparison.base.label,
        "view": comparison.view,
        **(difference.to_dict() if difference else {}),
        "words": comparison.sentence,
    }


def _document(
    results: CompareResults,
    tables: Sequence[Table],
    conclusions: Sequence[str],
    notes: Sequence[str],
    pictures: Sequence[Picture],
) -> Document:
    by_arm, comparisons, settings, cost = tables
    same = f"{results.settings.same} settings are the same."
    against: list[Part] = [comparisons, *([Bullets(tuple(notes))] if notes else [])]
    sections = [
        Section(
            "Results", (by_arm, Paragraph("Means ± standard deviations over the runs, and the interval of the mean."))
        ),
        Section(comparisons.title, tuple(against)),
        Section("Figures", tuple(map(_with_alt_text, pictures))),
        Section(settings.title, (settings, Paragraph(same))),
        Section(cost.title, (cost,)),
        Section("What was compared", (Bullets(tuple(map(_sources, results.arms))),)),
    ]
    lead: list[Part] = [Paragraph(sentence) for sentence in conclusions]
    lead += [Warn(f"{warning}.") for warning in results.warnings]
    return Document(_title(results), tuple(lead), tuple(section for section in sections if section.parts))


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


def figures_of(results: CompareResults, curves: Curves) -> Figures:
    """Curves over each other, and the value that is compared with its intervals."""
    from stopcli.report.arm_curves import overlaid_curves, value_strips
    from stopcli.report.curves import RunGroup

    figures: dict[str, Draw] = {}
    if curves.panels:
        groups = [RunGroup(arm.label, arm.index, [result.columns for result in arm.runs]) for arm in curves.arms]
        figures["curves"] = lambda: overlaid_curves(groups, curves.panels, "Curves of what was compared")
    rows = {words: _rows(results, view) for view, words in results.measure.views.items()}
    shown = {words: view_rows for words, view_rows in rows.items() if any(row.values for row in view_rows)}
    if shown:
        title = f"{results.measure.name.replace('_', ' ')} of each run"
        figures["values"] = lambda: value_strips(shown, title)
    return figures


def _rows(results: CompareResults, view: str) -> list[ValueRow]:
    """A row for each arm, also for those without a value: the panels share their rows."""
    from stopcli.report.arm_curves import ValueRow

    name = results.measure.value_name(view)
    rows = []
    for arm in results.arms[:MOST_DRAWN]:
        interval, bounds = arm.interval(name), None
        if interval is not None and interval.low is not None and interval.high is not None:
            bounds = interval.low, interval.high
        rows.append(ValueRow(arm.label, arm.values(name), bounds))
    return rows
