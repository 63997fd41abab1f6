"""A rule that looks at all epochs of a run at once says exactly what it says epoch by epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stopcli.errors import MetricError
from stopcli.stopping import (
    AllOf,
    AnyOf,
    AtCycleEnds,
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
)
from stopcli.stopping.rule import Columns

METRICS = ("loss", "val_loss", "val_accuracy")
# Few different numbers make plateaus and ties; tenths are no binary numbers; all are float32, as in metrics.csv.
_tenths = st.integers(0, 12).map(lambda n: float(np.float32(n / 10)))
_numbers = st.one_of(_tenths, _tenths, st.floats(0, 3, width=32), st.sampled_from([0.0, -0.0, 1e-40, 3e38]))
_rarely_broken = st.one_of(*[_numbers] * 12, st.sampled_from([math.nan, math.inf, -math.inf, -0.5]))
_deltas = st.one_of(st.just(0.0), st.sampled_from([0.1, 0.2, 0.001, "1%", "10%", "50%"]), st.floats(0, 1))
_smooth = st.one_of(st.sampled_from([0.0, 0.5, 0.9, 0.99]), st.floats(0, 1, exclude_max=True))

_patience = st.builds(
    Patience,
    st.integers(0, 12),
    st.sampled_from(["val_loss", "val_accuracy"]),
    st.sampled_from(["auto", "min", "max"]),
    _deltas,
    st.one_of(st.none(), st.sampled_from([0.1, 0.3, 0.7]), st.floats(-1, 3)),
    st.integers(0, 8),
)
_single = st.one_of(
    _patience,
    st.builds(Threshold, st.one_of(_tenths, st.floats(-1, 3)), st.sampled_from(["val_loss", "val_accuracy"])),
    st.sampled_from([NonFinite(("loss",)), NonFinite(("val_accuracy", "loss"))]),
    st.builds(GeneralizationLoss, st.one_of(st.sampled_from([0, 5, 100]), st.floats(0, 300))),
    st.builds(ProgressQuotient, st.one_of(st.sampled_from([0, 0.1]), st.floats(0, 3)), st.integers(1, 7)),
    st.builds(SuccessiveIncreases, st.integers(1, 4), st.integers(1, 7)),
)
_rules: st.SearchStrategy[Rule[Any]] = st.one_of(
    _single,
    st.builds(lambda rules: AnyOf(tuple(rules)), st.lists(_single, min_size=1, max_size=4)),
    st.builds(AtCycleEnds, _single, st.integers(1, 9), st.integers(1, 4)),
    st.builds(SmoothedRule, _single, _smooth),
    st.builds(AtCycleEnds, st.builds(SmoothedRule, _single, _smooth), st.integers(1, 9), st.integers(1, 4)),
    st.builds(
        lambda rules: AllOf(tuple(rules)),
        st.lists(st.one_of(_single, st.builds(SmoothedRule, _single, _smooth)), min_size=1, max_size=4),
    ),
)


@st.composite
def _columns(draw: st.DrawFn) -> Columns:
    rows = draw(st.lists(st.tuples(*[_rarely_broken] * len(METRICS)), max_size=50))
    return {name: np.array([row[i] for row in rows], float) for i, name in enumerate(METRICS)}


def judged(rule: Rule[Any], columns: Columns) -> Verdict | str | None:
    """The first verdict epoch by epoch, as it is live; or the error that ends the run."""
    judge = RuleRunner(rule)
    for i in range(len(columns["loss"])):
        try:
            verdict = judge.update(i + 1, {name: float(values[i]) for name, values in columns.items()})
        except MetricError as error:
            return error.message
        if verdict is not None:
            return verdict
    return None


def scanned(rule: Rule[Any], columns: Columns) -> Verdict | str | None:
    try:
        return rule.first_stop(columns)
    except MetricError as error:
        return error.message


@given(_rules, _columns())
def test_whole_columns_and_single_epochs_give_the_same_verdict(rule: Rule[Any], columns: Columns) -> None:
    expected = judged(rule, columns)
    found = scanned(rule, columns)
    assert found == expected
    if isinstance(found, Verdict):
        # Plain numbers, as JSON can hold them.
        assert [type(value) for value in vars(found).values()] == [type(value) for value in vars(expected).values()]


# No loss at all is no rise above the lowest, though a ratio of both is not a number.
@example(ProgressQuotient(0, 1), {name: np.zeros(1) for name in ("loss", "val_loss", "val_accuracy")})
@given(_rules, _columns())
def test_no_rule_stops_before_the_epoch_that_it_says(rule: Rule[Any], columns: Columns) -> None:
    found = scanned(rule, columns)
    if isinstance(found, Verdict) and found.reason != "non_finite":
        assert found.epoch >= rule.earliest_stop


@pytest.mark.parametrize(
    ("rule", "earliest"),
    [
        (Patience(0), 2),
        (Patience(1), 2),
        (Patience(5), 6),
        (Patience(5, start_from_epoch=3), 9),
        (Patience(5, baseline=0.5), 5),
        (Patience(0, baseline=0.5), 2),
        (Threshold(7.0), 1),
        (GeneralizationLoss(1), 2),
        (ProgressQuotient(1, 1), 2),
        (ProgressQuotient(1, 4), 4),
        (SuccessiveIncreases(2, 3), 9),
        (AnyOf((Patience(5), GeneralizationLoss(1))), 2),
        (AllOf((Patience(5), GeneralizationLoss(1))), 6),
        (SmoothedRule(Patience(5), 0.5), 6),
        (AtCycleEnds(Patience(5), 8, 2), 8),
        (AtCycleEnds(Patience(3), 8, 2), 4),
        (AtCycleEnds(Threshold(7.0), 5, 2), 3),
        (AtCycleEnds(Patience(5), 1, 3), 6),
    ],
    ids=lambda value: value.describe() if isinstance(value, Rule) else "",
)
def test_a_rule_can_stop_after_the_epoch_that_it_says(rule: Rule[Any], earliest: int) -> None:
    rising = {"val_loss": 1 + np.arange(20.0), "loss": np.ones(20)}
    verdict = rule.first_stop(rising)
    assert verdict is not None
    assert (verdict.epoch, rule.earliest_stop) == (earliest, earliest)


@pytest.mark.parametrize("shape", ["falling", "rising", "flat", "valley", "noise", "valley and noise"])
def test_so_they_do_on_runs_of_thousands_of_epochs(shape: str) -> None:
    epochs, noise = np.arange(1, 4001), np.random.default_rng(7).normal(0, 0.01, (2, 4000))
    curves = {
        "falling": 1 / epochs,
        "rising": epochs / 4000,
        "flat": np.full(4000, 0.5),
        "valley": 0.3 + (epochs - 900) ** 2 / 1e7,
        "noise": 0.5 + noise[0],
        "valley and noise": 0.3 + (epochs - 900) ** 2 / 1e7 + noise[0],
    }
    exact = [values.astype(np.float32).astype(float) for values in (curves[shape], 1 / epochs + abs(noise[1]))]
    columns = {"val_loss": exact[0], "loss": exact[1], "val_accuracy": 1 - exact[0]}
    for rule in (
        *(Patience(p, min_delta=d) for p in (0, 5, 50, 500) for d in (0, 0.001, 0.1)),
        Patience(20, "val_accuracy", baseline=0.6, start_from_epoch=100),
        *(GeneralizationLoss(alpha) for alpha in (0.5, 5, 50)),
        *(ProgressQuotient(alpha, k) for alpha in (0.01, 0.75, 3) for k in (5, 40)),
        *(SuccessiveIncreases(s, k) for s in (1, 3, 8) for k in (5, 40)),
        Threshold(0.301),
        *(Patience(p, min_delta=d) for p in (5, 50) for d in ("0.1%", "20%")),
        *(
            SmoothedRule(rule, 0.9)
            for rule in (Patience(20), GeneralizationLoss(5), ProgressQuotient(0.75), Threshold(0.3))
        ),
        AllOf((Patience(20), SmoothedRule(Patience(20, "val_accuracy"), 0.9), SuccessiveIncreases(3, 5))),
    ):
        assert scanned(rule, columns) == judged(rule, columns), rule


def test_a_missing_metric_is_named_with_those_there_are() -> None:
    columns = {"loss": np.ones(3), "hue": np.ones(3)}
    for rule in (Patience(1), Threshold(0.5), GeneralizationLoss(1), ProgressQuotient(1), SuccessiveIncreases(1)):
        assert scanned(rule, columns) == "epoch 1 has no metric 'val_loss'; recorded metrics: hue, loss"
        assert scanned(AtCycleEnds(AnyOf((rule,)), 2, 1), columns) == scanned(rule, columns)


def test_a_loss_below_0_is_refused_where_no_rule_has_stopped_before() -> None:
    values = np.array([1.0, 1.5, -1.0])
    columns = {"val_loss": values, "loss": values}
    assert "epoch 3: val_loss is -1" in str(scanned(GeneralizationLoss(60), columns))
    assert "epoch 3: loss is -1" in str(scanned(ProgressQuotient(1), columns))
    verdict = AnyOf((GeneralizationLoss(60), Patience(1))).first_stop(columns)
    assert verdict is not None
    assert (verdict.reason, verdict.epoch) == ("patience", 2)
