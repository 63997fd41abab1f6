"""The figures of a comparison; imports matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stopcli.report.arm_figures import ValueRow, overlaid_curves, value_strips
from stopcli.report.drawing import Draw, Figures
from stopcli.report.figures import RunGroup
from stopcli.studies.compare.curves import MOST_DRAWN, Curves

if TYPE_CHECKING:
    from stopcli.studies.compare.comparison import CompareResults


def figures_of(results: CompareResults, curves: Curves) -> Figures:
    """Curves over each other, and the value that is compared with its intervals."""
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
    name = results.measure.value_name(view)
    rows = []
    for arm in results.arms[:MOST_DRAWN]:
        interval, bounds = arm.interval(name), None
        if interval is not None and interval.low is not None and interval.high is not None:
            bounds = interval.low, interval.high
        rows.append(ValueRow(arm.label, arm.values(name), bounds))
    return rows
