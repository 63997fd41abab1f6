"""The report of a CSV file: the best and last value of each metric, curves, and what usual rules would have done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from stopcli.analysis.recorded_history import readable_metrics
from stopcli.analysis.replay import DEFAULT_PATIENCE, DEFAULT_RULES, ReplayOptions, replay
from stopcli.analysis.replay_answers import answers
from stopcli.analysis.replay_report import results_table
from stopcli.analysis.run_result import NO_METRICS, best_row
from stopcli.quantities import counted
from stopcli.report.document import Bullets, Document, Paragraph, Part, Section, Table, Warn, code
from stopcli.report.drawing import Drawn, Figures, draw, figures_section
from stopcli.report.next_steps import next_section, replay_step
from stopcli.runs.headline import ROWS_IN_WORDS, Rows, base_name, headline_of
from stopcli.runs.recording import Recording
from stopcli.stats.differences import NONE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More panels would be no overview.
_MOST_PANELS = 4


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
    if best and best.column in readable_metrics(recording.metrics):
        answer, rules = _rules(recording, best.column)
        lead[1:1] = answer
        sections.append(rules)
    sections += next_section([replay_step(str(recording.path), best.column)] if best else [])
    return Document(recording.path.name, tuple(lead), tuple(sections)), drawn


def _best_of(recording: Recording) -> _Best | None:
    """None where the metric that counts has no finite value."""
    headline, metrics = recording.headline, recording.metrics
    # Others write `val/loss`, `valid_loss` or `eval_loss`.
    columns: dict[str, Rows] = dict.fromkeys(headline.spellings("val", metrics), "val")
    for rows in get_args(Rows):
        columns[headline.column(rows)] = rows
    for column, rows in sorted(columns.items(), key=lambda item: item[1] != "val"):
        row = best_row(metrics[column], lower=headline.lower_is_better) if column in metrics else None
        if row is not None:
            epoch, value = round(metrics["epoch"][row]), headline.show_with_unit(metrics[column][row])
            which = "lowest" if headline.lower_is_better else "highest"
            sentence = f"The {which} {ROWS_IN_WORDS[rows]} {headline.label} is {value}, at epoch {epoch}."
            return _Best(column, epoch, sentence)
    return None


def _rules(recording: Recording, monitor: str) -> tuple[list[Part], Section]:
    """What the usual rules would have done, in sentences and in a table. Raises RequestError where the file was changed
    since it was read."""
    # Prechelt's compare both losses.
    rules = DEFAULT_RULES if {"loss", "val_loss"} <= recording.metrics.keys() else None
    mode = recording.headline.direction
    results = replay([recording.path], ReplayOptions(DEFAULT_PATIENCE, rules=rules, monitor=monitor, mode=mode))
    table = results_table(results, results.experiments[0])
    explanation = (
        "Each rule would have stopped after so many epochs; the best epoch until then is the one that a checkpoint "
        "would have saved."
    )
    section = Section("Where rules would have stopped", (table, Paragraph(explanation)))
    return list(map(Paragraph, answers(results))), section


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
    """A panel for each metric, with all of its rows: first those of the metric that counts, then of the loss."""
    panels: dict[str, list[str]] = {recording.headline.name: [], "loss": []}
    for name in recording.metrics:
        if name not in NO_METRICS:
            panels.setdefault(base_name(name), []).append(name)
    drawn = [names for names in panels.values() if names][:_MOST_PANELS]

    def curves() -> Figure:
        from stopcli.report.arm_curves import curves_by_column

        mark = (best.epoch, f"epoch {best.epoch}: best {best.column}") if best else None
        return curves_by_column(recording.metrics, drawn, mark, recording.path.name)

    return {"columns": curves}
