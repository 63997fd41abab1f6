"""A comparison's CSV files: everything in full precision, for those who go on elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.evidence.interval import MeanInterval
from stopcli.evidence.paired import PairedDifference
from stopcli.studies.compare.judging import Judgement, moments_of
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.outcomes import Outcome
from stopcli.studies.compare.sameness import machine_of, seeds_of
from stopcli.studies.compare.tables import mean_of
from stopcli.studies.compare.things import Thing


def things_rows(things: Sequence[Thing], measure: Measure, judgements: Sequence[Judgement]) -> list[dict[str, object]]:
    """A row of table.csv for each thing, in full precision."""
    by_thing = {(judgement.thing.label, judgement.view): judgement for judgement in judgements}
    rows = []
    for thing in things:
        run = thing.first
        row: dict[str, object] = {"label": thing.label, "command": run.command, "runs": len(thing.outcomes)}
        row |= {"left_out": len(thing.left_out), "seeds": seeds_of(thing)}
        for view in measure.views:
            row |= _view_values(f"{view}_{measure.name}", moments_of(thing, measure, view))
            row |= _difference_values(f"{view}_difference", by_thing.get((thing.label, view)))
        for name in ("epochs", "updates", "rows", "train_seconds"):
            row[f"{name}_mean"] = mean_of(thing, name)
        rows.append({**row, "machine": machine_of(thing)})
    return rows


def _view_values(name: str, moments: MeanInterval | None) -> dict[str, object]:
    return {f"{name}_{key}": getattr(moments, key) if moments else None for key in ("n", "mean", "sd", "low", "high")}


def _difference_values(name: str, judgement: Judgement | None) -> dict[str, object]:
    found = judgement.found if judgement else None
    paired = found if isinstance(found, PairedDifference) else None
    return {
        f"{name}_against": judgement.base.label if judgement and found else None,
        f"{name}_paired": None if found is None else paired is not None,
        f"{name}_n": found.n if found else None,
        f"{name}_mean": found.mean if found else None,
        f"{name}_low": found.low if found else None,
        f"{name}_high": found.high if found else None,
        f"{name}_p": found.p if found else None,
        f"{name}_share_higher": paired.share_above if paired else None,
        f"{name}_share_equal": paired.share_equal if paired else None,
        f"{name}_distinguishable": found.distinguishable if found else None,
    }


def runs_rows(things: Sequence[Thing], measure: Measure) -> list[dict[str, object]]:
    """A row of runs.csv for each run, in full precision, also those that do not count."""
    return [
        _run_row(thing, outcome, counts, measure)
        for thing in things
        for outcomes, counts in ((thing.outcomes, True), (thing.left_out, False))
        for outcome in outcomes
    ]


def _run_row(thing: Thing, outcome: Outcome, counts: bool, measure: Measure) -> dict[str, object]:
    models = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    row: dict[str, object] = {
        "label": thing.label,
        "run": str(outcome.run.path),
        "seed": outcome.run.seed,
        "state": outcome.run.state,
        "stop_reason": outcome.reason,
        "counts": counts,
        "measured": outcome.measured,
        **{f"final_{name}": outcome.final.get(name) for name in models},
        **{f"saved_{name}": outcome.saved.get(name) for name in models},
        **{name: outcome.cost.get(name) for name in ("epochs", "updates", "rows", "train_seconds")},
    }
    # A column of metrics.csv, where that is what is compared.
    return row | {
        f"{view}_{measure.name}": measure.of(outcome, view)
        for view in measure.views
        if measure.name not in row and f"{view}_{measure.name}" not in row
    }
