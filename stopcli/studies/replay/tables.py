"""What was replayed, as tables: for people, and in full precision for those who go on elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stopcli.evidence.interval import MeanInterval
from stopcli.evidence.replay import Replay, RuleOutcome
from stopcli.report.tables import Table
from stopcli.studies.replay.replaying import Replayed, ReplayedExperiment

MEASURES = (
    *("epochs", "epochs_saved", "share_saved", "kept_epoch", "kept_value", "stop_value", "regret"),
    *("kept_accuracy", "stop_accuracy", "accuracy_lost"),
)


def results_table(replayed: Replayed, experiment: ReplayedExperiment) -> Table:
    """A row for each rule: means over the runs, with intervals where there are three or more."""
    metric, accuracy = replayed.kept.monitor, accuracy_name(experiment)
    columns: dict[str, Callable[[RuleOutcome], str]] = {
        "rule": lambda outcome: outcome.asked.label,
        "stops after": lambda outcome: _epochs(experiment, outcome),
        "never": lambda outcome: f"{outcome.never} of {experiment.n}" if outcome.never else "–",
        "saved": lambda outcome: _cell(outcome.mean("share_saved"), percent),
        "best epoch": lambda outcome: _cell(outcome.mean("kept_epoch"), "{:,.0f}".format),
        metric: lambda outcome: _cell(outcome.mean("kept_value"), "{:.4f}".format),
        "regret": lambda outcome: _with_interval(outcome.interval("regret"), "{:.4f}"),
        accuracy: lambda outcome: _with_interval(outcome.interval("kept_accuracy"), "{:.3f}"),
    }
    # A single run says it where it says after how many epochs.
    left_out = {"never"} if experiment.n == 1 or not any(each.never for each in experiment.outcomes) else set()
    return _table(experiment, {name: cell for name, cell in columns.items() if name and name not in left_out})


def stops_table(replayed: Replayed, experiment: ReplayedExperiment) -> Table:
    """A row for each rule: the epoch of the stop itself, and what the kept one gives up."""
    metric, accuracy = replayed.kept.monitor, accuracy_name(experiment)
    columns: dict[str, Callable[[RuleOutcome], str]] = {
        "rule": lambda outcome: outcome.asked.label,
        "epochs saved": lambda outcome: _cell(outcome.mean("epochs_saved"), "{:,.0f}".format),
        f"{metric} at the stop": lambda outcome: _cell(outcome.mean("stop_value"), "{:.4f}".format),
    }
    if accuracy:
        columns |= {
            f"{accuracy} at the stop": lambda outcome: _cell(outcome.mean("stop_accuracy"), "{:.3f}".format),
            f"{accuracy} given up": lambda outcome: _with_interval(outcome.interval("accuracy_lost"), "{:+.3f}"),
        }
    return _table(experiment, columns)


def _table(experiment: ReplayedExperiment, columns: Mapping[str, Callable[[RuleOutcome], str]]) -> Table:
    rows = tuple(tuple(cell(outcome) for cell in columns.values()) for outcome in experiment.outcomes)
    return Table(experiment.title, tuple(columns), rows)


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.1f} %"


def accuracy_name(experiment: ReplayedExperiment) -> str:
    """What the accuracy is called: of the test rows, or of the rows that validate; empty where there is none."""
    if experiment.accuracy is None:
        return ""
    is_test = experiment.accuracy == "test_accuracy" or experiment.recordings[0].test_rows_validate
    return "test acc." if is_test else "val. acc."


def _epochs(experiment: ReplayedExperiment, outcome: RuleOutcome) -> str:
    (first, *others) = outcome.replays
    if others:
        return _with_interval(outcome.interval("epochs"), "{:,.0f}")
    if first.fired:
        return f"{first.last.epoch:,}"
    if first.verdict is not None:
        return f"broke off at {first.last.epoch:,}"
    return f"{'never in' if first.recording.complete else 'beyond'} {first.recording.epochs:,}"


def _with_interval(found: MeanInterval | None, form: str) -> str:
    if found is None:
        return "–"
    if found.low is None or found.high is None:
        return form.format(found.mean)
    return f"{form.format(found.mean)} [{form.format(found.low)}, {form.format(found.high)}]"


def _cell(value: float | None, form: Callable[[float], str]) -> str:
    return "–" if value is None else form(value)


def rules_csv(replayed: Replayed) -> str:
    """A row for each experiment and rule, in full precision."""
    statistics = [f"{name}_{what}" for name in MEASURES for what in ("mean", "sd", "low", "high")]
    rows = []
    for experiment in replayed.experiments:
        for outcome in experiment.outcomes:
            cells = [_exact(value) for name in MEASURES for value in _statistics(outcome.interval(name))]
            rows.append((experiment.label, *_asked(outcome), str(experiment.n), str(outcome.never), *cells))
    return Table("", ("experiment", "rule", "family", "describes", "n", "never", *statistics), tuple(rows)).csv()


def runs_csv(replayed: Replayed) -> str:
    """A row for each run and rule, in full precision."""
    best = ("best_epoch", "best_value", "best_accuracy")
    rows = []
    for experiment in replayed.experiments:
        for outcome in experiment.outcomes:
            for one in outcome.replays:
                values = one.values()
                cells = [_exact(values.get(name)) for name in (*MEASURES, *best)]
                run = one.recording.run
                told = (str(run.path), str(run.seed), run.state, str(one.recording.epochs), ended(one))
                rows.append((experiment.label, *_asked(outcome), *told, *cells))
    columns = ("experiment", "rule", "family", "describes", "run", "seed", "state", "recorded_epochs", "ended")
    return Table("", (*columns, *MEASURES, *best), tuple(rows)).csv()


def ended(one: Replay) -> str:
    """How the run would have ended: the reason of the verdict, `completed`, or `beyond_recording`."""
    if one.verdict is not None:
        return one.verdict.reason
    return "completed" if one.recording.complete else "beyond_recording"


def summary_of(experiment: ReplayedExperiment) -> dict[str, Any]:
    """What summary.json holds of an experiment."""
    return {
        "label": experiment.label,
        "n": experiment.n,
        "runs": [str(recording.run.path) for recording in experiment.recordings],
        "recorded_epochs": [recording.epochs for recording in experiment.recordings],
        "accuracy": experiment.accuracy,
        "test_rows_chose": experiment.recordings[0].test_rows_validate,
        "rules": [
            {
                "rule": outcome.asked.label,
                "describes": outcome.asked.rule.describe(),
                "never": outcome.never,
                "stops": [one.last.epoch if one.fired else None for one in outcome.replays],
                **{name: dict(zip(_STATISTICS, _statistics(outcome.interval(name)), strict=True)) for name in MEASURES},
            }
            for outcome in experiment.outcomes
        ],
    }


_STATISTICS = ("mean", "sd", "low", "high")


def _statistics(found: MeanInterval | None) -> Sequence[float | None]:
    return (None,) * len(_STATISTICS) if found is None else (found.mean, found.sd, found.low, found.high)


def _asked(outcome: RuleOutcome) -> tuple[str, str, str]:
    return outcome.asked.label, outcome.asked.family, outcome.asked.rule.describe()


def _exact(value: float | None) -> str:
    return "" if value is None else repr(value)
