"""What was replayed, as tables: for people, and in full precision for those who go on elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stopcli.evidence.interval import MeanInterval
from stopcli.evidence.replay import Replay, RuleResults
from stopcli.report.tables import Table
from stopcli.studies.replay.replaying import ExperimentResults, ReplayResults

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
