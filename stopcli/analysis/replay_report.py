"""What `stopcli replay` leaves: tables, CSV files in full precision, what follows in sentences, figures, a report."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stopcli.analysis.replay import MOST_RUNS, ExperimentResults, ReplayOptions, ReplayResults, RuleResults
from stopcli.analysis.replay_answers import answers, cheapest_rule, conclusions, percent
from stopcli.quantities import counted
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Table, Warn, alt_text, csv_of
from stopcli.report.drawing import Figures
from stopcli.report.html import AnalysisOutput
from stopcli.report.run_report import note_on_test_rows
from stopcli.runs.headline import ACCURACY, base_name
from stopcli.runs.typed_json import to_json
from stopcli.stats.differences import NONE
from stopcli.stats.intervals import share_shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_MEASURES = ("epochs", "epochs_saved", "share_saved", "kept_epoch", "kept_value", "stop_value", "regret")
_STATISTICS = ("mean", "sd", "low", "high")

# A column of a table: how the cell of a rule is written.
Column = Callable[[RuleResults], str]


def _mean(name: str, show: Callable[[float], str]) -> Column:
    """A column of means over the runs."""

    def cell(rule: RuleResults) -> str:
        value = rule.mean(name)
        return NONE if value is None else show(value)

    return cell


def _mean_and_interval(name: str, show: Callable[[float, float], str]) -> Column:
    """The same, with their intervals where there are three runs or more.

    Args:
        show: a value as text, with the decimals of another one.
    """

    def cell(rule: RuleResults) -> str:
        interval = rule.interval(name)
        return interval.cell(lambda value: show(value, interval.mean), sd=False) if interval else NONE

    return cell


def results_table(results: ReplayResults, experiment: ExperimentResults) -> Table:
    """A row for each rule: where it stops, and the epoch that is selected."""
    metric, show = _selecting_metric(results, experiment)
    columns: dict[str, Column] = {
        "rule": lambda rule: rule.label,
        "stops after": lambda rule: _stop(experiment, rule),
        "never": lambda rule: f"{rule.not_fired} of {experiment.n}" if rule.not_fired else NONE,
        "keeps best": lambda rule: f"{rule.keeps_best} of {experiment.n}",
        "saved": _mean("share_saved", percent),
        "best epoch": _mean("kept_epoch", "{:,.0f}".format),
        metric: _mean("kept_value", show),
        "regret": _mean_and_interval("regret", show),
    }
    headline = experiment.headline
    if quality := headline_name(experiment):
        columns[with_unit(quality, headline.unit)] = _mean_and_interval(f"kept_{headline.name}", headline.show)
    # No second column repeats it where it is the one that selects.
    if quality and not _is_beside(results, experiment):
        del columns[metric]
    # A single run says it where it says after how many epochs.
    if experiment.n == 1 or not any(rule.not_fired for rule in experiment.rules):
        del columns["never"]
    return _table(experiment, columns)


def stops_table(results: ReplayResults, experiment: ExperimentResults) -> Table:
    """A row for each rule: the epoch of the stop itself, and what the selected one gives up."""
    metric, show = _selecting_metric(results, experiment)
    columns: dict[str, Column] = {
        "rule": lambda rule: rule.label,
        "epochs saved": _mean("epochs_saved", "{:,.0f}".format),
        f"{metric} at the stop": _mean("stop_value", show),
    }
    headline, quality = experiment.headline, headline_name(experiment)
    # Where it selects, what is given up of it is the regret.
    if _is_beside(results, experiment):
        columns[with_unit(f"{quality} at the stop", headline.unit)] = _mean(f"stop_{headline.name}", headline.show)
        columns[f"{quality} given up"] = _mean_and_interval(
            f"{headline.name}_lost", lambda value, _: headline.show_difference(value)
        )
    return _table(experiment, columns)


def _table(experiment: ExperimentResults, columns: Mapping[str, Column]) -> Table:
    rows = tuple(tuple(cell(rule) for cell in columns.values()) for rule in experiment.rules)
    return Table(experiment.title, tuple(columns), rows)


def _selecting_metric(results: ReplayResults, experiment: ExperimentResults) -> tuple[str, Callable[..., str]]:
    """The name of the metric that selects, with its unit where that is known, and what writes its values."""
    metric, headline = results.selecting_rule.monitor, experiment.headline
    if base_name(metric) != headline.name:
        return metric, "{:.4f}".format
    return with_unit(metric, headline.unit), headline.show if headline.kind == "error" else "{:.4f}".format


def _is_beside(results: ReplayResults, experiment: ExperimentResults) -> bool:
    """Whether the metric that counts is known, and another one than the one that selects."""
    return experiment.headline_column not in (None, results.selecting_rule.monitor)


def headline_name(experiment: ExperimentResults) -> str:
    """A short name of the metric that counts; empty where it is not known."""
    if experiment.headline_column is None:
        return ""
    rows = {"validation": "val.", "training": "train"}.get(experiment.headline_rows, experiment.headline_rows)
    return f"{rows} {experiment.headline.short}"


def with_unit(name: str, unit: str) -> str:
    """A name, and in brackets its unit where there is one."""
    return f"{name} ({unit})" if unit else name


def _stop(experiment: ExperimentResults, rule: RuleResults) -> str:
    if experiment.n > 1:
        return _mean_and_interval("epochs", "{:,.0f}".format)(rule)
    (replay,) = rule.runs
    if replay.fired:
        return f"{replay.epoch:,}"
    if replay.verdict is not None:
        return f"not finite at {replay.epoch:,}"
    return f"{'never in' if replay.history.complete else 'beyond'} {replay.history.epochs:,}"


def rules_csv(results: ReplayResults) -> str:
    """A row for each experiment and rule, in full precision."""
    measures = (*_MEASURES, *_headline_measures(results.experiments))
    return csv_of(
        [
            {
                **_rule_columns(experiment, rule),
                "n": experiment.n,
                "never": rule.not_fired,
                **{f"{name}_{key}": value for name in measures for key, value in _statistics(rule, name).items()},
            }
            for experiment in results.experiments
            for rule in experiment.rules
        ]
    )


def runs_csv(results: ReplayResults) -> str:
    """A row for each run and rule, in full precision."""
    measures = (*_MEASURES, *_headline_measures(results.experiments), "best_epoch", "best_value")
    measures += tuple(f"best_{name}" for name in _headline_names(results.experiments))
    return csv_of(
        [
            {
                **_rule_columns(experiment, rule),
                "run": replay.history.run.path,
                "seed": replay.seed,
                "state": replay.history.run.state,
                "recorded_epochs": replay.history.epochs,
                "ended": replay.ending,
                **{name: replay.value(name) for name in measures},
            }
            for experiment in results.experiments
            for rule in experiment.rules
            for replay in rule.runs
        ]
    )


def _headline_names(experiments: Sequence[ExperimentResults]) -> list[str]:
    """The metrics that count, as far as they are known."""
    return list(dict.fromkeys(experiment.headline.name for experiment in experiments if experiment.headline_column))


def _headline_measures(experiments: Sequence[ExperimentResults]) -> list[str]:
    """What replays came to in the metrics that count."""
    return [
        measure for name in _headline_names(experiments) for measure in (f"kept_{name}", f"stop_{name}", f"{name}_lost")
    ]


def _rule_columns(experiment: ExperimentResults, rule: RuleResults) -> dict[str, object]:
    return {
        "experiment": experiment.label,
        "rule": rule.label,
        "family": rule.rule.family,
        "describes": rule.rule.describe(),
    }


def _statistics(rule: RuleResults, name: str) -> dict[str, float | None]:
    interval = rule.interval(name)
    return {key: getattr(interval, key, None) for key in _STATISTICS}


def summary_of(experiment: ExperimentResults) -> dict[str, Any]:
    """What summary.json holds of an experiment."""
    headline = experiment.headline
    measures = (*_MEASURES, *_headline_measures([experiment]))
    return {
        **({} if headline == ACCURACY else {"headline": to_json(headline)}),
        "label": experiment.label,
        "n": experiment.n,
        "runs": [str(history.run.path) for history in experiment.histories],
        "recorded_epochs": [history.epochs for history in experiment.histories],
        headline.name: experiment.headline_column,
        "test_rows_chose": experiment.histories[0].test_rows_validate,
        "rules": [
            {
                "rule": rule.label,
                "describes": rule.rule.describe(),
                "never": rule.not_fired,
                "runs_kept": rule.keeps_best,
                "stops": [replay.epoch if replay.fired else None for replay in rule.runs],
                **{name: _statistics(rule, name) for name in measures},
            }
            for rule in experiment.rules
        ],
    }


def _keeps_best(experiment: ExperimentResults, options: ReplayOptions) -> dict[str, Any]:
    """What summary.json holds of the answers."""
    smallest = [experiment.smallest_patience(options, share) for share in (1.0, MOST_RUNS)]
    rules = dict(zip(("smallest_patience", "smallest_patience_in_95_percent"), smallest, strict=True))
    rules["cheapest_rule"] = cheapest_rule(experiment)
    return {
        **{
            name: rule
            and {
                "rule": rule.label,
                "runs_kept": rule.keeps_best,
                "never": rule.not_fired,
                **{measure: rule.mean(measure) for measure in ("epochs", "share_saved")},
            }
            for name, rule in rules.items()
        },
        "share_shown": share_shown(experiment.n),
        "complete": all(history.complete for history in experiment.histories),
    }


def output_of(results: ReplayResults) -> AnalysisOutput:
    """What a replay leaves in its folder."""
    tables = [results_table(results, experiment) for experiment in results.experiments]
    return AnalysisOutput(
        "replay",
        Table.joined(tables),
        tables,
        results.warnings,
        {"table.csv": rules_csv(results), "replay.csv": runs_csv(results)},
        answers(results),
        conclusions(results),
        {
            "monitor": results.options.monitor,
            "select": results.selecting_rule.monitor,
            "experiments": [
                {**summary_of(experiment), "keeps_best": _keeps_best(experiment, results.options)}
                for experiment in results.experiments
            ],
        },
        lambda: _figures(results),
        lambda pictures: _document(results, tables, pictures),
    )


def _document(results: ReplayResults, tables: Sequence[Table], pictures: Sequence[Picture]) -> Document:
    runs = sum(experiment.n for experiment in results.experiments)
    rules = len(results.experiments[0].rules)
    lead: list[Part] = [
        *map(Paragraph, answers(results)),
        Paragraph(
            f"{counted(rules, 'stopping rule')} replayed on {counted(runs, 'recorded run')}; nothing was trained."
        ),
        Bullets(conclusions(results)),
        *(Warn(f"{warning}.") for warning in results.warnings),
    ]
    sections = []
    for i, (experiment, table) in enumerate(zip(results.experiments, tables, strict=True)):
        alt = f"{experiment.label}: {alt_text('frontier')}"
        drawn = [Picture(picture.path, alt) for picture in pictures if picture.name == _figure_name(i)]
        sections.append(Section(experiment.title, (table, *drawn, stops_table(results, experiment))))
    sections.append(Section("How to read it", (Bullets(tuple(_notes(results))),)))
    return Document("Stopping rules, replayed", tuple(lead), tuple(sections))


def _notes(results: ReplayResults) -> list[str]:
    metric = results.selecting_rule.monitor
    beside = [experiment for experiment in results.experiments if _is_beside(results, experiment)]
    labels = " and ".join(dict.fromkeys(experiment.headline.label for experiment in beside))
    of_epoch = f"{metric} and the {labels} beside it are" if labels else f"{metric} is"
    lost = f" Given up: the same in {labels}, which did not choose the epoch, so that it may be below 0."
    notes = [
        "Stops after: epochs trained under the rule; where it does not fire, all recorded epochs.",
        f"Best epoch: that of the best {metric} until the stop, which a checkpoint would have saved; {of_epoch} of "
        "that epoch.",
        f"Regret: how much worse its {metric} is than the best of the whole run.{lost if labels else ''}",
        "Square brackets: bootstrap 95 % interval of the mean over the runs; none for fewer than three.",
        "table.csv has a row for each rule, replay.csv one for each rule and run, both in full precision.",
    ]
    if any(results.options.min_delta):
        notes.append(
            "δ: the min_delta, by more than which a value has to be better; with %, a share of the value to beat."
        )
    if any(results.options.smooth):
        notes.append(
            f"β: the rule sees its metrics smoothed, each value with so much of the average before it. Best epoch and "
            f"{metric} are of the values themselves."
        )
    if len(results.experiments[0].rules) > 1:
        notes.append(
            "An interval is valid for its own rule. The rule that looks best of many is partly the luckiest: "
            "choose on some of the runs, and look at the others."
        )
    chosen = [
        experiment.headline
        for experiment in results.experiments
        if experiment.headline_column and experiment.histories[0].test_rows_validate
    ]
    return [*notes, *dict.fromkeys(map(note_on_test_rows, chosen))]


def _figure_name(i: int) -> str:
    return "frontier" if i == 0 else f"frontier_{i + 1}"


def _figures(results: ReplayResults) -> Figures:
    return {
        _figure_name(i): functools.partial(_figure, results, experiment)
        for i, experiment in enumerate(results.experiments)
    }


def _figure(results: ReplayResults, experiment: ExperimentResults) -> Figure:
    from stopcli.report.frontier import FrontierPoint, Panel, frontier

    metric, _ = _selecting_metric(results, experiment)
    headline, is_beside = experiment.headline, _is_beside(results, experiment)
    # What is missing of a share to 1 is an error too.
    is_share = headline.kind == "proportion"
    panels = [Panel(f"regret in {metric}")]
    points = []
    for rule in experiment.rules:
        cost = rule.interval("epochs")
        assert cost is not None
        values = [rule.interval("regret")]
        if is_beside:
            quality = rule.interval(f"kept_{headline.name}")
            values.append(quality and (quality.complement() if is_share else quality))
        points.append(FrontierPoint(rule.label, rule.rule.family, cost, tuple(values), not rule.not_fired))
    if is_beside:
        best = [(history, history.best_epoch(history.epochs)) for history in experiment.histories]
        qualities = [history.values_at(epoch)[1] for history, epoch in best if epoch]
        drawn = [headline.as_error(quality) for quality in qualities if quality is not None]
        level = (sum(drawn) / len(drawn), "best epoch of all") if drawn else None
        name = f"{experiment.headline_rows} {'error' if is_share else headline.label} of the epoch selected"
        panels.append(Panel(with_unit(name, headline.unit), level, "min" if is_share else headline.direction))
    lengths = {history.epochs for history in experiment.histories}
    full = lengths.pop() if len(lengths) == 1 else None
    title = f"{experiment.title}: what stopping earlier saves, and what it costs"
    return frontier(points, panels, title, full)
