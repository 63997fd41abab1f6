"""Runs and sweeps side by side: what is compared, by what, and what follows."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stopcli.evidence.words import verdict
from stopcli.report.results import TEST_ROWS_CHOSE
from stopcli.report.tables import Table
from stopcli.studies.compare.judging import Judgement, counted_on_rows, judge, on_many
from stopcli.studies.compare.measures import DEFAULT, Measure, measure_of
from stopcli.studies.compare.sameness import Settings, environments_differ, experiments_differ, settings_of
from stopcli.studies.compare.tables import cost_table, judgements_table, results_table, settings_table
from stopcli.studies.compare.things import Thing, baseline_of, read_things

# Of more things than this the sentences are summed up.
_MANY = 8
_SHARED_ROWS = (
    "The seeds share their test rows: intervals over seeds and p say what other seeds would give on these rows, and "
    "nothing of other rows."
)


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
        told = "; ".join(f"{len(names)} {said} ({some(names)})" for said, names in labels.items())
        return f"{self.measure.views[view]} of {len(found)} against {self.base.label}: {told}."

    def notes(self) -> list[str]:
        """How to read it."""
        told = [f"{note}." for note in on_many(self.judgements)]
        if any(counted_on_rows(thing, self.measure, view) for thing in self.things for view in self.measure.views):
            told.append(
                "The interval of one run alone is that of an accuracy which was counted on so many rows (Wilson's); it "
                "says nothing of other seeds."
            )
        of_test_rows = self.measure.name.startswith("test_")
        if of_test_rows and any(judgement.found and judgement.found.p is not None for judgement in self.judgements):
            told.append(_SHARED_ROWS)
        if of_test_rows and any(map(_test_rows_chose, self.things)):
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


def some(names: Sequence[str]) -> str:
    """The first so many of some names, and how many more there are."""
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more


def _test_rows_chose(thing: Thing) -> bool:
    """Whether the rows that test also chose the epoch that was saved."""
    saved = map(operator.attrgetter("saved"), thing.outcomes)
    return any(values for values in saved) and thing.first.settings.get("validation", "test") == "test"
