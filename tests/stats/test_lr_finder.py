"""What a range test's curve suggests, on curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.recipes.lr_range import Suggestions, runaway, smoothed, suggest

RATES = np.geomspace(1e-7, 10, 200)


def valley(low: float = 1e-1, begin: float = 1e-4) -> np.ndarray:
    """A loss of 2.3 that falls in a straight line of the rate's logarithm from `begin` to `low`, then rises."""
    log_rates = np.log10(RATES)
    fallen = np.clip((log_rates - np.log10(begin)) / (np.log10(low) - np.log10(begin)), 0, 1)
    risen = np.maximum(log_rates - np.log10(low), 0)
    return 2.3 - fallen + 2 * risen


def test_the_suggestions_of_a_valley_are_where_they_are_defined() -> None:
    # A steeper piece in the fall, from 1e-3 to 1e-2.
    losses = valley() - 0.5 * np.clip((np.log10(RATES) + 3) / 1, 0, 1)
    suggestions = suggest(RATES, losses, 0.0)
    assert suggestions is not None
    assert suggestions.minimum_tenth == pytest.approx(1e-2, rel=0.1)
    assert 1e-3 <= suggestions.steepest <= 1e-2
    # Two thirds of the way from 1e-4 to 1e-1.
    assert suggestions.valley == pytest.approx(1e-2, rel=0.15)


def test_noise_at_the_beginning_is_not_the_steepest_fall() -> None:
    losses = valley() + np.where(np.arange(200) < 12, np.random.default_rng(0).normal(0, 0.2, 200), 0)
    suggestions = suggest(RATES, losses, 0.8)
    assert suggestions is not None
    assert 1e-5 < suggestions.steepest < 1e-1


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    assert suggest(RATES, np.full(200, 2.3), 0.9) is None
    assert suggest(RATES, np.linspace(2.3, 9, 200), 0.9) is None
    assert suggest(RATES[:5], valley()[:5], 0.9) is None


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.98])
def test_noise_alone_suggests_nothing(beta: float) -> None:
    draw = np.random.default_rng(0)
    suggestions = [suggest(RATES[:100], 2.5 + draw.normal(0, 0.15, 100), beta) for _ in range(300)]
    assert sum(curve is not None for curve in suggestions) <= 9
    # A fall that a user would see in the same noise is found.
    fallen = [suggest(RATES[::2], valley()[::2] + draw.normal(0, 0.05, 100), beta) for _ in range(50)]
    assert all(curve is not None for curve in fallen)


def test_bounds_span_the_three_and_at_least_a_factor_of_four() -> None:
    assert Suggestions(1e-3, 2e-3, 5e-2).bounds == (1e-3, 5e-2)
    assert Suggestions(1e-2, 1e-2, 1e-2).bounds == (0.25e-2, 1e-2)
    # No lower than what was tested.
    assert Suggestions(1e-2, 1e-2, 1e-2, start=5e-3).bounds == (5e-3, 1e-2)


def test_nothing_is_suggested_below_the_first_rate() -> None:
    rates = np.geomspace(0.05, 10, 100)
    losses = 2.3 - np.clip(np.log10(rates / 0.05), 0, 0.5) + np.maximum(np.log10(rates / 0.5), 0)
    suggestions = suggest(rates, losses, 0.0)
    assert suggestions is not None
    assert suggestions.minimum_tenth == pytest.approx(0.05)
    assert min(suggestions.steepest, suggestions.valley, *suggestions.bounds) >= 0.05


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=60), st.sampled_from([0.0, 0.5, 0.9, 0.98]))
def test_smoothing_is_the_weighted_mean_of_what_there_was(losses: list[float], beta: float) -> None:
    suggestions = smoothed(np.array(losses), beta)
    for i in range(len(losses)):
        weights = beta ** np.arange(i, -1, -1.0)
        assert suggestions[i] == pytest.approx(np.average(losses[: i + 1], weights=weights), rel=1e-9)


def test_a_loss_has_run_away_where_it_is_so_many_times_its_lowest() -> None:
    losses = np.concatenate([np.full(20, 2.0), np.full(5, 1.0), np.linspace(1, 9, 17)])
    assert runaway(losses, 0.0, 4.0) == int(np.flatnonzero(losses > 4)[0])
    assert runaway(losses[:30], 0.0, 4.0) is None
    assert runaway(np.array([1.0, 50.0, 1.0]), 0.0, 4.0) is None
