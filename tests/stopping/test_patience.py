"""Patience by itself; test_keras_equivalence.py holds it against Keras's own callback."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import ConfigError, MetricError
from stopcli.stopping import Patience, RuleRunner, Verdict


def stop_of(values: Sequence[float], **options: Any) -> Verdict | None:
    """The verdict of a patience rule on these values of val_loss, one an epoch."""
    judge = RuleRunner(Patience(**options))
    for epoch, value in enumerate(values, start=1):
        verdict = judge.update(epoch, {"val_loss": value})
        if verdict is not None:
            return verdict
    return None


def test_stops_when_the_wait_is_over_and_says_why() -> None:
    verdict = stop_of([3.0, 2.0, 2.5, 2.25, 2.75], patience=3)
    assert verdict == Verdict(
        "patience", "val_loss patience=3", 5, wait=3, best_epoch=2, best_value=2.0, margin=0.75, metric="val_loss"
    )


@pytest.mark.parametrize("patience", [0, 1])
def test_patience_0_and_1_stop_at_the_first_epoch_without_improvement(patience: int) -> None:
    verdict = stop_of([3.0, 2.0, 2.0], patience=patience)
    assert verdict is not None
    assert verdict.epoch == 3


def test_an_equal_value_is_no_improvement() -> None:
    verdict = stop_of([1.0] * 10, patience=4)
    assert verdict is not None
    assert (verdict.epoch, verdict.best_epoch) == (5, 1)


def test_min_delta_moves_the_wait_but_not_the_best() -> None:
    # Each step is smaller than min_delta, so none resets the wait; but the last of them is the best seen.
    verdict = stop_of([1.0, 0.96, 0.92, 0.91, 0.93], patience=4, min_delta=0.5)
    assert verdict is not None
    assert (verdict.epoch, verdict.wait, verdict.best_epoch, verdict.best_value) == (5, 4, 4, 0.91)
    assert verdict.margin == pytest.approx(0.02)


def test_a_baseline_that_is_never_met_stops_although_the_metric_improves() -> None:
    verdict = stop_of([1.0 - 0.01 * i for i in range(50)], patience=5, baseline=0.1)
    assert verdict is not None
    assert (verdict.epoch, verdict.reason) == (5, "baseline")


def test_a_baseline_that_was_met_stops_by_patience() -> None:
    verdict = stop_of([1.0, 0.4, 0.6, 0.6, 0.6], patience=3, baseline=0.5)
    assert verdict is not None
    assert (verdict.epoch, verdict.reason) == (5, "patience")


def test_epochs_before_the_start_are_not_watched() -> None:
    # The low value of epoch 1 would otherwise be the best for ever.
    verdict = stop_of([0.1, 5.0, 4.0, 3.0, 3.5, 3.5], patience=2, start_from_epoch=2)
    assert verdict is not None
    assert (verdict.epoch, verdict.best_epoch, verdict.best_value) == (6, 4, 3.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("before", [[], [1.0, 0.5]])
def test_a_value_that_is_no_number_ends_the_run(value: float, before: list[float]) -> None:
    verdict = stop_of([*before, value], patience=100)
    assert verdict is not None
    assert (verdict.reason, verdict.epoch) == ("non_finite", len(before) + 1)


def test_a_missing_metric_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(MetricError, match="epoch 1 has no metric 'val_loss'; recorded metrics: accuracy, loss"):
        RuleRunner(Patience(1)).update(1, {"loss": 1.0, "accuracy": 1.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": -1}, "patience: received -1, expected a whole number ≥ 0"),
        ({"patience": 1, "min_delta": -0.5}, "min_delta: received -0.5"),
        ({"patience": 1, "min_delta": math.nan}, "min_delta: received nan"),
        ({"patience": 1, "baseline": math.inf}, "baseline: received inf"),
        ({"patience": 1, "start_from_epoch": -2}, "start_from_epoch: received -2"),
        ({"patience": 1, "mode": "up"}, "mode: received 'up'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Patience(**options)


def test_progress_and_description_tell_the_options() -> None:
    rule = Patience(200, "val_accuracy", min_delta=0.001, baseline=0.5, start_from_epoch=10)
    judge = RuleRunner(rule)
    for epoch in range(1, 21):
        judge.update(epoch, {"val_accuracy": 0.9})
    assert judge.progress() == "wait 9/200"
    assert rule.describe() == "val_accuracy patience=200 min_delta=0.001 baseline=0.5 start_from_epoch=10"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(0, 10), st.floats(0, 10))
def test_max_is_min_upside_down(values: list[float], patience: int, min_delta: float) -> None:
    lower = stop_of(values, patience=patience, min_delta=min_delta, mode="min")
    higher = stop_of([-v for v in values], patience=patience, min_delta=min_delta, mode="max")
    assert (lower is None) == (higher is None)
    if lower and higher:
        assert (lower.epoch, lower.wait, lower.best_epoch) == (higher.epoch, higher.wait, higher.best_epoch)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(0, 10))
def test_more_patience_never_stops_earlier(values: list[float], patience: int) -> None:
    less, more = stop_of(values, patience=patience), stop_of(values, patience=patience + 1)
    if more is not None:
        assert less is not None
        assert less.epoch <= more.epoch


def torch_stop(values: Sequence[float], patience: int, share: float, mode: str) -> int | None:
    """The epoch in which PyTorch's `ReduceLROnPlateau(mode, patience=patience - 1, threshold=share)` reduces first,
    whose threshold is relative by default. In float32."""
    best, bad = np.float32(math.inf if mode == "min" else -math.inf), 0
    for epoch, value in enumerate(np.array(values, np.float32), start=1):
        if value < np.float32(best * (1 - share)) if mode == "min" else value > np.float32(best * (share + 1)):
            best, bad = float(value), 0
        else:
            bad += 1
        if bad > patience - 1:
            return epoch
    return None


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_share_as_min_delta_is_pytorch_s_relative_threshold(mode: str) -> None:
    draw = random.Random(5)
    stops = []
    for _ in range(500):
        walk = np.cumsum([draw.gauss(0, 0.03) for _ in range(40)])
        values = [float(np.float32(abs(1 + x))) for x in walk]
        patience, percent = draw.randint(1, 10), draw.choice([0.1, 1, 5, 20])
        rule = Patience(patience, mode=mode, min_delta=f"{percent}%")
        verdict = stop_of(values, patience=patience, mode=mode, min_delta=f"{percent}%")
        expected = torch_stop(values, patience, percent / 100, mode)
        assert (verdict.epoch if verdict else None) == expected, (values, patience, percent)
        assert rule.first_stop({"val_loss": np.array(values)}) == verdict
        stops.append(expected)
    assert len(set(stops)) > 20


@pytest.mark.parametrize(
    ("mode", "values", "stop"),
    [
        # 1 % of a best of −10 is 0.1, whichever sign the best has: −9.95 is worse, −10.05 too little.
        ("min", [-10.0, -9.95, -10.05, -10.05], 4),
        ("min", [-10.0, -9.95, -10.2, -9.0], None),
        ("max", [-10.0, -10.05, -9.95, -9.95], 4),
        ("max", [-10.0, -10.05, -9.8, -11.0], None),
        # Of nothing, every change is one.
        ("min", [0.0, 0.0, -1e-9, 0.0], None),
    ],
)
def test_a_share_is_of_the_size_of_the_best_value(mode: str, values: list[float], stop: int | None) -> None:
    verdict = stop_of(values, patience=3, mode=mode, min_delta="1%")
    assert (verdict.epoch if verdict else None) == stop
    assert Patience(3, mode=mode, min_delta="1%").first_stop({"val_loss": np.array(values)}) == verdict


def test_a_baseline_has_to_be_beaten_by_the_share() -> None:
    values = [0.96, 0.955, 0.951, 0.951]
    verdict = stop_of(values, patience=3, min_delta="5%", baseline=1.0)
    assert verdict is not None
    assert (verdict.reason, verdict.epoch) == ("baseline", 3)
    assert stop_of([0.99, 0.93, 0.93, 0.93], patience=3, min_delta="5%", baseline=1.0) is None


def test_a_share_is_written_in_one_way() -> None:
    assert Patience(3, min_delta="1.0%") == Patience(3, min_delta="1%") == Patience(3, min_delta=" 1%".strip())
    assert Patience(3, min_delta="0%") == Patience(3)
    assert Patience(3, min_delta="0.5%").describe() == "val_loss patience=3 min_delta=0.5%"
    for wrong in ("1", "%", "one%", "-1%", "100%", "nan%", ""):
        with pytest.raises(ConfigError, match=r"min_delta: received .*, expected a finite number ≥ 0, or a share"):
            Patience(3, min_delta=wrong)
