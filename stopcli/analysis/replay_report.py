"""`stopcli replay`: its folder's tables, figures and report.

What was replayed, as tables: for people, and in full precision for those who go on elsewhere.

What follows from replayed rules, in sentences.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stopcli.analysis.output import AnalysisOutput
from stopcli.analysis.replay import ExperimentResults, Replay, ReplayResults, RuleResults
from stopcli.quantities import counted
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Table, Warn, alt_text
from stopcli.report.drawing import Figures
from stopcli.report.run_report import TEST_ROWS_CHOSE
from stopcli.stats.differences import Difference, paired_difference
from stopcli.stats.intervals import FEWEST, MeanInterval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MEASURES = (
    *("epochs", "epochs_saved", "share_saved", "kept_epoch", "kept_value", "stop_value", "regret"),
    *("kept_accuracy", "stop_accuracy", "accuracy_lost"),
)


def results_table(results: ReplayResults, experiment: ExperimentResults) -> Table:
    """A row for each rule: means over the runs, with intervals where there are three or more."""
    metric, accuracy = results.selecting_rule.monitor, accuracy_name(experiment)
    columns: dict[str, Callable[[RuleResults], str]] = {
        "rule": lambda result: result.rule.label,
        "stops after": lambda result: _epochs(experiment, result),
        "never": lambda result: f"{result.not_fired} of {experiment.n}" if result.not_fired else "–",
        "saved": lambda result: _cell(result.mean("share_saved"), percent),
        "best epoch": lambda result: _cell(result.mean("kept_epoch"), "{:,.0f}".format),
        metric: lambda result: _cell(result.mean("kept_value"), "{:.4f}".format),
        "regret": lambda result: _with_interval(result.interval("regret"), "{:.4f}"),
        accuracy: lambda result: _with_interval(result.interval("kept_accuracy"), "{:.3f}"),
    }
    # A single run says it where it says after how many epochs.
    left_out = {"never"} if experiment.n == 1 or not any(each.not_fired for each in experiment.rules) else set()
    return _table(experiment, {name: cell for name, cell in columns.items() if name and name not in left_out})


def stops_table(results: ReplayResults, experiment: ExperimentResults) -> Table:
    """A row for each rule: the epoch of the stop itself, and what the kept one gives up."""
    metric, accuracy = results.selecting_rule.monitor, accuracy_name(experiment)
    columns: dict[str, Callable[[RuleResults], str]] = {
        "rule": lambda result: result.rule.label,
        "epochs saved": lambda result: _cell(result.mean("epochs_saved"), "{:,.0f}".format),
        f"{metric} at the stop": lambda result: _cell(result.mean("stop_value"), "{:.4f}".format),
    }
    if accuracy:
        columns |= {
            f"{accuracy} at the stop": lambda result: _cell(result.mean("stop_accuracy"), "{:.3f}".format),
            f"{accuracy} given up": lambda result: _with_interval(result.interval("accuracy_lost"), "{:+.3f}"),
        }
    return _table(experiment, columns)


def _table(experiment: ExperimentResults, columns: Mapping[str, Callable[[RuleResults], str]]) -> Table:
    rows = tuple(tuple(cell(result) for cell in columns.values()) for result in experiment.rules)
    return Table(experiment.title, tuple(columns), rows)


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.1f} %"


def accuracy_name(experiment: ExperimentResults) -> str:
    """What the accuracy is called: of the test rows, or of the rows that validate; empty where there is none."""
    if experiment.accuracy is None:
        return ""
    is_test = experiment.accuracy == "test_accuracy" or experiment.histories[0].test_rows_validate
    return "test acc." if is_test else "val. acc."


def _epochs(experiment: ExperimentResults, result: RuleResults) -> str:
    (first, *others) = result.replays
    if others:
        return _with_interval(result.interval("epochs"), "{:,.0f}")
    if first.fired:
        return f"{first.last.epoch:,}"
    if first.verdict is not None:
        return f"broke off at {first.last.epoch:,}"
    return f"{'never in' if first.history.complete else 'beyond'} {first.history.epochs:,}"


def _with_interval(found: MeanInterval | None, form: str) -> str:
    if found is None:
        return "–"
    if found.low is None or found.high is None:
        return form.format(found.mean)
    return f"{form.format(found.mean)} [{form.format(found.low)}, {form.format(found.high)}]"


def _cell(value: float | None, form: Callable[[float], str]) -> str:
    return "–" if value is None else form(value)


def rules_csv(results: ReplayResults) -> str:
    """A row for each experiment and rule, in full precision."""
    statistics = [f"{name}_{what}" for name in MEASURES for what in ("mean", "sd", "low", "high")]
    rows = []
    for experiment in results.experiments:
        for result in experiment.rules:
            cells = [_exact(value) for name in MEASURES for value in _statistics(result.interval(name))]
            rows.append((experiment.label, *_asked(result), str(experiment.n), str(result.not_fired), *cells))
    return Table("", ("experiment", "rule", "family", "describes", "n", "never", *statistics), tuple(rows)).csv()


def runs_csv(results: ReplayResults) -> str:
    """A row for each run and rule, in full precision."""
    best = ("best_epoch", "best_value", "best_accuracy")
    rows = []
    for experiment in results.experiments:
        for result in experiment.rules:
            for one in result.replays:
                values = one.values()
                cells = [_exact(values.get(name)) for name in (*MEASURES, *best)]
                run = one.history.run
                told = (str(run.path), str(run.seed), run.state, str(one.history.epochs), ended(one))
                rows.append((experiment.label, *_asked(result), *told, *cells))
    columns = ("experiment", "rule", "family", "describes", "run", "seed", "state", "recorded_epochs", "ended")
    return Table("", (*columns, *MEASURES, *best), tuple(rows)).csv()


def ended(one: Replay) -> str:
    """How the run would have ended: the reason of the verdict, `completed`, or `beyond_recording`."""
    if one.verdict is not None:
        return one.verdict.reason
    return "completed" if one.history.complete else "beyond_recording"


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
                "rule": result.rule.label,
                "describes": result.rule.rule.describe(),
                "never": result.not_fired,
                "stops": [one.last.epoch if one.fired else None for one in result.replays],
                **{name: dict(zip(_STATISTICS, _statistics(result.interval(name)), strict=True)) for name in MEASURES},
            }
            for result in experiment.rules
        ],
    }


_STATISTICS = ("mean", "sd", "low", "high")


def _statistics(found: MeanInterval | None) -> Sequence[float | None]:
    return (None,) * len(_STATISTICS) if found is None else (found.mean, found.sd, found.low, found.high)


def _asked(result: RuleResults) -> tuple[str, str, str]:
    return result.rule.label, result.rule.family, result.rule.rule.describe()


def _exact(value: float | None) -> str:
    return "" if value is None else repr(value)


# Prechelt 1998: what he found over his 12 tasks.
PUBLISHED = "Prechelt (1998) found slower criteria about 4 % better on average, for about 4 times the training time"


def conclusions(results: ReplayResults) -> tuple[str, ...]:
    """What follows, a sentence or two each; of several experiments each by its name."""
    told = []
    for experiment in results.experiments:
        name = f"{experiment.label}: " if len(results.experiments) > 1 else ""
        sentences = [_as_good_as_all(experiment), _best_kept(results, experiment), _slow_and_fast(experiment)]
        told += [name + sentence for sentence in [*sentences, _never(experiment)] if sentence]
    return tuple(told)


def _as_good_as_all(experiment: ExperimentResults) -> str:
    """The cheapest rule that is not distinguishably worse than training on."""
    accuracy = _accuracy(experiment)
    if not accuracy or experiment.n < FEWEST:
        return ""
    known = False
    for result in _by_cost(experiment):
        found = _against_all(result)
        known = known or found is not None
        if found is not None and not (found.distinguishable and found.mean < 0):
            base = "the best epoch of all"
            return (
                f"The cheapest rule whose {accuracy} is not distinguishably lower than that of {base}: "
                f"{result.rule.label}, {_cost(result)}. {found.sentence('It', base, accuracy, 'max')}"
            )
    if not known:
        return ""
    return f"Every rule that stops has a distinguishably lower {accuracy} than the best epoch of all."


def _against_all(result: RuleResults) -> Difference | None:
    """The accuracy of the kept epoch less that of the best epoch of all; None where too few runs kept any."""
    kept, best = result.pairs("kept_accuracy", "best_accuracy")
    return paired_difference(kept, best) if len(kept) >= FEWEST else None


def _best_kept(results: ReplayResults, experiment: ExperimentResults) -> str:
    """The cheapest rule after which the best epoch of all has been seen."""
    metric, best, most = results.selecting_rule.monitor, None, 0
    for result in _by_cost(experiment):
        kept = sum(regret == 0 for regret in result.values("regret"))
        if kept > most:
            best, most = result, kept
    if not _by_cost(experiment):
        return ""
    if best is None:
        return f"No rule that stops has seen the best {metric} of {_these(experiment.n, 'the run', 'any run')}."
    told = f"saw the best {metric} of all"
    if experiment.n > 1:
        told += " in every run" if most == experiment.n else f" in the most runs ({most} of {experiment.n})"
    return f"The cheapest rule that {told}: {best.rule.label}, {_cost(best)}."


def _slow_and_fast(experiment: ExperimentResults) -> str:
    """The dearest rule that always stops beside the cheapest, as Prechelt set slow criteria beside fast ones."""
    always = [result for result in _by_cost(experiment) if not result.not_fired and result.mean("kept_accuracy")]
    if len(always) < 2:
        return ""
    fast, slow = always[0], always[-1]
    cheap, dear = fast.mean("epochs") or 0.0, slow.mean("epochs") or 0.0
    error, less = 1 - (fast.mean("kept_accuracy") or 0.0), 1 - (slow.mean("kept_accuracy") or 0.0)
    if dear <= cheap or error <= 0:
        return ""
    change = (error - less) / error
    better = f"{percent(abs(change))} {'lower' if change > 0 else 'higher'}" if change else "the same"
    epochs = counted(round(cheap), "epoch")
    what = (accuracy_name(experiment)).replace(" acc.", "").replace("val.", "validation")
    return (
        f"From the fastest rule ({fast.rule.label}, {epochs}) to the slowest that always stops "
        f"({slow.rule.label}, {dear:,.0f}), {dear / cheap:.1f} times the epochs, the {what} error of the kept epoch "
        f"goes from {error:.4f} to {less:.4f}: {better}. {PUBLISHED}."
    )


def _never(experiment: ExperimentResults) -> str:
    """Which rules did not fire, and what counts as their cost."""
    labels: dict[int, list[str]] = {}
    for result in experiment.rules:
        if result.not_fired:
            labels.setdefault(result.not_fired, []).append(result.rule.label)
    if not labels:
        return ""
    groups = [
        ", ".join(names) + _these(experiment.n, "", f" in {count} of {experiment.n} runs")
        for count, names in labels.items()
    ]
    told = f"Did not stop: {'; '.join(groups)}. All recorded epochs count as the cost of that"
    beyond = {
        replay.history.run.path
        for result in experiment.rules
        for replay in result.replays
        if replay.verdict is None and not replay.history.complete
    }
    if beyond:
        several = "every run" if len(beyond) == experiment.n else f"{len(beyond)} of the runs"
        runs = _these(experiment.n, "the run", several)
        told += f"; where {runs} ended before all epochs had run, the stop lies beyond what is on record"
    return f"{told}."


def _accuracy(experiment: ExperimentResults) -> str:
    return accuracy_name(experiment).replace("acc.", "accuracy").replace("val.", "validation")


def _by_cost(experiment: ExperimentResults) -> list[RuleResults]:
    """The rules that stop in some run, the cheapest first."""
    stop = [result for result in experiment.rules if result.not_fired < experiment.n]
    return sorted(stop, key=lambda result: result.mean("epochs") or 0.0)


def _cost(result: RuleResults) -> str:
    share = 1 - (result.mean("share_saved") or 0.0)
    average = _these(len(result.replays), "", " on average")
    whole = "all" if all(replay.history.complete for replay in result.replays) else "those on record"
    return f"after {counted(round(result.mean('epochs') or 0), 'epoch')}{average} ({percent(share)} of {whole})"


def _these(n: int, one: str, several: str) -> str:
    return one if n == 1 else several


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
    from stopcli.report.frontier import FrontierPoint, Panel, frontier

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
