"""Smoothed metrics: the published formula, computed in another way, and Keras's EarlyStopping on what it gives."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from keras_stops import keras_stop

from stopcli.errors import ConfigError
from stopcli.stopping import GeneralizationLoss, Patience, ProgressQuotient, RuleRunner, SmoothedRule, Threshold
from stopcli.stopping.smooth import RunColumns


def by_the_formula(values: list[float], smooth: float) -> list[float]:
    """Each smoothed value as the weighted mean that it is: the newer by one epoch, the heavier by 1 / smooth."""
    averages = []
    for last in range(len(values)):
        weights = smooth ** np.arange(last, -1, -1.0)
        averages.append(float(np.float32(np.dot(weights, values[: last + 1]) / weights.sum())))
    return averages


def random_values(draw: random.Random, epochs: int = 40) -> list[float]:
    level, values = 1.0, []
    for _ in range(epochs):
        level = max(0.05, level + draw.gauss(-0.005, 0.05))
        values.append(float(np.float32(level)))
    return values


def test_values_are_those_of_the_formula_and_the_first_is_itself() -> None:
    draw = random.Random(0)
    for smooth in (0.0, 0.1, 0.6, 0.9, 0.999):
        values = random_values(draw, 200)
        smoothed = RunColumns({"x": np.array(values)}).smoothed("x", smooth)
        assert smoothed == pytest.approx(by_the_formula(values, smooth), rel=2e-7)
        assert smoothed[0] == values[0]
    # What is flat stays flat, to the last bit.
    flat = RunColumns({"x": np.full(500, np.float32(0.3), float)}).smoothed("x", 0.97)
    assert set(flat.tolist()) == {float(np.float32(0.3))}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.usefixtures("tensorflow")
def test_patience_on_smoothed_values_stops_where_keras_stops_on_them(mode: str) -> None:
    draw = random.Random(1)
    stops = []
    for _ in range(300):
        values, smooth = random_values(draw), draw.choice([0.3, 0.8, 0.95])
        options: dict[str, Any] = {"patience": draw.randint(1, 15), "min_delta": draw.choice([0, 0.01]), "mode": mode}
        rule = SmoothedRule(Patience(monitor="val_loss", **options), smooth)
        verdict = rule.first_stop({"val_loss": np.array(values)})
        stop, _ = keras_stop(by_the_formula(values, smooth), **options)
        assert (verdict.epoch if verdict else None) == stop, (values, smooth, options)
        stops.append(stop)
    assert 50 < sum(stop is not None for stop in stops) < 295


def test_a_verdict_says_that_it_is_on_smoothed_values() -> None:
    values = [1.0, 0.5, 0.9, 0.9, 0.9]
    runner = RuleRunner(SmoothedRule(Patience(2), 0.5))
    verdict = next(filter(None, (runner.update(i, {"val_loss": x}) for i, x in enumerate(values, start=1))))
    smoothed = by_the_formula(values, 0.5)
    assert verdict.rule == "smoothed val_loss patience=2 smooth=0.5"
    assert (verdict.metric, verdict.epoch, verdict.best_epoch) == ("smoothed val_loss", 4, 2)
    assert verdict.best_value == pytest.approx(min(smoothed))
    assert verdict.margin == pytest.approx(smoothed[3] - min(smoothed))
    assert runner.progress() == "smoothed wait 2/2"


def test_every_metric_of_a_rule_is_smoothed() -> None:
    draw = random.Random(2)
    # Values that fall, and then rise again.
    valley = abs(np.arange(40) - 15) / 20 + 0.5
    columns = {name: np.array(random_values(draw)) * valley for name in ("val_loss", "loss")}
    smoothed = {name: np.array(by_the_formula(values.tolist(), 0.8)) for name, values in columns.items()}
    for rule in (ProgressQuotient(0.5, 3), GeneralizationLoss(1), Threshold(0.7)):
        expected, verdict = rule.first_stop(smoothed), SmoothedRule(rule, 0.8).first_stop(columns)
        assert expected is not None
        assert verdict is not None
        assert (verdict.epoch, verdict.reason) == (expected.epoch, expected.reason)


@pytest.mark.parametrize("smooth", [1, 1.5, -0.1, float("nan"), True, "0.9"])
def test_a_smoothing_out_of_its_range_is_refused(smooth: Any) -> None:
    with pytest.raises(ConfigError, match="expected a number ≥ 0 and < 1"):
        SmoothedRule(Patience(2), smooth)
