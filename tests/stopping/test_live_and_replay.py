"""One verdict however a rule is run: epoch by epoch, on whole columns, resumed in the middle, recorded, in Keras."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from keras_stops import StubModel

from stopcli.analysis.recorded_history import RecordedHistory
from stopcli.errors import MetricError
from stopcli.runner.epoch_rules import EpochRules
from stopcli.runs.headline import ACCURACY
from stopcli.stopping import (
    AllOf,
    AnyOf,
    AtCycleEnds,
    BestEpoch,
    GeneralizationLoss,
    Patience,
    ProgressQuotient,
    Rule,
    RuleRunner,
    SmoothedRule,
    SuccessiveIncreases,
    Threshold,
    Verdict,
    rule_from_dict,
)
from stopcli.stopping.combine import parse_rule
from stopcli.stopping.smooth import RunColumns

Case = tuple[Rule[Any], list[dict[str, float]]]
METRICS = ("loss", "val_loss", "val_accuracy")
SMOOTH = (0.0, 0.3, 0.9, 0.99)


def random_rule(draw: random.Random) -> Rule[Any]:
    """A rule of those that are made of others, or of one with a share as its min_delta."""

    def simple() -> Rule[Any]:
        patience = Patience(
            draw.randint(0, 6),
            draw.choice(["val_loss", "val_accuracy", "loss"]),
            min_delta=draw.choice([0.0, 0.02, "1%", "10%"]),
            baseline=draw.choice([None, None, 0.5]),
            start_from_epoch=draw.choice([0, 0, 3]),
        )
        others = (GeneralizationLoss(draw.choice([0, 2, 20])), ProgressQuotient(0.5, draw.randint(1, 5)))
        more = (SuccessiveIncreases(draw.randint(1, 3), draw.randint(1, 4)), Threshold(0.4), patience, patience)
        rule = draw.choice([*others, *more])
        return SmoothedRule(rule, draw.choice(SMOOTH)) if draw.random() < 0.4 else rule

    rules = tuple(simple() for _ in range(draw.randint(1, 3)))
    made_of = [AllOf(rules), AllOf(rules), AnyOf(rules), AtCycleEnds(AllOf(rules), draw.randint(2, 9), 2), rules[0]]
    made_of += [SmoothedRule(AllOf(rules), draw.choice(SMOOTH)), SmoothedRule(AnyOf(rules), draw.choice(SMOOTH))]
    made_of += [AllOf((AnyOf(rules), Patience(3))), AnyOf((AllOf(rules), Patience(12)))]
    return draw.choice(made_of)


def random_curves(draw: random.Random) -> list[dict[str, float]]:
    """Curves of float32 values on a grid, so that there are ties; now and then a value that is not finite."""
    epochs, broken = draw.randint(1, 50), draw.choice([0, 0, 0, draw.randint(1, 50)])
    level = {"loss": 60, "val_loss": 60, "val_accuracy": 30}
    rows = []
    for epoch in range(1, epochs + 1):
        level = {name: max(0, value + draw.randint(-6, 5)) for name, value in level.items()}
        row = {name: float(np.float32(value / 100)) for name, value in level.items()}
        rows.append({**row, draw.choice([*row]): float("nan")} if epoch == broken else row)
    return rows


def random_cases(number: int) -> list[Case]:
    draw = random.Random(17)
    return [(random_rule(draw), random_curves(draw)) for _ in range(number)]


def columns_of(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def live(rule: Rule[Any], rows: list[dict[str, float]]) -> Verdict | None:
    runner = RuleRunner(rule)
    verdicts = (runner.update(epoch, row) for epoch, row in enumerate(rows, start=1))
    return next(filter(None, verdicts), None)


def test_whole_columns_give_the_verdict_of_the_epochs() -> None:
    fired = 0
    for rule, rows in random_cases(800):
        columns, verdict = columns_of(rows), live(rule, rows)
        assert rule.first_stop(columns) == verdict, (rule, rows)
        memory = RunColumns(columns)
        assert [rule.first_stop(memory), rule.first_stop(memory)] == [verdict, verdict]
        fired += verdict is not None and verdict.reason != "non_finite"
    assert 300 < fired < 750


def test_a_rule_that_was_saved_in_the_middle_gives_it_too() -> None:
    draw = random.Random(3)
    for rule, rows in random_cases(500):
        verdict = live(rule, rows)
        cut = draw.randrange(verdict.epoch if verdict else len(rows))
        before = RuleRunner(rule)
        assert [before.update(epoch, row) for epoch, row in enumerate(rows[:cut], start=1)] == [None] * cut
        # Through JSON, as in a file.
        restored = rule_from_dict(json.loads(json.dumps(rule.to_dict())))
        after = RuleRunner(restored)
        after.state = restored.state_from_dict(json.loads(json.dumps(rule.state_to_dict(before.state))))
        verdicts = (after.update(epoch, row) for epoch, row in enumerate(rows[cut:], start=cut + 1))
        assert next(filter(None, verdicts), None) == verdict, (rule, rows)


def test_a_recorder_gives_it_too() -> None:
    for rule, curves in random_cases(500):
        # A Recorder also ends a run where a metric that the rule does not read is not finite.
        rows = [row for row in curves if all(map(np.isfinite, row.values()))]
        recorded = EpochRules(rule, None, "")
        recorded.set_names(METRICS)
        for epoch, row in enumerate(rows, start=1):
            if recorded.verdict is None:
                recorded.update(epoch, [*row], tuple(row.values()))
        assert recorded.verdict == live(rule, rows), (rule, rows)


@pytest.mark.usefixtures("tensorflow")
def test_keras_s_callback_gives_it_too() -> None:
    from stopcli import StopOnRule

    for rule, rows in random_cases(500):
        stop = StopOnRule(rule)
        stop.set_model(StubModel())
        stop.on_train_begin()
        for epoch, row in enumerate(rows):
            stop.on_epoch_end(epoch, row)
            if stop.model.stop_training:
                break
        assert stop.verdict == live(rule, rows), (rule, rows)


@pytest.mark.usefixtures("tensorflow")
def test_so_they_do_where_not_every_epoch_is_validated() -> None:
    from stopcli import StopOnRule

    draw = random.Random(4)
    fired = 0
    for rule, curves in random_cases(300):
        finite = [row for row in curves if all(map(np.isfinite, row.values()))]
        rows = [row if i % 3 == 0 or draw.random() < 0.5 else {"loss": row["loss"]} for i, row in enumerate(finite)]
        recorded, stop = EpochRules(rule, None, ""), StopOnRule(rule)
        recorded.set_names(METRICS)
        stop.set_model(StubModel())
        stop.on_train_begin()
        for epoch, row in enumerate(rows):
            recorded.update(epoch + 1, METRICS, tuple(row.get(name) for name in METRICS))
            stop.on_epoch_begin(epoch)
            if "val_loss" in row:
                stop.on_test_end()
            stop.on_epoch_end(epoch, row)
            if recorded.verdict:
                break
        assert stop.verdict == recorded.verdict, (rule, rows)
        columns = {name: np.array([row.get(name, np.nan) for row in rows]) for name in METRICS}
        missing = {name: np.isnan(columns[name]) for name in METRICS[1:]}
        run: Any = SimpleNamespace(metrics=columns, missing=missing, headline=ACCURACY)
        assert RecordedHistory(run, BestEpoch("loss")).replay(rule).verdict == recorded.verdict, (rule, rows)
        fired += recorded.verdict is not None
    assert fired > 100


def first_of_patience(values: list[float], patience: int, *, lower: bool) -> int | None:
    """Where patience stops, by its definition: the first epoch so many epochs after the first best one so far."""
    for epoch in range(2, len(values) + 1):
        best = (min if lower else max)(values[:epoch])
        if epoch - (values.index(best) + 1) >= max(patience, 1):
            return epoch
    return None


def test_all_stops_where_the_last_of_its_rules_has_stopped_by_itself() -> None:
    draw = random.Random(8)
    stops = set()
    for _ in range(500):
        rows = random_curves(draw)
        rows = [row for row in rows if all(map(np.isfinite, row.values()))]
        if not rows:
            continue
        one, other = draw.randint(0, 6), draw.randint(0, 6)
        rule = parse_rule(f"all(patience:{one}@val_loss, patience:{other}@val_accuracy)")
        firsts = [
            first_of_patience([row["val_loss"] for row in rows], one, lower=True),
            first_of_patience([row["val_accuracy"] for row in rows], other, lower=False),
        ]
        expected = None if None in firsts else max(first for first in firsts if first)
        verdict = live(rule, rows)
        assert (verdict.epoch if verdict else None) == expected, (rule, rows)
        stops.add(expected)
    assert len(stops) > 20


def test_a_rule_that_has_fired_has_fired() -> None:
    # Patience on val_loss fires in epoch 3, and val_loss is better than ever from epoch 4 on.
    losses = [1.0, 1.1, 1.1, 0.9, 0.8, 0.7, 0.6]
    accuracies = [0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8]
    rule = AllOf((Patience(2), Patience(2, "val_accuracy")))
    runner = RuleRunner(rule)
    rows = [{"val_loss": x, "val_accuracy": y} for x, y in zip(losses, accuracies, strict=True)]
    texts = []
    for epoch, row in enumerate(rows, start=1):
        verdict = runner.update(epoch, row)
        texts.append(runner.progress())
        assert (verdict is not None) == (epoch >= 6)
    assert texts[1:5] == [
        "0/2 fired, wait 1/2, wait 0/2",
        "1/2 fired, wait 0/2",
        "1/2 fired, wait 0/2",
        "1/2 fired, wait 1/2",
    ]
    assert live(rule, rows) == Verdict(
        "all_of", "val_loss patience=2 at epoch 3 and val_accuracy patience=2 at epoch 6", 6
    )


@pytest.mark.parametrize("name", ["val_loss", "val_accuracy"])
def test_all_ends_where_a_metric_of_any_of_its_rules_is_not_finite(name: str) -> None:
    rows = [{"val_loss": 1.0, "val_accuracy": 0.1 * epoch} for epoch in range(1, 9)]
    rows[5][name] = float("inf")
    rule = AllOf((Patience(2), Patience(2, "val_accuracy")))
    verdict = live(rule, rows)
    assert verdict == Verdict("non_finite", f"{name} is inf", 6)
    assert rule.first_stop(columns_of(rows)) == verdict


def test_what_a_rule_refuses_is_refused_only_while_it_has_not_fired() -> None:
    rule = AllOf((GeneralizationLoss(50), Patience(3, "val_accuracy")))
    rows = [{"val_loss": value, "val_accuracy": 0.5} for value in (1.0, 1.6, -1.0, 1.0)]
    verdict = live(rule, rows)
    assert verdict is not None
    assert verdict.epoch == 4
    assert rule.first_stop(columns_of(rows)) == verdict
    rows[1]["val_loss"] = 1.4
    for run in (lambda: live(rule, rows), lambda: rule.first_stop(columns_of(rows))):
        with pytest.raises(MetricError, match="epoch 3: val_loss is -1"):
            run()
