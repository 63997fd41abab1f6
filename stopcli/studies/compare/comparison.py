"""Runs and sweeps side by side: what is compared, by what, and what follows."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stopcli.report.results import TEST_ROWS_CHOSE
from stopcli.report.tables import Table
from stopcli.studies.compare.judging import Comparison, compare_to_baseline, counted_on_rows, on_many
from stopcli.studies.compare.measures import DEFAULT, Measure, measure_of
from stopcli.studies.compare.sameness import Settings, environments_differ, experiments_differ, settings_of
from stopcli.studies.compare.tables import comparisons_table, cost_table, results_table, settings_table
from stopcli.studies.compare.things import Arm, baseline_of, read_arms

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

    arms: Sequence[Arm]
    base: Arm
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
            return tuple(dict.fromkeys(comparison.words for comparison in self.comparisons))
        return tuple(self._summed_up(view) for view in self.measure.views)

    def _summed_up(self, view: str) -> str:
        found = [comparison for comparison in self.comparisons if comparison.view == view]
        labels: dict[str, list[str]] = {}
        for comparison in found:
            said = "no claim" if comparison.found is None else comparison.found.verdict(self.measure.better)
            labels.setdefault(said, []).append(comparison.arm.label)
        told = "; ".join(f"{len(names)} {said} ({some(names)})" for said, names in labels.items())
        return f"{self.measure.views[view]} of {len(found)} against {self.base.label}: {told}."

    def notes(self) -> list[str]:
        """How to read it."""
        told = [f"{note}." for note in on_many(self.comparisons)]
        if any(counted_on_rows(arm, self.measure, view) for arm in self.arms for view in self.measure.views):
            told.append(
                "The interval of one run alone is that of an accuracy which was counted on so many rows (Wilson's); it "
                "says nothing of other seeds."
            )
        of_test_rows = self.measure.name.startswith("test_")
        if of_test_rows and any(comparison.found and comparison.found.p is not None for comparison in self.comparisons):
            told.append(_SHARED_ROWS)
        if of_test_rows and any(map(_test_rows_chose, self.arms)):
            told.append(TEST_ROWS_CHOSE)
        return told


def compare(paths: Sequence[Path], baseline: str = "", metric: str = DEFAULT) -> CompareResults:
    """Set runs and sweeps side by side.

    Args:
        paths: their folders.
        baseline: the label or the folder of what the others are compared with; the first where it is empty.

    Raises:
        RequestError: they cannot be compared; nothing is written.
    """
    arms, told = read_arms(paths)
    measure = measure_of(metric, [outcome for arm in arms for outcome in arm.outcomes])
    base = baseline_of(arms, baseline)
    told = [*experiments_differ(arms), *told, *environments_differ(arms)]
    return CompareResults(arms, base, measure, compare_to_baseline(arms, base, measure), settings_of(arms), told)


def some(names: Sequence[str]) -> str:
    """The first so many of some names, and how many more there are."""
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more


def _test_rows_chose(arm: Arm) -> bool:
    """Whether the rows that test also chose the epoch that was saved."""
    saved = map(operator.attrgetter("saved"), arm.outcomes)
    return any(values for values in saved) and arm.first.settings.get("validation", "test") == "test"
