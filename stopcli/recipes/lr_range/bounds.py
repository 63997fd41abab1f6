"""The bounds that a range test has found, for those who train by them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from stopcli.errors import RequestError
from stopcli.runs.files import read_toml
from stopcli.runs.folder import check_is_run
from stopcli.runs.run import Run
from stopcli.runs.summary import RangeSummary


def read_bounds(run: Path) -> dict[str, float]:
    """`base_lr` and `max_lr` out of the folder of a range test.

    Raises:
        RequestError: it is no such folder, is not finished, or has found none.
    """
    check_is_run(run)
    command = read_toml(run / "config.toml").get("command")
    if command != "lr-range":
        raise RequestError(f"{run}: a run of {command}, expected one of lr-range")
    summary = Run.read(run).summary
    if not isinstance(summary, RangeSummary) or summary.state != "finished":
        raise RequestError(f"{run}: the range test is not finished", hint=f"stopcli resume {run} continues it.")
    if summary.bounds is None:
        raise RequestError(f"{run}: found no learning rate that trains", hint="A wider --start-lr … --end-lr may.")
    return asdict(summary.bounds)


# What the rates that train depend on.
_DEPENDS_ON = ("model", "width", "depth", "hidden", "dataset", "batch_size", "optimizer", "momentum", "nesterov")


def mismatch(run: Path, config: Any) -> str:
    """What is to be said where a range test was made of something else than its bounds are taken for; empty for
    nothing.

    Args:
        config: the settings that take the bounds.
    """
    tested = read_toml(run / "config.toml")
    others = config.sizes_of_others()
    changed = [
        f"{name} {tested[name]}"
        for name in _DEPENDS_ON
        # A data set that is still to be found has no name yet.
        if name not in others and name in tested and getattr(config, name) not in (tested[name], "auto")
    ]
    return f"the bounds of {run} were found with other settings: {', '.join(changed)}" if changed else ""
