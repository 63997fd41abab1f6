"""What `stopcli compare` leaves of what looking after every seed would have decided: values, a file, a figure."""

from __future__ import annotations

from typing import Any

from stopcli.analysis.compare import CompareResults
from stopcli.analysis.decisions import Decision, figure_of_decisions, more_seeds_summary
from stopcli.analysis.measure import View
from stopcli.report.document import csv_of
from stopcli.report.drawing import Figures
from stopcli.stats.sequential import fewest_seeds

# More panels below each other are no figure.
_MOST_PANELS = 14


def decision_values(decision: Decision | None) -> dict[str, object]:
    """What table.csv holds of looking after every seed: the seeds after which it is decided, for what, and the
    anytime-valid interval after the last seed."""
    test = decision.test if decision is not None else None
    interval = test.looks[-1].interval if test is not None else None
    return {
        "decided": test.decided if test is not None else None,
        "decided_verdict": decision.verdict if decision is not None else None,
        "anytime_low": interval.low if interval is not None else None,
        "anytime_high": interval.high if interval is not None else None,
    }


def decision_summary(decision: Decision | None) -> dict[str, Any] | None:
    """The same for summary.json, with what the last look showed; all looks are in decisions.csv."""
    if decision is None or decision.test is None:
        return None
    return {
        "verdict": decision.verdict,
        "seeds": list(decision.seeds),
        "outcome": decision.test.outcome,
        "decided": decision.test.decided,
        "claimed": decision.test.claimed,
        "last": decision.test.looks[-1].to_dict(),
        "more_seeds": more_seeds_summary(decision.needed),
    }


def files_of_decisions(results: CompareResults) -> dict[str, str]:
    """decisions.csv by its name: what there was to see after each seed; no file where no seeds are paired."""
    rows = [
        {"label": decision.arm.label, "against": decision.reference.label, "view": view.name, **row}
        for view, decision in results.decisions()
        for row in decision.look_rows()
    ]
    return {"decisions.csv": csv_of(rows)} if rows else {}


def decision_figures(results: CompareResults) -> Figures:
    """How the intervals narrowed with the seeds, of the first comparisons whose seeds are enough for one to decide."""
    drawn, several = _decided_by_seeds(results)[:_MOST_PANELS], len(results.measure.views) > 1
    panels = {f"{decision.title}, {view.name}" if several else decision.title: decision for view, decision in drawn}
    return figure_of_decisions(panels, results.measure.with_unit(results.measure.phrase))


def _decided_by_seeds(results: CompareResults) -> list[tuple[View, Decision]]:
    """The comparisons with as many seeds as it takes to decide any."""
    fewest = fewest_seeds(len(results.arms) - 1)
    return [(view, decision) for view, decision in results.decisions() if len(decision.seeds) >= fewest]


def note_on_panels(results: CompareResults) -> list[str]:
    """That not every comparison has a panel; none where each has."""
    total = len(_decided_by_seeds(results))
    return [f"The figure of decisions shows the first {_MOST_PANELS} of {total} comparisons."] * (total > _MOST_PANELS)
