"""Best epoch, threshold, non-finite, composition; and that every rule survives being saved."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import ConfigError, MetricError
from stopcli.runs.typed_json import from_json, to_json
from stopcli.stopping import (
    AllOf,
    AnyOf,
    AtCycleEnds,
    BestEpoch,
    BestState,
    GeneralizationLoss,
    NonFinite,
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

RULES: list[Rule[Any]] = [
    Patience(3),
    Patience(2, "val_accuracy", "max", 0.25, 0.5, 1),
    Threshold(0.25),
    Threshold(0.75, "val_accuracy"),
    NonFinite(("loss", "val_loss")),
    AnyOf((NonFinite(("val_loss",)), Patience(4), Threshold(0.1))),
    AnyOf((AnyOf((Patience(5), Threshold(0.1))), NonFinite(("loss",)))),
    AtCycleEnds(Patience(2), 7, 3),
    GeneralizationLoss(3.0),
    ProgressQuotient(0.5, 3),
    SuccessiveIncreases(2, 2),
    AnyOf((AtCycleEnds(SuccessiveIncreases(1, 1), 4, 2), ProgressQuotient(0.75))),
    Patience(2, min_delta="2.5%"),
    SmoothedRule(Patience(3), 0.9),
    SmoothedRule(ProgressQuotient(0.5, 3), 0.5),
    AllOf((Patience(2), Patience(3, "val_accuracy"))),
    AtCycleEnds(AllOf((Patience(1), SmoothedRule(SuccessiveIncreases(1, 2), 0.5))), 4, 3),
]

values = st.floats(0, 1, width=32)
epochs_of_metrics = st.lists(
    st.fixed_dictionaries({"loss": values, "val_loss": values, "val_accuracy": values}), min_size=1, max_size=40
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.describe())
@given(metrics=epochs_of_metrics, cut=st.integers(0, 40))
def test_a_rule_goes_on_after_it_was_saved_as_if_it_had_not_been(
    rule: Rule[Any], metrics: list[dict[str, float]], cut: int
) -> None:
    whole = RuleRunner(rule)
    verdicts = [whole.update(epoch, m) for epoch, m in enumerate(metrics, start=1)]

    again = RuleRunner(rule)
    for epoch, m in enumerate(metrics[:cut], start=1):
        again.update(epoch, m)
    # Through JSON, which is what a file holds.
    restored = rule_from_dict(json.loads(json.dumps(rule.to_dict())))
    assert restored == rule
    resumed = RuleRunner(restored)
    resumed.state = restored.state_from_dict(json.loads(json.dumps(rule.state_to_dict(again.state))))
    assert resumed.state == again.state
    later = [resumed.update(epoch, m) for epoch, m in enumerate(metrics[cut:], start=min(cut, len(metrics)) + 1)]
    assert later == verdicts[cut:]
    assert resumed.state == whole.state


@given(epochs_of_metrics)
def test_composition_stops_with_the_first_of_its_rules(metrics: list[dict[str, float]]) -> None:
    rules = (Patience(3), Threshold(0.25), Threshold(0.9, "val_accuracy"))
    together, alone = RuleRunner(AnyOf(rules)), [RuleRunner(rule) for rule in rules]
    for epoch, m in enumerate(metrics, start=1):
        verdicts = [judge.update(epoch, m) for judge in alone]
        assert together.update(epoch, m) == next((v for v in verdicts if v), None)


def test_a_threshold_stops_where_the_value_is_reached() -> None:
    judge = RuleRunner(Threshold(0.5))
    assert judge.update(1, {"val_loss": 0.75}) is None
    verdict = judge.update(2, {"val_loss": 0.5})
    assert verdict is not None
    assert (verdict.reason, verdict.epoch, verdict.best_value, verdict.margin) == ("threshold", 2, 0.5, 0.0)

    judge = RuleRunner(Threshold(0.5, "val_accuracy"))
    assert judge.update(1, {"val_accuracy": 0.25}) is None
    assert judge.update(2, {"val_accuracy": 0.625}) is not None


@pytest.mark.parametrize("value", [0.9, 0.95, 0.7, 0.3, 0.8, 1e300])
def test_a_threshold_that_is_reached_exactly_is_reached(value: float) -> None:
    """63 of 70 right are 0.9 in float32, as metrics are computed, and less than 0.9 in float64."""
    with np.errstate(over="ignore"):
        reached = float(np.float32(value))
    for name in ("val_accuracy", "val_loss"):
        rule = Threshold(value, name)
        assert RuleRunner(rule).update(1, {name: reached}) is not None
        assert rule.scan([np.array([reached])]) is not None
    short = reached * (1 - 1e-6)
    if np.isfinite(reached):
        assert RuleRunner(Threshold(value, "val_accuracy")).update(1, {"val_accuracy": short}) is None
        assert Threshold(value, "val_accuracy").scan([np.array([short])]) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_names_the_metric(value: float) -> None:
    judge = RuleRunner(NonFinite(("loss", "val_loss")))
    assert judge.update(1, {"loss": 1.0, "val_loss": 1.0}) is None
    verdict = judge.update(2, {"loss": 1.0, "val_loss": value})
    assert verdict is not None
    assert verdict.reason == "non_finite"
    assert verdict.rule.startswith(f"val_loss is {value}")


@given(st.lists(st.floats(width=32), min_size=1, max_size=50), st.integers(0, 10))
def test_the_best_epoch_is_the_first_raw_best_of_the_finite_values(values: list[float], start: int) -> None:
    best, state, epochs = BestEpoch("val_loss", start_from_epoch=start), BestState(), []
    for epoch, value in enumerate(values, start=1):
        state = best.update(state, epoch, {"val_loss": value})
        epochs.append(state.epoch)
    # Of all epochs at once the same, and upside down too.
    assert best.epochs({"val_loss": np.array(values)}).tolist() == epochs
    highest = BestEpoch("val_loss", "max", start)
    assert highest.epochs({"val_loss": -np.array(values)}).tolist() == epochs
    counted = {e: v for e, v in enumerate(values, start=1) if e > start and math.isfinite(v)}
    if counted:
        lowest = min(counted.values())
        assert state == BestState(min(e for e, v in counted.items() if v == lowest), lowest)
    else:
        assert state == BestState(0, None)


# Close enough to be one number in float32, or too large for it, as no metric that was computed in float32 is.
close = st.one_of(
    st.integers(0, 4).map(lambda n: 0.3 + n * 1e-9), st.sampled_from([0.2, 0.4, 1e300, 1e301, math.nan, math.inf])
)


@given(st.lists(close, min_size=1, max_size=20), st.integers(0, 4))
def test_values_that_are_one_number_in_float32_are_equally_good(values: list[float], start: int) -> None:
    best, state, epochs = BestEpoch("val_loss", start_from_epoch=start), BestState(), []
    for epoch, value in enumerate(values, start=1):
        state = best.update(state, epoch, {"val_loss": value})
        epochs.append(state.epoch)
    assert best.epochs({"val_loss": np.array(values)}).tolist() == epochs
    assert BestEpoch("val_loss", "max", start).epochs({"val_loss": -np.array(values)}).tolist() == epochs
    # And the rule with patience names the same epoch, seen whole or epoch by epoch.
    finite = [value for value in values if math.isfinite(value)]
    patience = Patience(2, start_from_epoch=start)
    whole = patience.first_stop({"val_loss": np.array(finite)})
    judge, verdict, until = RuleRunner(patience), None, 0
    while verdict is None and until < len(finite):
        until += 1
        verdict = judge.update(until, {"val_loss": finite[until - 1]})
    assert verdict == whole
    if whole is not None:
        assert whole.best_epoch == best.epochs({"val_loss": np.array(finite[:until])})[-1]


def test_the_first_of_two_values_that_float32_does_not_tell_apart_is_the_best() -> None:
    lower = {"val_loss": np.array([0.3, 0.3 - 1e-9, 0.3 - 1e-9])}
    assert lower["val_loss"][1] < lower["val_loss"][0]
    assert BestEpoch("val_loss").epochs(lower).tolist() == [1, 1, 1]
    verdict = Patience(2).first_stop(lower)
    assert verdict is not None
    assert (verdict.epoch, verdict.best_epoch, verdict.best_value) == (3, 1, 0.3)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.describe())
def test_every_rule_names_a_missing_metric(rule: Rule[Any]) -> None:
    with pytest.raises(MetricError, match="recorded metrics: hue"):
        RuleRunner(rule).update(1, {"hue": 1.0})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Threshold(math.nan), "threshold: received nan, expected a finite number"),
        (lambda: Threshold(0.1, "hue"), "the name 'hue' does not tell"),
        (lambda: NonFinite(()), "the names of one metric or more"),
        (lambda: AnyOf(()), "one rule or more"),
        (lambda: BestEpoch("hue"), "the name 'hue' does not tell"),
        (lambda: rule_from_dict({"kind": "hunch"}), "kind: received 'hunch', expected one of patience"),
        (
            lambda: rule_from_dict({"kind": "patience", "patience": 1, "zeal": 2}),
            "zeal: received 2, expected the name of",
        ),
        (lambda: rule_from_dict({"kind": "patience"}), "kind: received 'patience', expected patience beside it"),
        (lambda: parse_rule("gl:-1"), "stop: received 'gl:-1', expected a finite number ≥ 0 as alpha"),
    ],
)
def test_bad_rules_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_summary_says_what_the_margin_is_of_where_the_run_monitors_another_metric() -> None:
    rows = [{"val_loss": 0.5}, {"val_loss": 0.75}]
    for rule, metric in ((Patience(1), "val_loss"), (SmoothedRule(Patience(1), 0.5), "smoothed val_loss")):
        runner = RuleRunner(rule)
        verdict = [runner.update(epoch, row) for epoch, row in enumerate(rows, start=1)][-1]
        assert verdict is not None
        assert verdict.metric == metric
        other = to_json(verdict.with_best("val_accuracy", 3, 0.9))
        assert (other["metric"], other["best_epoch"], other["best_value"]) == (metric, 3, 0.9)
        assert from_json(Verdict, other) == verdict.with_best("val_accuracy", 3, 0.9)
        assert ("metric" in to_json(verdict.with_best("val_loss", 1, 0.5))) == (metric != "val_loss")
