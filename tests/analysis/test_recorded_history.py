"""Rules replayed on a run's metrics, against values computed by hand and against the rules as they decide live."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.analysis.arms import Experiment
from stopcli.analysis.recorded_history import RecordedHistory
from stopcli.analysis.replay import LabelledRule, replay_experiment
from stopcli.configs.moons import MoonsConfig
from stopcli.report.frontier import pareto_front
from stopcli.runs.metrics import Columns
from stopcli.runs.run import Run
from stopcli.runs.status import Status
from stopcli.stopping import AnyOf, BestEpoch, BestState, Patience, Rule, RuleRunner
from stopcli.stopping.combine import parse_rule

LOSSES = [1.0, 0.8, 0.9, 0.7, 0.75, 0.8, 0.5, 0.6, 0.65, 0.7]


def run_of(columns: dict[str, Any], **settings: Any) -> Run:
    """A run that is nowhere on the disk."""
    n = len(next(iter(columns.values())))
    counts = {"epoch": np.arange(1.0, n + 1), "step": np.arange(1.0, n + 1)}
    run = Run(Path("run"), Status(state="finished"))
    metrics: Columns = {**counts, **{name: np.array(values, float) for name, values in columns.items()}}
    # What it would read from its files.
    run.__dict__.update(metrics=metrics, config={"command": "moons"}, settings={"epochs": n, **settings})
    return run


def history(select: str = "val_loss", **settings: Any) -> RecordedHistory:
    accuracies = [0.5, 0.6, 0.6, 0.7, 0.9, 0.7, 0.8, 0.8, 0.8, 0.7]
    columns = {"loss": LOSSES, "val_loss": LOSSES, "val_accuracy": accuracies}
    if settings.get("validation") == "holdout":
        columns["test_accuracy"] = [accuracy - 0.05 for accuracy in accuracies]
    return RecordedHistory(run_of(columns, **settings), BestEpoch(select))


def test_what_a_rule_saves_and_loses_by_hand() -> None:
    # 0.7 at epoch 4 is not beaten at 5 and 6, so patience 2 stops there; the best of all is 0.5 at 7.
    replay = history().replay(Patience(2))
    assert replay.fired
    assert replay.values == pytest.approx(
        {
            "epochs": 6, "epochs_saved": 4, "share_saved": 0.4, "stop_value": 0.8, "stop_accuracy": 0.7,
            "kept_epoch": 4, "kept_value": 0.7, "kept_accuracy": 0.7,
            "best_epoch": 7, "best_value": 0.5, "best_accuracy": 0.8, "regret": 0.2, "accuracy_lost": 0.1,
        }
    )  # fmt: skip


def test_the_kept_epoch_is_that_of_the_selecting_metric() -> None:
    # Selected by accuracy, epoch 4 of 1 to 6 gives way to epoch 5, which is the best of all.
    replay = history("val_accuracy").replay(Patience(2)).values
    assert (replay["kept_epoch"], replay["kept_value"], replay["regret"]) == (5, 0.9, 0)
    # Held-out test rows tell the accuracy, and are not asked which epoch to keep.
    replay = history(validation="holdout").replay(Patience(2)).values
    assert (replay["kept_epoch"], replay["kept_accuracy"]) == (4, pytest.approx(0.65))


def test_a_stop_beyond_the_recording_is_told_from_the_end_of_a_whole_run() -> None:
    whole, cut = history().replay(Patience(9)), history(epochs=50).replay(Patience(9))
    assert not whole.fired
    assert not cut.fired
    assert (whole.history.complete, cut.history.complete) == (True, False)
    assert cut.values["epochs"] == 10
    assert cut.values["regret"] == 0


def test_a_run_breaks_off_where_a_metric_is_no_number() -> None:
    columns = {"loss": [1.0, 0.5, math.nan, 0.1], "val_loss": [1.0, 0.9, 0.1, 0.1]}
    run = RecordedHistory(run_of(columns), BestEpoch("val_loss"))
    replay = run.replay(Patience(5))
    assert (replay.fired, replay.epoch, run.epochs) == (False, 3, 3)
    # The model of epoch 3 is broken, although its validation loss is the lowest.
    assert replay.selected == 2
    assert run.replay(parse_rule("threshold:0.95")).epoch == 2
    # Nothing is selected of a run whose first metrics are not finite.
    first = RecordedHistory(run_of({"loss": [math.inf], "val_loss": [1.0]}), BestEpoch("val_loss")).replay(Patience(1))
    assert first.selected == 0
    assert set(first.values) == {"epochs", "epochs_saved", "share_saved", "stop_value"}


def test_runs_are_summed_up_with_those_in_which_the_rule_did_not_fire() -> None:
    rising, falling = run_of({"val_loss": [1.0, 2.0, 3.0, 4.0]}), run_of({"val_loss": [4.0, 3.0, 2.0, 1.0]}, seed=1)
    experiment = Experiment("moons", (rising, falling))
    (result,) = replay_experiment(experiment, [LabelledRule("patience:2", Patience(2))], BestEpoch("val_loss")).rules
    assert (result.not_fired, result.values("epochs"), result.mean("epochs")) == (1, [3, 4], 3.5)
    interval = result.interval("epochs")
    assert interval is not None
    assert (interval.n, interval.low) == (2, None)
    assert result.values("kept_accuracy") == []
    assert result.interval("kept_accuracy") is None
    assert result.by_seed("kept_epoch") == result.by_seed("best_epoch") == {0: 1, 1: 4}


_loss = st.one_of(st.integers(1, 9).map(lambda n: float(np.float32(n / 10))), st.floats(0, 2, width=32))
_broken = st.one_of(*[_loss] * 20, st.sampled_from([math.nan, math.inf]))
_series = st.lists(st.tuples(_broken, _broken, st.floats(0, 1, width=32)), min_size=1, max_size=40)


@given(
    _series,
    st.builds(
        MoonsConfig,
        patience=st.one_of(st.none(), st.integers(0, 8)),
        monitor=st.sampled_from(["val_loss", "val_accuracy"]),
        min_delta=st.sampled_from([0.0, 0.1, 0.001]),
        baseline=st.sampled_from([None, 0.5]),
        start_from_epoch=st.integers(0, 5),
        threshold=st.sampled_from([None, 0.2]),
        stop=st.sampled_from([(), ("gl:5",), ("pq:0.5",), ("up:2",), ("up:1:3", "gl:50"), ("pq:1:2", "threshold:0.1")]),
    ),
)
def test_a_replay_is_what_the_rules_of_a_run_decide_live(
    series: list[tuple[float, float, float]], config: MoonsConfig
) -> None:
    names = ("loss", "val_loss", "val_accuracy")
    plan = config.stop_plan(1)
    judge, best, verdict, epoch = RuleRunner(plan.rule), BestState(), None, 0
    # As the trainer has it.
    for epoch, row in enumerate(series, start=1):
        metrics = {**dict(zip(names, row, strict=True)), "accuracy": 0.5}
        verdict = judge.update(epoch, metrics)
        if verdict is None or verdict.reason != "non_finite":
            best = plan.best_monitored.update(best, epoch, metrics)
        if verdict is not None:
            break

    columns = {name: [row[i] for row in series] for i, name in enumerate(names)}
    run = run_of({**columns, "accuracy": [0.5] * len(series)})
    # The rules alone: that no metric may be NaN is a matter of the history.
    rules: tuple[Rule[Any], ...] = plan.rule.rules[1:]  # type: ignore[attr-defined]
    first = RecordedHistory(run, plan.best_monitored).replay(AnyOf(rules or (Patience(1000),)))
    assert first.epoch == epoch
    assert first.verdict == verdict
    selected = (first.selected, first.history.values_at(first.selected)[0]) if first.selected else (0, None)
    assert selected == tuple(best)
    assert min(first.values.get("regret", 0), first.values["epochs_saved"]) >= 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_else_beats(points: list[tuple[int, int]]) -> None:
    front = pareto_front([x for x, _ in points], [y for _, y in points])

    def beaten(point: tuple[int, int]) -> bool:
        return any(x <= point[0] and y <= point[1] and (x, y) != point for x, y in points)

    assert {points[i] for i in front} == {point for point in points if not beaten(point)}
    assert [points[i] for i in front] == sorted({points[i] for i in front})
