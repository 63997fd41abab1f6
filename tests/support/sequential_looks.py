"""Simulated comparisons, looked at after every seed: how often they claim what is not so, and how soon they decide.

    python tests/support/sequential_looks.py

prints the figures of docs/decisions/0056.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from stopcli.stats.sequential import anytime_interval, seeds_needed, sequential_test

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int, int]], Floats]
SEEDS = 100


def _less_baseline(values: Floats) -> Floats:
    return values[:, 1:] - values[:, :1]


def _with_baseline(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    repeats, settings, seeds = shape
    return repeats, settings + 1, seeds


def _normal(draw: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    return _less_baseline(draw.normal(size=_with_baseline(shape)))


def _t3(draw: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Normal in a seed, and t₃ over seeds, which differ in how far they spread."""
    repeats, _, seeds = shape
    return _normal(draw, shape) / np.sqrt(draw.chisquare(3, (repeats, 1, seeds)) / 3)


def _accuracies(rows: int, accuracy: float) -> Draw:
    # Of whole numbers of rows: rounded differences would be no multiples of one row.
    return lambda draw, shape: _less_baseline(draw.binomial(rows, accuracy, _with_baseline(shape)).astype(float))


# Differences of settings from a baseline that is equally good, shape [repeats, settings, seeds].
SYMMETRIC: dict[str, Draw] = {
    "normal": _normal,
    "t₃": _t3,
    "accuracies of 1,000 rows": _accuracies(1000, 0.9),
    "accuracies of 100 rows": _accuracies(100, 0.9),
    "accuracies of 100 rows, 99 %": _accuracies(100, 0.99),
    "one row, right half of the time": _accuracies(1, 0.5),
}
# Those that the intervals are not made for.
OTHERS: dict[str, Draw] = {
    "always one row more or less": lambda draw, shape: draw.choice([-1.0, 1.0], size=shape),
    "exponential": lambda draw, shape: draw.exponential(size=shape) - 1,
    "log-normal, σ = 1": lambda draw, shape: draw.lognormal(size=shape) - np.exp(0.5),
}


@dataclass(frozen=True)
class Looks:
    """Means with the half widths of their intervals, shape [..., seeds]; of no bounds inf."""

    means: Floats
    anytime: Floats
    plain: Floats


def look_after_every_seed(differences: Floats, comparisons: int = 1) -> Looks:
    """What `sequential_test` shows, of many comparisons at a time."""
    n = np.arange(1, differences.shape[-1] + 1)
    means = differences.cumsum(axis=-1) / n
    squares = (differences**2).cumsum(axis=-1) - n * means**2
    deviations = np.sqrt(np.maximum(squares, 0) / np.maximum(n - 1, 1))
    same = np.maximum.accumulate(differences, axis=-1) == np.minimum.accumulate(differences, axis=-1)
    # One interval of each n: that of any other differences is as many times as wide as they vary.
    varying = np.array([np.inf, *(_half_width(np.arange(size), comparisons) for size in n[1:])])
    constant = np.array([_half_width(np.zeros(size), comparisons) for size in n])
    quantiles = np.array([np.inf, *stats.t.ppf(0.975, n[1:] - 1) / np.sqrt(n[1:])])
    with np.errstate(invalid="ignore"):
        anytime = np.where(same, constant, varying * deviations)
        plain = np.where(same, 0.0, quantiles * deviations)
    plain[..., 0] = np.inf
    return Looks(means, anytime, plain)


def _half_width(differences: Floats, comparisons: int) -> float:
    interval = anytime_interval(differences.tolist(), comparisons=comparisons)
    if interval.low is None or interval.high is None:
        return float(np.inf)
    return (interval.high - interval.low) / 2 / (interval.sd or 1.0)


def decided_after(differences: Floats, comparisons: int = 1) -> NDArray[np.int64]:
    """Seeds until 0 is left out, shape [...]; more than there are where it never is."""
    looks = look_after_every_seed(differences, comparisons)
    out = np.abs(looks.means) > looks.anytime
    return np.where(out.any(axis=-1), out.argmax(axis=-1) + 1, differences.shape[-1] + 1)


def false_alarms(differences: Floats) -> tuple[float, float, float]:
    """Of comparisons whose mean is 0, the shares in which 0 is left out at any look: of the first setting by its plain
    interval and by its anytime-valid one, and of any setting by the anytime-valid ones of all."""
    first, looks = differences[:, 0], look_after_every_seed(differences[:, 0])
    plain = (np.abs(looks.means) > looks.plain).any(axis=-1)
    alone = decided_after(first) <= first.shape[-1]
    together = (decided_after(differences, differences.shape[1]) <= first.shape[-1]).any(axis=1)
    return float(plain.mean()), float(alone.mean()), float(together.mean())


def equal_settings(sweeps: int, seeds: int, share: float, rows: int = 1000) -> list[tuple[str, int | None]]:
    """Outcomes of a setting and a baseline that are the same, with accuracies near 90 %, and when they are decided.

    Args:
        share: of the baseline's mean so far that counts as no difference.
    """
    draw, outcomes = np.random.default_rng(0), []
    for _ in range(sweeps):
        values, others = draw.binomial(rows, 0.9, (2, seeds)) / rows
        margins = share * others.cumsum() / np.arange(1, seeds + 1)
        # By whole rows, as `differences_by_pair` leaves them.
        test = sequential_test((np.round((values - others) * rows) / rows).tolist(), margins.tolist())
        outcomes.append((test.outcome, test.decided))
    return outcomes


def _print_figures(repeats: int = 20_000) -> None:
    print(f"0 left out at any of {SEEDS} looks, where it is the mean | plain | anytime | any of four, anytime")
    for name, draw in {**SYMMETRIC, **OTHERS}.items():
        shares = false_alarms(draw(np.random.default_rng(0), (repeats, 4, SEEDS)))
        print(name, *(f"{share:.1%}" for share in shares), sep=" | ")
    print("\neffect in sd | half and four fifths are decided after | of four | seeds of a t-test of power 0.8")
    for effect in (0.5, 1.0, 1.5, 2.0):
        differences = effect + np.random.default_rng(0).normal(size=(repeats, 3 * SEEDS))
        seeds = [np.quantile(decided_after(differences, comparisons), [0.5, 0.8]) for comparisons in (1, 4)]
        needed = seeds_needed([-1.0, 0.0, 1.0], effect)
        assert needed is not None
        assert needed.more is not None
        print(effect, *(f"{half:.0f} and {most:.0f}" for half, most in seeds), needed.more + 3, sep=" | ")
    outcomes = equal_settings(1000, SEEDS, 0.01)
    names = [outcome for outcome, _ in outcomes]
    print("\nequal settings:", {name: names.count(name) for name in sorted(set(names))}, end="; equal after ")
    print(np.median([seeds for outcome, seeds in outcomes if outcome == "equal"]))


if __name__ == "__main__":
    _print_figures()
