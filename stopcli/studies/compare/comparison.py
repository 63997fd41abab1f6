"""Runs and sweeps side by side: what is compared, by what, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stopcli.analysis.arms import RunArm
from stopcli.report.results import TEST_ROWS_CHOSE
from stopcli.report.tables import Table
from stopcli.studies.compare.judging import Comparison, compare_to_baseline, counted_on_rows, note_on_many
from stopcli.studies.compare.measures import DEFAULT, Measure, measure_of
from stopcli.studies.compare.sameness import Settings, environments_differ, experiments_differ, settings_of
from stopcli.studies.compare.tables import comparisons_table, cost_table, results_table, settings_table
from stopcli.studies.compare.things import baseline_of, first_run, read_arms

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
