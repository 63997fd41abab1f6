"""What `stopcli replay` leaves: tables, CSV files in full precision, what follows in sentences, figures, a report."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stopcli.analysis.replay import MOST_RUNS, ExperimentResults, ReplayOptions, ReplayResults, RuleResults
from stopcli.quantities import counted
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Table, Warn, alt_text, csv_of
from stopcli.report.drawing import Figures
from stopcli.report.html import AnalysisOutput
from stopcli.report.run_report import TEST_ROWS_CHOSE
from stopcli.stats.differences import NONE, Difference, difference_by_seed
from stopcli.stats.intervals import FEWEST, runs_to_show, share_shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MEASURES = (
    *("epochs", "epochs_saved", "share_saved", "kept_epoch", "kept_value", "stop_value", "regret"),
    *("kept_accuracy", "stop_accuracy", "accuracy_lost"),
)
_BEST = ("best_epoch", "best_value", "best_accuracy")
_STATISTICS = ("mean", "sd", "low", "high")

# A column of a table: how the cell of a rule is written.
Column = Callable[[RuleResults], str]


def _mean(name: str, show: Callable[[float], str]) -> Column:
    """A column of means over the runs."""

    def cell(rule: RuleResults) -> str:
        value = rule.mean(name)
        return NONE if value is None else show(value)

    return cell


def _mean_and_interval(name: str, form: str) -> Column:
    """The same, with their intervals where there are three runs or more."""

    def cell(rule: RuleResults) -> str:
        interval = rule.interval(name)
        return interval.cell(form.format, sd=False) if interval else NONE

    return cell


def results_table(results: ReplayResults, experiment: ExperimentResults) -> Table:
    """A row for each rule: where it stops, and the epoch that is selected."""
    columns: dict[str, Column] = {
        "rule": lambda rule: rule.label,
        "stops after": lambda rule: _stop(experiment, rule),
        "never": lambda rule: f"{rule.not_fired} of {experiment.n}" if rule.not_fired else NONE,
        "keeps best": lambda rule: f"{rule.keeps_best} of {experiment.n}",
        "saved": _mean("share_saved", percent),
        "best epoch": _mean("kept_epoch", "{:,.0f}".format),
        results.selecting_rule.monitor: _mean("kept_value", "{:.4f}".format),
        "regret": _mean_and_interval("regret", "{:.4f}"),
    }
    if accuracy := accuracy_name(experiment):
        columns[accuracy] = _mean_and_interval("kept_accuracy", "{:.3f}")
    # A single run says it where it says after how many epochs.
    if experiment.n == 1 or not any(rule.not_fired for rule in experiment.rules):
        del columns["never"]
    return _table(experiment, columns)


def stops_table(results: ReplayResults, experiment: ExperimentResults) -> Table:
    """A row for each rule: the epoch of the stop itself, and what the selected one gives up."""
    columns: dict[str, Column] = {
        "rule": lambda rule: rule.label,
        "epochs saved": _mean("epochs_saved", "{:,.0f}".format),
        f"{results.selecting_rule.monitor} at the stop": _mean("stop_value", "{:.4f}".format),
    }
    if accuracy := accuracy_name(experiment):
        columns[f"{accuracy} at the stop"] = _mean("stop_accuracy", "{:.3f}".format)
        columns[f"{accuracy} given up"] = _mean_and_interval("accuracy_lost", "{:+.3f}")
    return _table(experiment, columns)


def _table(experiment: ExperimentResults, columns: Mapping[str, Column]) -> Table:
    rows = tuple(tuple(cell(rule) for cell in columns.values()) for rule in experiment.rules)
    return Table(experiment.title, tuple(columns), rows)


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.1f} %"


def accuracy_name(experiment: ExperimentResults) -> str:
    """A short name of the accuracy; empty where there is none."""
    return {"test": "test acc.", "validation": "val. acc."}.get(experiment.accuracy_rows, "")


def _stop(experiment: ExperimentResults, rule: RuleResults) -> str:
    if experiment.n > 1:
        return _mean_and_interval("epochs", "{:,.0f}")(rule)
    (replay,) = rule.runs
    if replay.fired:
        return f"{replay.epoch:,}"
    if replay.verdict is not None:
        return f"not finite at {replay.epoch:,}"
    return f"{'never in' if replay.history.complete else 'beyond'} {replay.history.epochs:,}"


def rules_csv(results: ReplayResults) -> str:
    """A row for each experiment and rule, in full precision."""
    return csv_of(
        [
            {
                **_rule_columns(experiment, rule),
                "n": experiment.n,
                "never": rule.not_fired,
                **{f"{name}_{key}": value for name in MEASURES for key, value in _statistics(rule, name).items()},
            }
            for experiment in results.experiments
            for rule in experiment.rules
        ]
    )


def runs_csv(results: ReplayResults) -> str:
    """A row for each run and rule, in full precision."""
    return csv_of(
        [
            {
                **_rule_columns(experiment, rule),
                "run": replay.history.run.path,
                "seed": replay.seed,
                "state": replay.history.run.state,
                "recorded_epochs": replay.history.epochs,
                "ended": replay.ending,
                **{name: replay.value(name) for name in (*MEASURES, *_BEST)},
            }
            for experiment in results.experiments
            for rule in experiment.rules
            for replay in rule.runs
        ]
    )


def _rule_columns(experiment: ExperimentResults, rule: RuleResults) -> dict[str, object]:
    return {
        "experiment": experiment.label,
        "rule": rule.label,
        "family": rule.rule.keyword,
        "describes": rule.rule.describe(),
    }


def _statistics(rule: RuleResults, name: str) -> dict[str, float | None]:
    interval = rule.interval(name)
    return {key: getattr(interval, key, None) for key in _STATISTICS}


def summary_of(experiment: ExperimentResults) -> dict[str, Any]:
    """What summary.json holds of an experiment."""
    return {
        "label": experiment.label,
        "n": experiment.n,
        "runs": [str(history.run.path) for history in experiment.histories],
        "recorded_epochs": [history.epochs for history in experiment.histories],
        "accuracy": experiment.accuracy,
        "test_rows_chose": experiment.histories[0].test_rows_validate,
        "rules": [
            {
                "rule": rule.label,
                "describes": rule.rule.describe(),
                "never": rule.not_fired,
                "runs_kept": rule.keeps_best,
                "stops": [replay.epoch if replay.fired else None for replay in rule.runs],
                **{name: _statistics(rule, name) for name in MEASURES},
            }
            for rule in experiment.rules
        ],
    }


def _keeps_best(experiment: ExperimentResults, options: ReplayOptions) -> dict[str, Any]:
    """What summary.json holds of the answers."""
    smallest = [experiment.smallest_patience(options, share) for share in (1.0, MOST_RUNS)]
    rules = dict(zip(("smallest_patience", "smallest_patience_in_95_percent"), smallest, strict=True))
    rules["cheapest_rule"] = _cheapest_rule(experiment)
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


# Prechelt 1998: what he found over his 12 tasks.
PUBLISHED = "Prechelt (1998) found slower criteria about 4 % better on average, for about 4 times the training time"


def answers(results: ReplayResults) -> tuple[str, ...]:
    """Which patience and which rule keep the best epoch, a sentence or two each; of several experiments each by its
    name."""
    return _by_name(results, lambda experiment: _answers(experiment, results))


def conclusions(results: ReplayResults) -> tuple[str, ...]:
    """What else follows, as `answers`."""
    return _by_name(
        results, lambda experiment: (_as_good_as_all(experiment), _slow_and_fast(experiment), _not_fired(experiment))
    )


def _by_name(results: ReplayResults, of: Callable[[ExperimentResults], Sequence[str]]) -> tuple[str, ...]:
    several = len(results.experiments) > 1
    return tuple(
        f"{experiment.label}: {sentence}" if several else sentence
        for experiment in results.experiments
        for sentence in of(experiment)
        if sentence
    )


def _answers(experiment: ExperimentResults, results: ReplayResults) -> Sequence[str]:
    """The patience, the rule, and how little the runs prove of it."""
    complete = all(history.complete for history in experiment.histories)
    best = f"the best {results.selecting_rule.monitor}{'' if complete else ' on record'}"
    options = results.options
    runs = _one_or("The run", experiment.n, "Some runs")
    beyond = f"{runs} ended before all epochs had run, so whether a better one would have come is not on record."
    cut = "" if complete else beyond
    if not options.replays_patience:
        return (cut, _cheapest(experiment, best))
    smallest = experiment.smallest_patience(options)
    if smallest is None:
        return (f"No epoch of {_one_or('the run', experiment.n, 'some runs')} counts, so no rule keeps its best.",)
    patience = (_enough(experiment, options, best), _smallest(experiment, smallest, options, best))
    rule = _cheapest(experiment, best) if len(experiment.rules) > 1 else ""
    return (cut, *patience, rule, _evidence(experiment.n))


def _enough(experiment: ExperimentResults, options: ReplayOptions, best: str) -> str:
    """Whether the only patience that is asked about is enough; empty where several are, or none."""
    if options.patience is None or len(set(options.patience)) > 1:
        return ""
    rule = experiment.results_of(options.patience_rule(options.patience[0]))
    runs_kept, n = rule.keeps_best, experiment.n
    verdict = "is enough: it keeps" if runs_kept == n else "is not enough: it loses"
    runs = _one_or("of the run", n, f"in all {n} runs" if runs_kept == n else f"in {n - runs_kept} of {n} runs")
    return f"{_patience_text(rule).capitalize()} {verdict} {best} {runs}."


def _smallest(experiment: ExperimentResults, smallest: RuleResults, options: ReplayOptions, best: str) -> str:
    """The smallest patience of all that keeps the best epoch in all runs, and where that is less, in nearly all."""
    n = experiment.n
    runs = _one_or("of the run", n, f"in all {n} runs")
    if smallest.not_fired == n:
        sentence = (
            f"No patience both keeps {best} {runs} and stops {_one_or('it', n, 'any of them')} before the end: "
            f"{_patience_text(smallest)}, the smallest that keeps it, never fires."
        )
    else:
        patience = _patience_text(smallest).capitalize()
        sentence = f"{patience} is the smallest that keeps {best} {runs}: it stops {_cost(smallest)}."
    most = experiment.smallest_patience(options, MOST_RUNS)
    if most is None or most.rule == smallest.rule or most.not_fired == n:
        return sentence
    runs_kept = f"{most.keeps_best} of {n} runs ({percent(most.keeps_best / n)})"
    return f"{sentence} In {runs_kept}, {_patience_text(most)} is enough: it stops {_cost(most)}."


def _evidence(n: int) -> str:
    """How much the smallest patience of some runs says of others."""
    if n == 1:
        return "One run proves little: another seed may need another patience; --seeds 5 trains five."
    shown = f"in {100 * share_shown(n):.0f} % or more of runs like these, with 95 % confidence"
    needed = runs_to_show(MOST_RUNS)
    if n >= needed:
        return f"What was enough in all {n} runs is enough {shown}."
    return f"What was enough in all {n} runs is enough {shown}; it takes {needed} runs to show 95 %."


def _patience_text(rule: RuleResults) -> str:
    return rule.label.replace("patience:", "patience ", 1)


def _cheapest_rule(experiment: ExperimentResults) -> RuleResults | None:
    """Of the rules that keep the best epoch in the most runs, the one that trains the fewest epochs; None where no rule
    that stops keeps any."""
    runs_kept = max((rule.keeps_best for rule in _by_cost(experiment)), default=0)
    return next((rule for rule in _by_cost(experiment) if rule.keeps_best == runs_kept > 0), None)


def _cheapest(experiment: ExperimentResults, best: str) -> str:
    """The cheapest of the rules that keep the best epoch of all in the most runs."""
    n, rule = experiment.n, _cheapest_rule(experiment)
    if rule is None:
        return f"No replayed rule that stops keeps {best} {_one_or('of the run', n, 'of any run')}."
    if rule.keeps_best == n:
        runs = _one_or("of the run", n, f"in all {n} runs")
        return f"The cheapest of the replayed rules that keep {best} {runs}: {rule.label}, {_cost(rule)}."
    runs_kept = f"{rule.keeps_best} of {n} runs ({percent(rule.keeps_best / n)})"
    return f"No replayed rule that stops keeps {best} in all {n} runs; {rule.label} does in {runs_kept}, {_cost(rule)}."


def _as_good_as_all(experiment: ExperimentResults) -> str:
    """The cheapest rule that is not distinguishably worse than training on."""
    if not experiment.accuracy_rows or experiment.n < FEWEST:
        return ""
    accuracy, base = f"{experiment.accuracy_rows} accuracy", "the best epoch of all"
    differences = [(rule, _against_all(rule)) for rule in _by_cost(experiment)]
    for rule, difference in differences:
        if difference is not None and not (difference.distinguishable and difference.mean < 0):
            return (
                f"The cheapest rule whose {accuracy} is not distinguishably lower than that of {base} stops "
                f"{_cost(rule)}. {difference.sentence(rule.label, base, accuracy, 'max')}"
            )
    if all(difference is None for _, difference in differences):
        return ""
    return f"Every rule that stops has a distinguishably lower {accuracy} than {base}."


def _against_all(rule: RuleResults) -> Difference | None:
    """The accuracy of the selected epoch less that of the best epoch of all; None where too few runs selected any."""
    difference = difference_by_seed(rule.by_seed("kept_accuracy"), rule.by_seed("best_accuracy"))
    return difference if difference is not None and difference.n >= FEWEST else None


def _slow_and_fast(experiment: ExperimentResults) -> str:
    """The dearest rule that always stops beside the cheapest, as Prechelt set slow criteria beside fast ones."""
    always = [rule for rule in _by_cost(experiment) if not rule.not_fired and rule.mean("kept_accuracy")]
    if len(always) < 2:
        return ""
    fast, slow = always[0], always[-1]
    fast_epochs, slow_epochs = (rule.mean("epochs") or 0.0 for rule in (fast, slow))
    fast_error, slow_error = (1 - (rule.mean("kept_accuracy") or 0.0) for rule in (fast, slow))
    if slow_epochs <= fast_epochs or fast_error <= 0:
        return ""
    change = (fast_error - slow_error) / fast_error
    better = f"{percent(abs(change))} {'lower' if change > 0 else 'higher'}" if change else "the same"
    return (
        f"From the fastest rule ({fast.label}, {counted(round(fast_epochs), 'epoch')}) to the slowest that always "
        f"stops ({slow.label}, {slow_epochs:,.0f}), {slow_epochs / fast_epochs:.1f} times the epochs, the "
        f"{experiment.accuracy_rows} error of the selected epoch goes from {fast_error:.4f} to {slow_error:.4f}: "
        f"{better}. {PUBLISHED}."
    )


def _not_fired(experiment: ExperimentResults) -> str:
    """Which rules did not fire, and what counts as their cost."""
    labels: dict[int, list[str]] = {}
    for rule in experiment.rules:
        if rule.not_fired:
            labels.setdefault(rule.not_fired, []).append(rule.label)
    if not labels:
        return ""
    n = experiment.n
    groups = [", ".join(names) + _one_or("", n, f" in {count} of {n} runs") for count, names in labels.items()]
    sentence = f"Did not stop: {'; '.join(groups)}. All recorded epochs count as their cost"
    cut_short = {
        replay.history.run.path
        for rule in experiment.rules
        for replay in rule.runs
        if replay.ending == "beyond_recording"
    }
    if cut_short:
        several = "every run" if len(cut_short) == n else f"{len(cut_short)} of the runs"
        runs = _one_or("the run", n, several)
        sentence += f"; where {runs} ended before all epochs had run, the stop lies beyond what is on record"
    return f"{sentence}."


def _by_cost(experiment: ExperimentResults) -> list[RuleResults]:
    """The rules that stop in some run, the cheapest first."""
    stopping = [rule for rule in experiment.rules if rule.not_fired < experiment.n]
    return sorted(stopping, key=lambda rule: rule.mean("epochs") or 0.0)


def _cost(rule: RuleResults) -> str:
    share = 1 - (rule.mean("share_saved") or 0.0)
    average = _one_or("", len(rule.runs), " on average")
    whole = "all" if all(replay.history.complete for replay in rule.runs) else "those on record"
    return f"after {counted(round(rule.mean('epochs') or 0), 'epoch')}{average} ({percent(share)} of {whole})"


def _one_or(one: str, n: int, several: str) -> str:
    return one if n == 1 else several


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
    notes = [
        "Stops after: epochs trained under the rule; where it does not fire, all recorded epochs.",
        f"Best epoch: that of the best {metric} until the stop, which a checkpoint would have saved; {metric} and the "
        "accuracy beside it are of that epoch.",
        f"Regret: how much worse its {metric} is than the best of the whole run. Given up: the same in accuracy, "
        "which did not choose the epoch, so that it may be below 0.",
        "Square brackets: bootstrap 95 % interval of the mean over the runs; none for fewer than three.",
        "table.csv has a row for each rule, replay.csv one for each rule and run, both in full precision.",
    ]
    if len(results.experiments[0].rules) > 1:
        notes.append(
            "An interval is valid for its own rule. The rule that looks best of many is partly the luckiest: "
            "choose on some of the runs, and look at the others."
        )
    if any(experiment.accuracy and experiment.histories[0].test_rows_validate for experiment in results.experiments):
        notes.append(TEST_ROWS_CHOSE)
    return notes


def _figure_name(i: int) -> str:
    return "frontier" if i == 0 else f"frontier_{i + 1}"


def _figures(results: ReplayResults) -> Figures:
    return {
        _figure_name(i): functools.partial(_figure, results, experiment)
        for i, experiment in enumerate(results.experiments)
    }


def _figure(results: ReplayResults, experiment: ExperimentResults) -> Figure:
    from stopcli.report.frontier import FrontierPoint, Panel, frontier

    panels = [Panel(f"regret in {results.selecting_rule.monitor}")]
    points = []
    for rule in experiment.rules:
        cost = rule.interval("epochs")
        assert cost is not None
        losses = [rule.interval("regret")]
        if experiment.accuracy:
            accuracy = rule.interval("kept_accuracy")
            losses.append(accuracy and accuracy.complement())
        points.append(FrontierPoint(rule.label, rule.rule.keyword, cost, tuple(losses), not rule.not_fired))
    if experiment.accuracy:
        best = [(history, history.best_epoch(history.epochs)) for history in experiment.histories]
        accuracies = [history.values_at(epoch)[1] for history, epoch in best if epoch]
        errors = [1 - accuracy for accuracy in accuracies if accuracy is not None]
        level = (sum(errors) / len(errors), "best epoch of all") if errors else None
        panels.append(Panel(f"{experiment.accuracy_rows} error of the epoch selected", level))
    lengths = {history.epochs for history in experiment.histories}
    full = lengths.pop() if len(lengths) == 1 else None
    title = f"{experiment.title}: what stopping earlier saves, and what it costs"
    return frontier(points, panels, title, full)
