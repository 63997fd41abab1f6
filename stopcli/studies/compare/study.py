"""What `stopcli compare` leaves: tables, figures, a report, a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from stopcli.analysis.arms import RunArm
from stopcli.counts import numbered
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.drawing import Figures
from stopcli.report.tables import Table, csv_of
from stopcli.studies.compare.comparison import CompareResults, some
from stopcli.studies.compare.curves import curves_of
from stopcli.studies.compare.judging import Comparison, counted_on_rows
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.rows import arms_rows, runs_rows
from stopcli.studies.compare.tables import settings_csv
from stopcli.studies.compare.things import first_run, is_finished
from stopcli.studies.leaving import AnalysisOutput

_IN_A_TITLE = 4


def output_of(results: CompareResults) -> AnalysisOutput:
    """What a comparison leaves in its folder."""
    curves = curves_of(results.arms, results.measure)
    tables, conclusions = results.tables(), results.conclusions()
    notes = [*results.notes(), *curves.notes]

    def figures() -> Figures:
        from stopcli.studies.compare.figures import figures_of

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
