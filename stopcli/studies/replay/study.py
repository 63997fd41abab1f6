"""`stopcli replay`: its folder's tables, figures and report."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stopcli.counts import counted
from stopcli.evidence.interval import MeanInterval
from stopcli.report.alt_texts import alt_text
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.drawing import Figures
from stopcli.report.results import TEST_ROWS_CHOSE
from stopcli.report.tables import Table
from stopcli.studies.leaving import AnalysisOutput
from stopcli.studies.replay.replaying import ExperimentResults, ReplayResults
from stopcli.studies.replay.tables import accuracy_name, results_table, rules_csv, runs_csv, stops_table, summary_of
from stopcli.studies.replay.words import conclusions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def output_of(results: ReplayResults) -> AnalysisOutput:
    """The study that a replay comes to."""
    told = conclusions(results)
    tables = [results_table(results, experiment) for experiment in results.experiments]
    summary: dict[str, Any] = {
        "monitor": results.options.monitor,
        "select": results.selecting_rule.monitor,
        "experiments": [summary_of(experiment) for experiment in results.experiments],
    }
    return AnalysisOutput(
        "replay",
        joined(tables),
        tables,
        results.warnings,
        {"table.csv": rules_csv(results), "replay.csv": runs_csv(results)},
        told,
        summary,
        lambda: _figures(results),
        lambda pictures: _document(results, tables, told, pictures),
    )


def joined(tables: Sequence[Table]) -> Table:
    """Several tables as one, with a first column that says which; one table as it is."""
    if len(tables) == 1:
        return Table("Results", tables[0].columns, tables[0].rows)
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    rows = []
    for table in tables:
        places = {column: i for i, column in enumerate(table.columns)}
        for row in table.rows:
            rows.append((table.title, *(row[places[column]] if column in places else "–" for column in columns)))
    return Table("Results", ("runs", *columns), tuple(rows))


def _document(
    results: ReplayResults, tables: Sequence[Table], told: Sequence[str], pictures: Sequence[Picture]
) -> Document:
    runs = sum(experiment.n for experiment in results.experiments)
    rules = len(results.experiments[0].rules)
    lead: list[Part] = [
        Paragraph(
            f"{counted(rules, 'stopping rule')} replayed on {counted(runs, 'recorded run')}; nothing was trained."
        )
    ]
    lead.append(Bullets(tuple(told)))
    lead += [Warn(f"{warning}.") for warning in results.warnings]
    sections = []
    for i, (experiment, table) in enumerate(zip(results.experiments, tables, strict=True)):
        alt = f"{experiment.label}: {alt_text('frontier')}"
        drawn = [Picture(picture.path, alt) for picture in pictures if picture.name == _name(i)]
        sections.append(Section(experiment.title, (table, *drawn, stops_table(results, experiment))))
    sections.append(Section("How to read it", (Bullets(tuple(_notes(results))),)))
    return Document("Stopping rules, replayed", tuple(lead), tuple(sections))


def _notes(results: ReplayResults) -> list[str]:
    metric = results.selecting_rule.monitor
    told = [
        "Stops after: epochs that are trained under the rule. Where it does not fire, all that were recorded.",
        f"Best epoch: that of the best {metric} until the stop, which a checkpoint would have kept; {metric} and the "
        "accuracy beside it are its.",
        f"Regret: how much worse its {metric} is than the best of the whole run. Given up: the same in accuracy, "
        "by which the epoch was not chosen, so that it may be below 0.",
        "Square brackets: bootstrap 95 % interval of the mean over the runs; none for fewer than three.",
        "table.csv has a row for each rule, replay.csv one for each rule and run, both in full precision.",
    ]
    if len(results.experiments[0].rules) > 1:
        told.append(
            "An interval speaks of its own rule. The rule that looks best of many is partly the luckiest: "
            "choose on some of the runs, and look at the others."
        )
    if any(experiment.accuracy and experiment.histories[0].test_rows_validate for experiment in results.experiments):
        told.append(TEST_ROWS_CHOSE)
    return told


def _name(i: int) -> str:
    return "frontier" if i == 0 else f"frontier_{i + 1}"


def _figures(results: ReplayResults) -> Figures:
    return {
        _name(i): functools.partial(_figure, results, experiment) for i, experiment in enumerate(results.experiments)
    }


def _figure(results: ReplayResults, experiment: ExperimentResults) -> Figure:
    from stopcli.report.frontier_figure import FrontierPoint, Panel, frontier

    panels = [Panel(f"regret in {results.selecting_rule.monitor}")]
    points = []
    for result in experiment.rules:
        cost = result.interval("epochs")
        assert cost is not None
        losses = [result.interval("regret")]
        if experiment.accuracy:
            losses.append(_error_of(result.interval("kept_accuracy")))
        points.append(FrontierPoint(result.rule.label, result.rule.family, cost, tuple(losses), not result.not_fired))
    if experiment.accuracy:
        what = "test" if accuracy_name(experiment).startswith("test") else "validation"
        best = [1 - r.best.accuracy for r in experiment.histories if r.best and r.best.accuracy is not None]
        level = (sum(best) / len(best), "best epoch of all") if best else None
        panels.append(Panel(f"{what} error of the epoch kept", level))
    lengths = {history.epochs for history in experiment.histories}
    full = lengths.pop() if len(lengths) == 1 else None
    title = f"{experiment.title}: what stopping earlier saves, and what it costs"
    return frontier(points, panels, title, full)


def _error_of(accuracy: MeanInterval | None) -> MeanInterval | None:
    if accuracy is None:
        return None
    low, high = (None if bound is None else 1 - bound for bound in (accuracy.high, accuracy.low))
    return replace(accuracy, mean=1 - accuracy.mean, low=low, high=high)
