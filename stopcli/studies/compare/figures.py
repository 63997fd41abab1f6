"""The figures of a comparison; imports matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stopcli.report.arm_figures import ValueRow, overlaid_curves, value_strips
from stopcli.report.drawing import Draw, Figures
from stopcli.report.figures import RunGroup
from stopcli.studies.compare.curves import MOST_DRAWN, Curves
from stopcli.studies.compare.judging import moments_of, values_of

if TYPE_CHECKING:
    from stopcli.studies.compare.comparison import CompareResults


def figures_of(results: CompareResults, curves: Curves) -> Figures:
    """Curves over each other, and the value that is compared with its intervals."""
    figures: dict[str, Draw] = {}
    if curves.panels:
        places = {arm.label: place for place, arm in enumerate(results.arms)}
        groups = [
            RunGroup(arm.label, places[arm.label], [outcome.columns for outcome in arm.outcomes]) for arm in curves.arms
        ]
        panels = curves.panels
        figures["curves"] = lambda: overlaid_curves(groups, panels, "Curves of what was compared")
    rows = {words: _rows(results, view) for view, words in results.measure.views.items()}
    shown = {words: found for words, found in rows.items() if any(row.values for row in found)}
    if shown:
        title = f"{results.measure.name.replace('_', ' ')} of each run"
        figures["values"] = lambda: value_strips(shown, title)
    return figures


def _rows(results: CompareResults, view: str) -> list[ValueRow]:
    """A row for each arm, also for those without a value: the panels share their rows."""
    rows = []
    for arm in results.arms[:MOST_DRAWN]:
        moments, interval = moments_of(arm, results.measure, view), None
        if moments is not None and moments.low is not None and moments.high is not None:
            interval = moments.low, moments.high
        rows.append(ValueRow(arm.label, list(values_of(arm, results.measure, view).values()), interval))
    return rows
