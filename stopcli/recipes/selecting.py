"""What choosing epochs on the test rows would have claimed, over the runs of a sweep, whatever it compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stopcli.evidence.selection import Selection
from stopcli.recipes.recipe import SweepResults
from stopcli.report.selection import arms_summary, arms_table, arms_words, selection_of
from stopcli.report.tables import csv_of
from stopcli.sweeps.collect import JobResult


def with_selection(config: Any, found: SweepResults, results: Sequence[JobResult]) -> SweepResults:
    """A sweep's results with those of honest selection, where its finished runs set test rows apart.

    Args:
        config: the sweep's.
    """
    runs = [(result, selection) for result in results if (selection := _selection(result))]
    if not runs:
        return found
    arms: dict[str, list[Selection]] = {}
    for result, selection in runs:
        arms.setdefault(config.arm_label(result.job.arm), []).append(selection)
    return replace(
        found,
        tables=(*found.tables, arms_table(arms)),
        files={**found.files, "selection.csv": csv_of([_row(*run) for run in runs])},
        words=(*found.words, arms_words(arms)),
        summary={**found.summary, "selection": arms_summary(arms)},
    )


def _selection(result: JobResult) -> Selection | None:
    return selection_of(result.summary) if result.state == "finished" and result.summary else None


def _row(result: JobResult, selection: Selection) -> dict[str, object]:
    """A run in selection.csv, in full precision."""
    return {
        "arm": result.job.arm,
        "seed": result.job.config.seed,
        "honest_monitor": selection.honest.monitor,
        "honest_epoch": selection.honest.epoch,
        "honest_test_accuracy": selection.honest.test_accuracy,
        "claimed_monitor": selection.claimed.monitor,
        "claimed_epoch": selection.claimed.epoch,
        "claimed_test_accuracy": selection.claimed.test_accuracy,
        "optimism": selection.optimism,
    }
