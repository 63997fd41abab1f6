"""Which arms and how many seeds of a sweep fit into a time budget, by what its arms take."""

from __future__ import annotations

import itertools
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from stopcli.cli.options import options_text
from stopcli.configs.base import resolve
from stopcli.configs.clr import ClrConfig
from stopcli.configs.cutout_sweep import CutoutSweepConfig
from stopcli.runner.estimate import MOST_SEEDS, ArmEstimate, SweepEstimate, step_seconds_of
from stopcli.sweeps.layout import plan_layout
from stopcli.sweeps.plan import plan_jobs


def estimate_of(config: Any, seconds: dict[str, float]) -> SweepEstimate:
    """An estimate of a sweep whose runs of each arm take so long, one after the other."""
    arms = {name: ArmEstimate(12, 32, 100, 1.0, time - 2.0, 1.0) for name, time in seconds.items()}
    return SweepEstimate(config, plan_jobs(config), arms, plan_layout(config, gpu=False))


def cutout_sweep(**settings: Any) -> CutoutSweepConfig:
    given = {"m": (2, 4, 8), "executor": "in-process", "dataset": "digits", **settings}
    return resolve(CutoutSweepConfig, given, lambda: False)


SECONDS = {"simple": 10.0, "m2": 20.0, "m4": 40.0, "m8": 80.0}


@pytest.mark.parametrize(
    ("budget", "seeds", "chosen", "answer"),
    [
        (29.0, [0, 0, 0], None, "Nothing fits into 29s: one seed of simple, M = 2 takes about 30s."),
        (65.0, [2, 0, 0], 0, "simple, M = 2 with 2 seeds each fit into 1m05s (about 1m00s). No arms fit with 3 seeds"),
        (210.0, [7, 3, 1], 1, "simple, M = 2, M = 4 with 3 seeds each fit into 3m30s (about 3m30s). With more arms, "),
        (760.0, [25, 10, 5], 2, "simple, M = 2, M = 4, M = 8 with 5 seeds each fit into 12m40s (about 12m30s)."),
        (1e6, [MOST_SEEDS] * 3, 2, "simple, M = 2, M = 4, M = 8 with 100 seeds each or more fit into"),
    ],
)
def test_the_most_arms_with_the_seeds_that_an_interval_needs_are_chosen(
    budget: float, seeds: list[int], chosen: int | None, answer: str
) -> None:
    plan = estimate_of(cutout_sweep(), SECONDS)
    fits = plan.fits(budget)
    assert [fit.arms for fit in fits] == [tuple(SECONDS)[:count] for count in (2, 3, 4)]
    assert [fit.seeds for fit in fits] == seeds
    assert plan.choice(fits) == (None if chosen is None else fits[chosen])
    assert plan.answer(fits, budget).startswith(answer)
    assert [row[1] for row in plan.budget_table(fits, budget).rows] == [str(n) if n else "none" for n in seeds]
    assert plan.summary(budget)["budget"]["choice"] == (None if chosen is None else {
        "arms": fits[chosen].arms, "seeds": seeds[chosen], "seconds": fits[chosen].seconds,
    })  # fmt: skip


def test_the_arms_that_are_left_are_the_cheapest_and_keep_their_order() -> None:
    plan = estimate_of(cutout_sweep(m=(8, 2, 4), seeds=2), {"simple": 10.0, "m8": 80.0, "m2": 20.0, "m4": 40.0})
    assert plan.seconds == 300.0
    fit = plan.choice(plan.fits(210.0))
    assert fit is not None
    config = plan.config_of(fit)
    assert (config.m, config.seeds) == ((2, 4), 3)
    assert options_text(config)[-3:] == ["--m", "2", "4"]


def test_a_plan_has_a_row_for_each_arm() -> None:
    table = estimate_of(cutout_sweep(seeds=3), SECONDS).table()
    assert [row[:2] for row in table.rows] == [("simple", "3"), ("M = 2", "3"), ("M = 4", "3"), ("M = 8", "3")]
    assert [row[-1] for row in table.rows] == ["1.00", "2.25", "4.75", "9.75"]


def test_policies_are_all_run_and_only_the_seeds_are_counted() -> None:
    config = resolve(ClrConfig, {"dataset": "moons", "model": "mlp", "executor": "in-process"}, lambda: False)
    plan = estimate_of(config, dict.fromkeys(config.arms(), 10.0))
    (fit,) = plan.fits(10.0 * len(config.arms()) * 4)
    assert fit.seeds == 4
    assert set(fit.arms) == set(config.arms())


@pytest.mark.parametrize(("budget", "seeds"), [(500.0, "auto"), (340.0, 4)])
def test_seeds_that_follow_from_results_still_do_where_their_first_round_fits(budget: float, seeds: int | str) -> None:
    plan = estimate_of(cutout_sweep(m=(2, 4), seeds="auto"), {name: SECONDS[name] for name in ("simple", "m2", "m4")})
    # Of two comparisons six seeds, the first that decide anything, and thirty at most.
    assert (plan.config.first_round, plan.seconds) == (6, 70.0 * 30)
    assert [row[1] for row in plan.table().rows] == ["at most 30"] * 3
    fit = plan.choice(plan.fits(budget))
    assert fit is not None
    config = plan.config_of(fit)
    assert (config.seeds, config.m) == (seeds, (2, 4))


def test_the_command_of_a_config_has_the_settings_that_are_not_the_default() -> None:
    config = cutout_sweep(baseline_arm=False, seeds=3, patience=5, baseline=0.5, learning_rate=0.01)
    text = "--seeds 3 --patience 5 --stop-baseline 0.5 --learning-rate 0.01 --executor in-process --dataset digits"
    assert " ".join(options_text(config)) == f"cutout-sweep --scale quick {text} --no-baseline"
    # Three copies are those of the quick scale.
    assert " ".join(options_text(config, ["m"])) == f"cutout-sweep --scale quick {text} --m 2 4 8 --no-baseline"
    # Those of the full scale are others than those of the quick one.
    config = cutout_sweep(depth=44, epochs=100)
    assert {"--depth 44", "--epochs 100"} <= {" ".join(pair) for pair in pairwise(options_text(config))}


class Calls:
    """A loop whose calls come to so many steps each, of epochs of ten; 0 of a call that only measures rows."""

    steps_per_epoch = 10

    def __init__(self, *steps: int) -> None:
        self.steps, self.position = list(steps), 0

    @property
    def partial(self) -> Any:
        return SimpleNamespace(steps=self.position % 10) if self.position % 10 else None

    def advance(self, epoch: int, most: int) -> Any:
        assert (epoch, most) == (self.position // 10 + 1, 100 - self.position // 10)
        epochs = self.position // 10
        self.position += self.steps.pop(0)
        epochs = self.position // 10 - epochs
        return SimpleNamespace(metrics=[0.0] * epochs) if epochs else None


@pytest.mark.parametrize(
    ("calls", "steps"),
    [
        # The first sets up what later ones find there.
        ((2, 3, 2, 1, 1), 7),
        ((2, 3, 0), 3),
        ((10, 20, 40, 40, 40), 140),
        ((300, 500, 200), 700),
        ((1000,), 1000),
        ((4, 6, 10, 5, 5), 26),
    ],
)
def test_steps_are_timed_whether_calls_end_within_an_epoch_or_after_many(
    monkeypatch: pytest.MonkeyPatch, calls: tuple[int, ...], steps: int
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    loop: Any = Calls(*calls)
    # A call takes a second.
    timed = len([call for call in calls if call][1:5]) or 1
    assert step_seconds_of(loop, 100) == timed / steps
