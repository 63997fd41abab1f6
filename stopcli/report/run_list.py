"""The table of runs that a terminal and a notebook show."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.errors import printable
from stopcli.quantities import counted, format_age, format_bytes
from stopcli.report.document import Table
from stopcli.runs.listing import BestValue
from stopcli.runs.run import Run


def list_table(runs: Sequence[tuple[Run, BestValue | None]], metric: str) -> Table:
    """A row for each run, and their size in all. Where all have the same monitor, it is named above its column.

    Args:
        runs: each with the value that it is sorted by, where that is a metric's.
        metric: that sorts them; empty for none, where the best values are those that were monitored.
    """
    monitors = {metric} if metric else {run.results.monitor for run, _ in runs if run.results}
    single = monitors.pop() if len(monitors) == 1 else ""
    rows = []
    for run, value in runs:
        best, monitor = value, ""
        if not metric and run.results and run.results.stop.best_value is not None:
            best = BestValue(run.results.stop.best_epoch, run.results.stop.best_value)
            monitor = "" if single else f"{run.results.monitor} "
        cell = "–" if best is None else f"{monitor}{_number(best.value)} at {best.epoch}"
        age = "–" if run.age_seconds is None else format_age(run.age_seconds)
        rows.append((printable(run.path.name), run.state, run.progress, cell, format_bytes(run.bytes_on_disk), age))
    size = format_bytes(sum(run.bytes_on_disk for run, _ in runs))
    total = (f"total of {counted(len(runs), 'run')}", "", "", "", size, "")
    return Table("Runs", ("run", "state", "epochs", f"best {single}".rstrip(), "size", "age"), (*rows, total), sums=1)


def _number(value: float) -> str:
    """Four decimals, or as many digits of what is very large or small."""
    return f"{value:.4f}" if 0.001 <= abs(value) < 10_000 or not value else f"{value:.5g}"
