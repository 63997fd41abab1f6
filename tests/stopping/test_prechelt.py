"""Prechelt's criteria against values computed by hand from the formulas of the paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import ConfigError, MetricError
from stopcli.stopping import (
    GeneralizationLoss,
    Patience,
    ProgressQuotient,
    Rule,
    RuleRunner,
    SuccessiveIncreases,
    Threshold,
)
from stopcli.stopping.combine import parse_rule
from stopcli.stopping.prechelt import generalization_loss, training_progress


def stop_of(rule: Rule[Any], validation: list[float], training: list[float] | None = None) -> int | None:
    """The epoch after which a rule stops."""
    judge = RuleRunner(rule)
    for epoch, value in enumerate(validation, start=1):
        loss = training[epoch - 1] if training else 1.0
        if (verdict := judge.update(epoch, {"val_loss": value, "loss": loss})) is not None:
            assert verdict.epoch == epoch
            assert verdict.reason == rule.kind
            assert verdict.best_value == min(validation[:epoch])
            assert verdict.best_epoch == validation.index(min(validation[:epoch])) + 1
            return epoch
    return None


def test_generalization_loss_by_hand() -> None:
    # E_opt is 0.5 from epoch 2 on: GL = 0, 0, 2, 10, 4, 20.
    losses = [1.0, 0.5, 0.51, 0.55, 0.52, 0.6]
    assert [generalization_loss(v, min(losses[: i + 1])) for i, v in enumerate(losses)] == pytest.approx(
        [0, 0, 2, 10, 4, 20]
    )
    assert stop_of(GeneralizationLoss(1.0), losses) == 3
    assert stop_of(GeneralizationLoss(5.0), losses) == 4
    assert stop_of(GeneralizationLoss(15.0), losses) == 6
    assert stop_of(GeneralizationLoss(25.0), losses) is None
    # Flat: never above its lowest. Rising from the first epoch: at once where it is above.
    assert stop_of(GeneralizationLoss(0.0), [0.5] * 10) is None
    assert stop_of(GeneralizationLoss(0.0), [0.5, 0.5, 0.6]) == 3
    assert stop_of(GeneralizationLoss(50.0), [0.0, 0.0, 0.1]) == 3


def test_training_progress_by_hand() -> None:
    # The mean of 1.0, 0.9, 0.8, 0.7, 0.6 is 0.8: a third above 0.6.
    assert training_progress((1.0, 0.9, 0.8, 0.7, 0.6)) == pytest.approx(1000 / 3)
    assert training_progress((0.5,) * 5) == 0
    assert training_progress((0.0, 0.0)) == 0
    assert training_progress((1.0, 0.0)) == math.inf


def test_the_progress_quotient_by_hand() -> None:
    training = [1.0, 0.9, 0.8, 0.7, 0.6, 0.60, 0.59, 0.58, 0.57, 0.56, 0.56, 0.56, 0.56, 0.56, 0.56]
    validation = [1.0, 0.8, 0.7, 0.6, 0.61, 0.62, 0.63, 0.63, 0.62, 0.63, 0.63, 0.63, 0.63, 0.63, 0.6001]
    # Strip 1: GL = 100 · (0.61/0.6 − 1) = 1.667, P_5 = 333.3, quotient 0.005. Strip 2: GL = 5, mean 0.58, P_5 =
    # 1000 · (0.58/0.56 − 1) = 35.71, quotient 0.14. Strip 3: no progress, GL > 0, so it is infinite.
    assert stop_of(ProgressQuotient(0.004), validation, training) == 5
    assert stop_of(ProgressQuotient(0.13), validation, training) == 10
    assert stop_of(ProgressQuotient(0.15), validation, training) == 15
    # At no other epoch than a strip's end, and of another length.
    assert stop_of(ProgressQuotient(0.0, 3), validation, training) == 6
    assert stop_of(ProgressQuotient(0.0), validation[:4], training[:4]) is None
    # Flat training without generalization loss is no reason to stop.
    assert stop_of(ProgressQuotient(0.0), [0.5] * 20, [0.5] * 20) is None


def test_strips_by_hand() -> None:
    # Ends of strips of 2: 0.8, 0.7, 0.75, 0.8, 0.6, 0.65, 0.7, 0.75.
    losses = [1, 0.8, 0.9, 0.7, 0.6, 0.75, 0.5, 0.8, 0.9, 0.6, 0.6, 0.65, 0.6, 0.7, 0.6, 0.75]
    assert stop_of(SuccessiveIncreases(1, 2), losses) == 6
    assert stop_of(SuccessiveIncreases(2, 2), losses) == 8
    assert stop_of(SuccessiveIncreases(3, 2), losses) == 16
    assert stop_of(SuccessiveIncreases(4, 2), losses) is None
    assert stop_of(SuccessiveIncreases(1), losses[:9]) is None
    assert stop_of(SuccessiveIncreases(1), [float(i) for i in range(1, 30)]) == 10
    assert stop_of(SuccessiveIncreases(3), [float(i) for i in range(1, 30)]) == 20
    assert stop_of(SuccessiveIncreases(1), [0.5] * 40) is None


@pytest.mark.parametrize(
    ("rule", "stops"),
    [
        # Rising by 0.01 an epoch from 1: GL is 1 %, 2 %, … from epoch 2 on.
        (GeneralizationLoss(5.5), {"flat": None, "rising": 7, "noisy": 4, "short": None}),
        # Training falls from 1 by 0.01 an epoch: P_5 of the first strip is 1000 · (0.98 / 0.96 − 1) = 20.83, GL at its
        # end 4 %: 0.192; of the second strip 1000 · (0.93 / 0.91 − 1) = 21.98, GL 9 %: 0.41. Noisy, GL is 2 % at 5:
        # 0.096, and 20 % at 10: 0.91.
        (ProgressQuotient(0.15), {"flat": None, "rising": 5, "noisy": 10, "short": None}),
        (ProgressQuotient(0.3), {"flat": None, "rising": 10, "noisy": 10, "short": None}),
        # Strip ends rise at 10, 15, 20; noisy they are 1.02, 1.2, 1.1, 1.3: they rise at 10 and 20.
        (SuccessiveIncreases(1), {"flat": None, "rising": 10, "noisy": 10, "short": None}),
        (SuccessiveIncreases(2), {"flat": None, "rising": 15, "noisy": None, "short": None}),
    ],
    ids=lambda value: value.describe() if isinstance(value, Rule) else "",
)
def test_flat_rising_noisy_and_short_series_by_hand(rule: Rule[Any], stops: dict[str, int | None]) -> None:
    noisy = [1.2, 1.0, 1.05, 1.06, 1.02, 1.1, 1.03, 1.2, 1.1, 1.2, 1.0, 1.3, 1.1, 1.2, 1.1, 1.0, 1.2, 1.1, 1.2, 1.3]
    series = {"flat": [1.0] * 20, "rising": [1 + 0.01 * t for t in range(20)], "noisy": noisy, "short": noisy[:3]}
    training = [1 - 0.01 * t for t in range(20)]
    assert {name: stop_of(rule, values, training) for name, values in series.items()} == stops


def test_a_strip_of_the_progress_quotient_consists_of_the_epochs_that_it_saw() -> None:
    def stop_after(*epochs: int) -> int | None:
        judge = RuleRunner(ProgressQuotient(0.15))
        metrics = ({"val_loss": 1 + 0.01 * i, "loss": 1 - 0.01 * i} for i in range(len(epochs)))
        verdicts = [judge.update(epoch, each) for epoch, each in zip(epochs, metrics, strict=True)]
        return next((verdict.epoch for verdict in verdicts if verdict), None)

    assert stop_after(1, 2, 3, 4, 5) == 5
    # Keras validates every second, or every fifth: of one epoch alone there would be no progress, and a stop at once.
    assert stop_after(2, 4, 6, 8, 10) == 10
    assert stop_after(5, 10, 15, 20, 25) == 25


losses = st.lists(st.floats(0.001, 10), min_size=1, max_size=60)


@given(losses, losses, st.floats(0, 50), st.integers(1, 7), st.integers(1, 3))
def test_every_rule_stops_where_the_formula_says(
    validation: list[float], training: list[float], alpha: float, k: int, s: int
) -> None:
    n = min(len(validation), len(training))
    validation, training = validation[:n], training[:n]
    gl = [100 * (v / min(validation[: i + 1]) - 1) for i, v in enumerate(validation)]
    ends = range(k, n + 1, k)
    assert stop_of(GeneralizationLoss(alpha), validation) == next((t + 1 for t in range(n) if gl[t] > alpha), None)

    def quotient(t: int) -> float:
        strip = training[t - k : t]
        progress = 1000 * (math.fsum(strip) / k / min(strip) - 1)
        return 0.0 if gl[t - 1] == 0 else math.inf if progress == 0 else gl[t - 1] / progress

    expected = next((t for t in ends if quotient(t) > alpha), None)
    assert stop_of(ProgressQuotient(alpha, k), validation, training) == expected

    def risen(t: int) -> bool:
        return t - s * k >= k and all(validation[t - i * k - 1] > validation[t - (i + 1) * k - 1] for i in range(s))

    assert stop_of(SuccessiveIncreases(s, k), validation) == next((t for t in ends if risen(t)), None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("gl:2", GeneralizationLoss(2.0)),
        ("pq:0.75", ProgressQuotient(0.75)),
        ("pq:0.75:10", ProgressQuotient(0.75, 10)),
        ("up:3", SuccessiveIncreases(3)),
        ("up:3:10", SuccessiveIncreases(3, 10)),
        ("threshold:0.3", Threshold(0.3)),
        ("patience:200", Patience(200)),
    ],
)
def test_rules_are_written_as_kind_and_value(text: str, rule: Rule[Any]) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text", ["", "gl", "gl:", "gl:two", "gl:-1", "gl:nan", "gl:1:5", "up:0", "up:1.5", "up:2:0", "pq:1:1:1", "hunch:3"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="stop: received") as caught:
        parse_rule(text)
    assert caught.value.received == text


def test_losses_that_have_no_ratio_are_refused() -> None:
    with pytest.raises(MetricError, match="need losses ≥ 0"):
        RuleRunner(GeneralizationLoss(2.0)).update(1, {"val_loss": -1.0})
    with pytest.raises(MetricError, match="epoch 1: loss is -1"):
        RuleRunner(ProgressQuotient(2.0)).update(1, {"val_loss": 1.0, "loss": -1.0})


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    for rule in (GeneralizationLoss(2.0), ProgressQuotient(1.0), SuccessiveIncreases(2)):
        verdict = RuleRunner(rule).update(1, {"val_loss": math.nan, "loss": 1.0})
        assert verdict is not None
        assert verdict.reason == "non_finite"
