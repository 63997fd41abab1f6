"""The report of a run or a sweep that has not summed itself up: it runs, was killed, or failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stopcli.config import read_toml
from stopcli.counts import counted
from stopcli.errors import RequestError, StopcliError
from stopcli.recipes.arms import not_finished
from stopcli.recipes.resuming import read_config
from stopcli.report.document import Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.drawing import Figures
from stopcli.report.results import Provenance, how_it_was_made
from stopcli.report.tables import Table
from stopcli.runs.files import read_json
from stopcli.runs.listing import RunLine, read_runs
from stopcli.runs.metrics import Columns, read_metrics
from stopcli.sweeps.collect import NOT_BEGUN, collect
from stopcli.sweeps.plan import plan_jobs

_STATES = {
    "running": "It is running",
    "died": "Its process is gone and could not say why (killed, or its machine went down)",
    "failed": "It failed",
    "paused": "It is paused",
    "interrupted": "It was interrupted",
    "finished": "It finished, but its summary is missing",
    "damaged": "Its record is not whole",
}
_DRAWN = ("loss", "accuracy", "val_loss", "val_accuracy")


def unfinished_report(
    folder: Path, line: RunLine, provenance: Provenance, pictures: Sequence[Picture], problems: Sequence[str]
) -> Document:
    """What there is to say.

    Args:
        line: the run's state.
        pictures: those that were drawn.
        problems: what cannot be read or drawn, a sentence each.
    """
    command = str(read_toml(folder / "config.toml").get("command", "run"))
    state = _STATES.get(line.state, f"Its state is {line.state}")
    reason = f": {line.reason}" if line.reason else ""
    lead: list[Part] = [Warn(f"{state}{reason}. It has no results yet; this is what is on record.")]
    lead += map(Warn, problems)
    sections = [Section("So far", tuple(_so_far(folder)))]
    if pictures:
        sections.append(Section("Figures", tuple(pictures)))
    sections.append(Section("How it was made", how_it_was_made(provenance.environment, provenance.config, line.state)))
    return Document(f"{command}: {folder.resolve().name}", tuple(lead), tuple(sections))


def curves_so_far(folder: Path, columns: Columns) -> Figures:
    """How the learning curves of a run's recorded epochs are drawn, by name; none where they were not recorded."""
    if not set(_DRAWN) <= columns.keys():
        return {}
    from stopcli.report.figures import Marks, learning_curves

    watched = "test" if read_toml(folder / "config.toml").get("validation", "test") == "test" else "validation"
    epochs = len(columns["epoch"])
    title = f"{folder.resolve().name}: {counted(epochs, 'epoch')} so far"
    return {"curves": lambda: learning_curves(columns, watched, Marks(0, ""), title)}


def recorded_epochs(folder: Path) -> tuple[Columns | None, str]:
    """A run's recorded epochs; None where there are none, with what is wrong in words."""
    if not (folder / "metrics.csv").exists():
        return None, ""
    try:
        columns = read_metrics(folder / "metrics.csv")
    except RequestError as error:
        return None, f"{error.message}."
    return (columns if len(columns["epoch"]) else None), ""


def _so_far(folder: Path) -> list[Part]:
    if (folder / "jobs").is_dir():
        return [*_jobs(folder / "jobs"), *_not_begun(folder)]
    seeds = read_json(folder / "seeds.json").get("seeds") or {}
    if seeds:
        rows = tuple((seed, str(told.get("updates", "–")), told.get("ended", "–")) for seed, told in seeds.items())
        return [Table("Seeds that are done", ("seed", "updates", "ended by"), rows)]
    columns, _ = recorded_epochs(folder)
    if columns is None:
        return [Paragraph("No epoch is on record.")]
    names = [name for name in columns if name not in ("epoch", "step")]
    last = tuple(f"{columns[name][-1]:.4g}" for name in names)
    return [Table("Last epoch on record", ("epoch", *names), ((f"{columns['epoch'][-1]:.0f}", *last),))]


def _jobs(jobs: Path) -> list[Part]:
    lines = sorted(read_runs(jobs), key=lambda line: line.path.name)
    if not lines:
        return [Paragraph("None of its runs was begun.")]
    rows = tuple((line.path.name, line.state, line.epochs, line.reason or "–") for line in lines)
    return [Table("Runs that were begun", ("run", "state", "epochs", "reason"), rows)]


def _not_begun(sweep: Path) -> list[Part]:
    """Which of a sweep's runs were not, in a sentence."""
    try:
        config: Any = read_config(sweep)
    except StopcliError as error:
        # Of another version, say: the runs that there are can be shown all the same.
        return [Warn(f"What else was planned cannot be told: {error.message}.")]
    planned = collect(plan_jobs(config), sweep / "jobs", {})
    missing = not_finished(config, [result for result in planned if result.state == NOT_BEGUN])
    return [Paragraph(missing)] if missing else []
