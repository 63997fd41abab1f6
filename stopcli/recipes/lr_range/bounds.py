"""The bounds that a range test has found, for those who train by them."""

from __future__ import annotations

from pathlib import Path

from stopcli.errors import RequestError
from stopcli.runs.files import read_json
from stopcli.runs.folder import check_is_run


def read_bounds(run: Path) -> dict[str, float]:
    """`base_lr` and `max_lr` out of the folder of a range test.

    Raises:
        RequestError: it is no such folder, is not finished, or has found none.
    """
    check_is_run(run)
    summary = read_json(run / "summary.json")
    if summary.get("command", "lr-range") != "lr-range":
        raise RequestError(f"{run}: a run of {summary['command']}, expected one of lr-range")
    if not summary:
        raise RequestError(f"{run}: has no results yet", hint=f"stopcli resume {run} goes on.")
    bounds = summary.get("bounds")
    if not bounds:
        raise RequestError(f"{run}: found no learning rate that trains", hint="A wider --start-lr … --end-lr may.")
    return {name: float(bounds[name]) for name in ("base_lr", "max_lr")}
