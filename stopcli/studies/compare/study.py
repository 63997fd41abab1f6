"""`stopcli compare`: runs and sweeps side by side, and what can be said of how they differ."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.evidence.paired import PairedDifference
from stopcli.evidence.words import verdict
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.results import TEST_ROWS_CHOSE
from stopcli.report.tables import Table, csv_of
from stopcli.studies.compare.judging import Judgement, counted_on_rows, judge, moments_of, on_many
from stopcli.studies.compare.measures import DEFAULT, Measure, measure_of
from stopcli.studies.compare.rows import runs_rows, things_rows
from stopcli.studies.compare.sameness import (
    Settings,
    environments_differ,
    experiments_differ,
    seeds_of,
    settings_of,
)
from stopcli.studies.compare.tables import cost_table, judgements_table, results_table, settings_csv, settings_table
from stopcli.studies.compare.things import Thing, baseline_of, read_things
from stopcli.studies.leaving import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of more things than this the sentences are summed up, and the list of labels in a title is cut.
_MANY = 8
_IN_A_TITLE = 4


@dataclass(frozen=True)
class Comparison:
    """Things side by side.

    Attributes:
        base: what the others are compared with.
        warnings: what the user should know, a sentence without a full stop each.
    """

    things: Sequence[Thing]
    base: Thing
    measure: Measure
    judgements: Sequence[Judgement]
    settings: Settings
    warnings: Sequence[str]

    def tables(self) -> tuple[Table, ...]:
        """Results, differences, settings, cost."""
        return (
            results_table(self.things, self.measure),
            judgements_table(self.judgements, self.measure, self.base),
            settings_table(self.things, self.settings),
            cost_table(self.things, self.base),
        )

    def conclusions(self) -> tuple[str, ...]:
        """What follows, a sentence for each difference, or for many things, for each value."""
        if len(self.things) - 1 <= _MANY:
            return tuple(dict.fromkeys(judgement.words for judgement in self.judgements))
        return tuple(self._summed_up(view) for view in self.measure.views)

    def _summed_up(self, view: str) -> str:
        found = [judgement for judgement in self.judgements if judgement.view == view]
        labels: dict[str, list[str]] = {}
        for judgement in found:
            said = "no claim" if judgement.found is None else verdict(judgement.found, self.measure.better)
            labels.setdefault(said.split(" at ")[0], []).append(judgement.thing.label)
        told = "; ".join(f"{len(names)} {said} ({_some(names)})" for said, names in labels.items())
        return f"{self.measure.views[view]} of {len(found)} against {self.base.label}: {told}."

    def notes(self) -> list[str]:
        """How to read it."""
        told = [f"{note}." for note in on_many(self.judgements)]
        if any(counted_on_rows(thing, self.measure, view) for thing in self.things for view in self.measure.views):
            told.append(
                "The interval of one run alone is that of an accuracy which was counted on so many rows (Wilson's); it "
                "says nothing of other seeds."
            )
        if self.measure.name.startswith("test_") and any(map(_test_rows_chose, self.things)):
            told.append(TEST_ROWS_CHOSE)
        return told


def compare(paths: Sequence[Path], baseline: str = "", metric: str = DEFAULT) -> Comparison:
    """Set runs and sweeps side by side.

    Args:
        paths: their folders.
        baseline: the label or the folder of what the others are compared with; the first where it is empty.

    Raises:
        RequestError: they cannot be compared; nothing is written.
    """
    things, told = read_things(paths)
    measure = measure_of(metric, [outcome for thing in things for outcome in thing.outcomes])
    base = baseline_of(things, baseline)
    told = [*experiments_differ(things), *told, *environments_differ(things)]
    return Comparison(things, base, measure, judge(things, base, measure), settings_of(things), told)


def study_of(comparison: Comparison) -> Study:
    """What a comparison leaves in its folder."""
    from stopcli.studies.compare.curves import curves_of

    curves = curves_of(comparison.things, comparison.measure)
    results = comparison.tables()[0]

    def figures() -> Mapping[str, Figure]:
        from stopcli.studies.compare.figures import figures_of

        return figures_of(comparison, curves)

    return Study(
        command="compare",
        table=results,
        files={
            "table.csv": csv_of(things_rows(comparison.things, comparison.measure, comparison.judgements)),
            "differences.csv": settings_csv(comparison.things, comparison.settings),
            "runs.csv": csv_of(runs_rows(comparison.things, comparison.measure)),
        },
        conclusions=comparison.conclusions(),
        summary=_summary(comparison),
        figures=figures,
        document=lambda pictures: _document(comparison, [*comparison.notes(), *curves.notes], pictures),
    )


def title_of(comparison: Comparison) -> str:
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
        "warnings": list(comparison.warnings),
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


def _document(comparison: Comparison, notes: Sequence[str], pictures: Sequence[Picture]) -> Document:
    results, judgements, settings, cost = comparison.tables()
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
    lead: list[Part] = [Paragraph(words) for words in comparison.conclusions()]
    lead += [Warn(f"{warning}.") for warning in comparison.warnings]
    return Document(title_of(comparison), tuple(lead), tuple(section for section in sections if section.parts))


def _with_alt_text(picture: Picture) -> Picture:
    if picture.name != "curves":
        return picture
    alt = (
        "Curves of all runs over each other against the epoch, a colour for each that is compared, the median of its "
        "seeds bold, and a dot where each run stopped."
    )
    return replace(picture, alt=alt)


def _sources(thing: Thing) -> str:
    folders = dict.fromkeys(str(outcome.run.sweep or outcome.run.path) for outcome in thing.outcomes)
    return f"{thing.label}: seeds {seeds_of(thing)}, of {_some([f'`{folder}`' for folder in folders])}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more


def _test_rows_chose(thing: Thing) -> bool:
    """Whether the rows that test also chose the epoch that was saved."""
    saved = map(operator.attrgetter("saved"), thing.outcomes)
    return any(values for values in saved) and thing.first.settings.get("validation", "test") == "test"
