"""The report of a CSV file: the best and the last value of each metric, and the curves of the one that counts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from stopcli.analysis.run_result import NO_METRICS, best_row
from stopcli.quantities import counted
from stopcli.report.document import Bullets, Document, Paragraph, Part, Section, Table, Warn, code
from stopcli.report.drawing import Drawn, Figures, draw, figures_section
from stopcli.report.next_steps import next_section, replay_step
from stopcli.runs.headline import ROWS_IN_WORDS, base_name, headline_of
from stopcli.runs.recording import Recording
from stopcli.stats.differences import NONE


class _Best(NamedTuple):
    """The best epoch by the metric that counts: its column, the epoch, and a sentence on it."""

    column: str
    epoch: int
    sentence: str


def recording_report(recording: Recording, plots: Path) -> tuple[Document, Drawn]:
    """The report of a CSV file, and its figures, which are drawn in the `plots/` of a folder."""
    best = _best_of(recording)
    drawn = draw(lambda: _curves(recording, best), plots)
    notes = (f"{note[0].upper()}{note[1:]}." for note in recording.content.notes)
    points = (f"{counted(recording.recorded_epochs, 'epoch')} in {code(str(recording.path))}.", *notes)
    lead: list[Part] = [Paragraph(best.sentence)] if best else []
    lead += [Bullets(points), *(Warn(f"{warning}.") for warning in drawn.warnings)]
    rows = tuple(_values_of(recording, name) for name in recording.metrics if name not in NO_METRICS)
    table = Table("Results", ("metric", "best", "at epoch", "last"), rows)
    sections = [Section("Results", (table,)), *figures_section(drawn, recording.headline)]
    sections += next_section([replay_step(str(recording.path), best.column)] if best else [])
    return Document(recording.path.name, tuple(lead), tuple(sections)), drawn


def _best_of(recording: Recording) -> _Best | None:
    """None where the metric that counts has no finite value."""
    headline, metrics = recording.headline, recording.metrics
    for rows in ("val", "test", "train"):
        column = headline.column(rows)
        row = best_row(metrics[column], lower=headline.lower_is_better) if column in metrics else None
        if row is not None:
            epoch, value = round(metrics["epoch"][row]), headline.show_with_unit(metrics[column][row])
            which = "lowest" if headline.lower_is_better else "highest"
            sentence = f"The {which} {ROWS_IN_WORDS[rows]} {headline.label} is {value}, at epoch {epoch}."
            return _Best(column, epoch, sentence)
    return None


def _values_of(recording: Recording, name: str) -> tuple[str, ...]:
    """A metric's best value and its epoch, where it is known which values are better, and its last value."""
    values, headline = recording.metrics[name], recording.headline
    metric = headline if base_name(name) == headline.name else headline_of(name)
    show = "{:.4g}".format if metric is None else metric.show
    row = None if metric is None else best_row(values, lower=metric.lower_is_better)
    known = values[~np.isnan(values)]
    last = show(known[-1]) if len(known) else NONE
    return (
        (name, NONE, NONE, last)
        if row is None
        else (name, show(values[row]), f"{recording.metrics['epoch'][row]:.0f}", last)
    )


def _curves(recording: Recording, best: _Best | None) -> Figures:
    from stopcli.report.curves import Marks, learning_curves, panels_of

    metrics, headline = recording.metrics, recording.headline
    if not panels_of([metrics], headline):
        return {}
    marks = Marks(0, "", best.epoch, f"epoch {best.epoch}: best {best.column}") if best else Marks(0, "")
    title = recording.path.name
    return {
        "curves": lambda: learning_curves(metrics, "validation", marks, title, headline, trained_here=False),
    }
