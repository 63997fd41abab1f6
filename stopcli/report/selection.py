"""Honest selection in tables and sentences: what the chosen epoch is worth, what the test rows would have claimed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from stopcli.counts import counted
from stopcli.evidence.differences import Difference, difference_cell, paired_difference, signed
from stopcli.evidence.selection import Selection
from stopcli.report.tables import Table

TITLE = "Honest selection"
_WHAT_IT_IS = "(The luck of the rows that choose, and that fewer rows choose a worse epoch, together.)"


def selection_of(summary: Mapping[str, Any]) -> Selection | None:
    """A run's, from its summary.json; None where its test rows validate, or an older version wrote it."""
    found = summary.get("selection")
    return Selection.from_dict(found) if found else None


def selection_table(found: Selection) -> Table:
    """Of one run."""
    rows = [
        (f"by {each.monitor}", str(each.epoch), f"{each.test_accuracy:.3f}") for each in (found.honest, found.claimed)
    ]
    difference = ("the test rows would claim", "", f"{found.optimism:+.3f}")
    return Table(TITLE, ("epoch chosen", "epoch", "accuracy on the test rows"), (*rows, difference), sums=1)


def selection_words(found: Selection, test_rows: int) -> str:
    """Of one run, in a sentence or two.

    Args:
        test_rows: that the accuracies were measured on.
    """
    honest, claimed = found.honest, found.claimed
    more = "more" if found.optimism > 0 else "less"
    by = "as much"
    if found.optimism:
        rows = f"{round(abs(found.optimism) * test_rows):,} of {counted(test_rows, 'row')}"
        by = f"{abs(found.optimism):.3f} {more}. That is {rows}; how much of it is their luck, one run cannot tell"
    return (
        f"Chosen by {honest.monitor}, epoch {honest.epoch} has a test accuracy of {honest.test_accuracy:.3f}, on rows "
        f"that chose nothing; chosen by {claimed.monitor}, epoch {claimed.epoch} would have claimed "
        f"{claimed.test_accuracy:.3f}: {by}."
    )


def optimism_over(runs: Sequence[Selection]) -> Difference:
    """What choosing on the test rows would have claimed over what is honest, seed by seed.

    Args:
        runs: one or more.
    """
    return paired_difference([run.claimed.test_accuracy for run in runs], [run.honest.test_accuracy for run in runs])


def arms_table(arms: Mapping[str, Sequence[Selection]]) -> Table:
    """Of the finished runs of each arm of a sweep; one or more each."""
    columns = ("arm", "runs", "chosen by", "test accuracy", "chosen by test rows", "difference", "claims more", "less")
    return Table(TITLE, columns, tuple(_row(name, runs) for name, runs in arms.items()))


def _row(name: str, runs: Sequence[Selection]) -> tuple[str, ...]:
    pair = optimism_over(runs)
    honest, claimed = (_mean([getattr(run, which).test_accuracy for run in runs]) for which in ("honest", "claimed"))
    shares = (f"{pair.share_above:.0%} of runs", f"{pair.share_below:.0%}")
    return (name, str(pair.n), runs[0].honest.monitor, honest, claimed, difference_cell(pair), *shares)


def _mean(values: Sequence[float]) -> str:
    sd = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{sd}"


def arms_words(arms: Mapping[str, Sequence[Selection]]) -> str:
    """Of a sweep, in a sentence; all its arms have one runs or more."""
    pairs = [optimism_over(runs) for runs in arms.values()]
    if len(pairs) > 1:
        low, high = (signed(pick(pair.mean for pair in pairs)) for pick in (min, max))
        span = low if low == high else f"{low} to {high}, depending on the arm"
        told = (
            f"Choosing the epochs on the test rows would have moved the claimed test accuracy by {span}: see {TITLE}."
        )
    else:
        chosen = ("Epochs chosen on the test rows", "epochs chosen without them")
        told = pairs[0].sentence(*chosen, "claimed test accuracy")
    return f"{told} {_WHAT_IT_IS}"


def arms_summary(arms: Mapping[str, Sequence[Selection]]) -> list[dict[str, Any]]:
    """What a sweep's summary.json holds, in full precision."""
    told = []
    for name, runs in arms.items():
        pair = optimism_over(runs)
        means = {
            f"{which}_mean": statistics.fmean(getattr(run, which).test_accuracy for run in runs)
            for which in ("honest", "claimed")
        }
        interval = {"optimism_low": pair.low, "optimism_high": pair.high, "optimism_p": pair.p}
        shares = {"share_above": pair.share_above, "share_below": pair.share_below}
        told.append({"arm": name, "n": pair.n, **means, "optimism_mean": pair.mean, **interval, **shares})
    return told
