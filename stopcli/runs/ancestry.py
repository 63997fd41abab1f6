"""The runs that a run comes from: the one whose weights it started from, that one's, and so on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stopcli.errors import RequestError
from stopcli.quantities import counted
from stopcli.runs.environment import Environment, read_environment
from stopcli.runs.run import Run

# Of a chain that grows by a run a night, so many are named.
_MOST_SHOWN = 5


def run_of(source: Path) -> Path | None:
    """The folder of the run that a model comes from: `source` itself, or the one around its `checkpoints/`; None where
    there is none."""
    folder = source.parent.parent if source.is_file() and source.parent.name == "checkpoints" else source
    return folder if (folder / "status.json").is_file() else None


def ancestors_of(source: Path) -> list[dict[str, Any]]:
    """The run that a model comes from, and its ancestors as it has them on record, the oldest last.

    Returns:
        Of each its folder (`run`, absolute), when it began or was last resumed (`time`, in UTC) and how many rows
        trained in it (`rows`, None where that is not known). Empty for a model that is in no run's folder.
    """
    folder = run_of(source)
    if folder is None:
        return []
    run = Run.read(folder)
    first = {"run": str(folder.resolve()), "time": run.status.started, "rows": _rows_that_trained(run)}
    return [first, *recorded_ancestors(read_environment(folder)[0])]


def _rows_that_trained(run: Run) -> int | None:
    # The list of runs and the completion of their names need no NumPy, which it imports.
    from stopcli.runs.table_record import read_table_record

    try:
        record = read_table_record(run.path)
    except RequestError:
        record = None
    if record is not None and "train" in record.counts:
        return record.counts["train"]
    return run.results.rows.train if run.results and run.results.rows else None


def recorded_ancestors(environment: Environment) -> list[dict[str, Any]]:
    """The ancestors in an environment.json, the nearest first; empty where it has none, as of older versions."""
    start = environment.get("init_from")
    ancestors = start.get("ancestors") if isinstance(start, dict) else None
    return [one for one in ancestors if isinstance(one, dict)] if isinstance(ancestors, list) else []


def ancestry_text(environment: Environment) -> str:
    """What a run started from, as `a (2026-11-28, 640 rows) ← b (…)`; empty where it started from drawn weights."""
    start = environment.get("init_from")
    if not isinstance(start, dict):
        return ""
    ancestors = recorded_ancestors(environment)
    if not ancestors:
        return str(start.get("path", ""))
    names = [_text(one) for one in ancestors]
    if len(names) > _MOST_SHOWN:
        between = counted(len(names) - _MOST_SHOWN, "run")
        names = [*names[: _MOST_SHOWN - 1], f"{between} more", names[-1]]
    return " ← ".join(names)


def _text(ancestor: Mapping[str, Any]) -> str:
    day, rows = str(ancestor.get("time", ""))[:10], ancestor.get("rows")
    known = [*([day] if day else []), *([f"{counted(rows, 'row')} trained"] if isinstance(rows, int) else [])]
    name = Path(str(ancestor.get("run", "?"))).name
    return f"{name} ({', '.join(known)})" if known else name
