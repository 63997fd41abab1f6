"""What `stopcli compare` leaves: tables, figures, a report, a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from stopcli.counts import numbered
from stopcli.evidence.paired import PairedDifference
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.drawing import Figures
from stopcli.report.tables import Table, csv_of
from stopcli.studies.compare.comparison import Comparison, some
from stopcli.studies.compare.curves import curves_of
from stopcli.studies.compare.judging import Judgement, counted_on_rows, moments_of
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.rows import runs_rows, things_rows
from stopcli.studies.compare.tables import settings_csv
from stopcli.studies.compare.things import Thing
from stopcli.studies.leaving import Study

_IN_A_TITLE = 4


def study_of(comparison: Comparison) -> Study:
    """What a comparison leaves in its folder."""
    curves = curves_of(comparison.things, comparison.measure)
    tables, told = comparison.tables(), comparison.conclusions()
    notes = [*comparison.notes(), *curves.notes]

    def figures() -> Figures:
        from stopcli.studies.compare.figures import figures_of

        return figures_of(comparison, curves)

    return Study(
        command="compare",
        table=tables[0],
        tables=tables,
        warnings=comparison.warnings,
        files={
            "table.csv": csv_of(things_rows(comparison.things, comparison.measure, comparison.judgements)),
            "differences.csv": settings_csv(comparison.things, comparison.settings),
            "runs.csv": csv_of(runs_rows(comparison.things, comparison.measure)),
        },
        conclusions=told,
        summary=_summary(comparison),
        figures=figures,
        document=lambda pictures: _document(comparison, tables, told, notes, pictures),
    )


def _title(comparison: Comparison) -> str:
    labels = [thing.label for thing in comparison.things]
    more = f" and {len(labels) - _IN_A_TITLE} more" if len(labels) > _IN_A_TITLE else ""
    return f"compare: {', '.join(labels[:_IN_A_TITLE])}{more}"


def _summary(comparison: Comparison) -> dict[str, Any]:
    settings = comparison.settings
    return {
        "metric": comparison.measure.name,
        "baseline": comparison.base.label,
        "things": [_thing_summary(thing, comparison.measure) for thing in comparison.things],
        "differences": [_judgement_summary(judgement) for judgement in comparison.judgements],
        "settings": {"same": settings.same, "differ": {name: list(values) for name, values in settings.differ.items()}},
    }


def _thing_summary(thing: Thing, measure: Measure) -> dict[str, Any]:
    moments = {view: moments_of(thing, measure, view) for view in measure.views}
    counted = {view: counted_on_rows(thing, measure, view) for view in measure.views}
    return {
        "label": thing.label,
        "command": thing.first.command,
        "runs": [str(outcome.run.path) for outcome in thing.outcomes],
        "left_out": [str(outcome.run.path) for outcome in thing.left_out],
        "seeds": [outcome.run.seed for outcome in thing.outcomes],
        "finished": thing.finished,
        **{view: asdict(found) if found else None for view, found in moments.items()},
        "counted_on_rows": {view: asdict(found) if found else None for view, found in counted.items()},
    }


def _judgement_summary(judgement: Judgement) -> dict[str, Any]:
    found = judgement.found
    told: dict[str, Any] = {"label": judgement.thing.label, "against": judgement.base.label, "view": judgement.view}
    if found is not None:
        told |= {
            "paired": isinstance(found, PairedDifference),
            **asdict(found),
            "distinguishable": found.distinguishable,
        }
    return {**told, "words": judgement.words}


def _document(
    comparison: Comparison,
    tables: Sequence[Table],
    told: Sequence[str],
    notes: Sequence[str],
    pictures: Sequence[Picture],
) -> Document:
    results, judgements, settings, cost = tables
    same = f"{comparison.settings.same} settings are the same."
    against: list[Part] = [judgements, *([Bullets(tuple(notes))] if notes else [])]
    sections = [
        Section(
            "Results", (results, Paragraph("Means ± standard deviations over the runs, and the interval of the mean."))
        ),
        Section(judgements.title, tuple(against)),
        Section("Figures", tuple(map(_with_alt_text, pictures))),
        Section(settings.title, (settings, Paragraph(same))),
        Section(cost.title, (cost,)),
        Section("What was compared", (Bullets(tuple(map(_sources, comparison.things))),)),
    ]
    lead: list[Part] = [Paragraph(words) for words in told]
    lead += [Warn(f"{warning}.") for warning in comparison.warnings]
    return Document(_title(comparison), tuple(lead), tuple(section for section in sections if section.parts))


def _with_alt_text(picture: Picture) -> Picture:
    if picture.name != "curves":
        return picture
    alt = (
        "Curves of all runs over each other against the epoch, a colour for each that is compared, the median of its "
        "seeds bold, and a dot where each run stopped."
    )
    return replace(picture, alt=alt)


def _sources(thing: Thing) -> str:
    seeds = numbered("seed", [outcome.run.seed for outcome in thing.outcomes])
    folders = dict.fromkeys(str(outcome.run.sweep or outcome.run.path) for outcome in thing.outcomes)
    return f"{thing.label}: {seeds}, of {some([f'`{folder}`' for folder in folders])}"
