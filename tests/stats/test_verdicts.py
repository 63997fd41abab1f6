"""Verdicts on published results: every case, from differences whose intervals are known by other means."""

from __future__ import annotations

import pytest

from stopcli.stats.differences import Difference, paired_difference
from stopcli.stats.verdicts import RunCounts, judge_claim, judge_value, trend_of, trend_sentence

ALL = RunCounts(planned=3, finished=3)
UP = Difference(5, 0.02, 0.01, 0.03, 0.001)
DOWN = Difference(5, -0.02, -0.03, -0.01, 0.001)
WIDE = Difference(5, 0.02, -0.01, 0.05, 0.3)
# The bootstrap alone would tell it from none; the t-test does not.
SURE_OF_ITSELF = Difference(3, 0.02, 0.001, 0.04, 0.2)
TWO = Difference(2, 0.02)


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [(0.9, "reproduced"), (0.95, "reproduced"), (0.8999, "not reproduced"), (0.9501, "not reproduced")],
)
def test_a_mean_in_the_band_is_reproduced_and_its_bounds_count(mean: float, verdict: str) -> None:
    assert judge_value(mean, (0.9, 0.95), ALL, published=True) == verdict


@pytest.mark.parametrize("mean", [0.5, 0.92])
def test_another_setting_is_never_more_than_a_trend(mean: float) -> None:
    assert judge_value(mean, (0.9, 0.95), ALL, published=False) == "trend only"


@pytest.mark.parametrize("published", [True, False])
def test_what_has_no_band_is_shown_and_not_judged(published: bool) -> None:
    assert judge_value(0.92, None, ALL, published=published) == "shown, not judged"


def test_what_no_run_has_measured_is_not_judged() -> None:
    assert judge_value(None, (0.9, 0.95), ALL, published=True) == "shown, not judged"


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (RunCounts(0, 0), "not run"),
        (RunCounts(3, 0), "not run"),
        (RunCounts(3, 2), "not finished"),
        (RunCounts(3, 0, failed=3), "failed"),
        # The two that got through are no fair sample.
        (RunCounts(3, 2, failed=1), "failed"),
    ],
)
@pytest.mark.parametrize("published", [True, False])
def test_nothing_is_judged_before_all_runs_have_finished(runs: RunCounts, verdict: str, published: bool) -> None:
    assert judge_value(0.92, (0.9, 0.95), runs, published=published) == verdict
    assert judge_claim("higher", UP, runs, published=published) == verdict


@pytest.mark.parametrize(
    ("expected", "pair", "trend"),
    [
        ("higher", UP, "agrees"),
        ("higher", DOWN, "contrary"),
        ("lower", DOWN, "agrees"),
        ("lower", UP, "contrary"),
        ("not higher", DOWN, "agrees"),
        ("not higher", UP, "contrary"),
        ("not lower", UP, "agrees"),
        ("not lower", DOWN, "contrary"),
    ],
)
def test_a_difference_that_can_be_told_agrees_or_is_contrary(expected: str, pair: Difference, trend: str) -> None:
    assert trend_of(expected, pair) == trend  # type: ignore[arg-type]
    verdict = {"agrees": "reproduced", "contrary": "not reproduced"}[trend]
    assert judge_claim(expected, pair, ALL, published=True) == verdict  # type: ignore[arg-type]
    assert judge_claim(expected, pair, ALL, published=False) == "trend only"  # type: ignore[arg-type]


@pytest.mark.parametrize("pair", [WIDE, SURE_OF_ITSELF, TWO, None])
@pytest.mark.parametrize("expected", ["higher", "lower", "not higher", "not lower"])
def test_a_difference_that_cannot_be_told_is_neither(expected: str, pair: Difference | None) -> None:
    assert trend_of(expected, pair) == "not distinguishable"  # type: ignore[arg-type]
    assert judge_claim(expected, pair, ALL, published=True) == "not distinguishable"  # type: ignore[arg-type]


def test_the_words_say_why_nothing_can_be_told() -> None:
    assert trend_sentence("higher", UP) == "agrees"
    assert trend_sentence("higher", DOWN) == "contrary to it"
    assert trend_sentence("higher", WIDE) == "not distinguishable at n = 5"
    assert trend_sentence("not higher", WIDE) == "not distinguishable at n = 5, which does not speak against it"
    assert trend_sentence("higher", TWO) == "not distinguishable: n = 2, and fewer than 3 seeds give no interval"
    assert trend_sentence("higher", None) == "no seed has finished in both"


def test_a_measured_difference_is_judged_as_it_is() -> None:
    better = paired_difference([0.93, 0.94, 0.92, 0.935], [0.90, 0.91, 0.90, 0.905])
    assert judge_claim("higher", better, ALL, published=True) == "reproduced"
    mixed = paired_difference([0.93, 0.90, 0.92, 0.89], [0.90, 0.91, 0.93, 0.905])
    assert judge_claim("higher", mixed, ALL, published=True) == "not distinguishable"
