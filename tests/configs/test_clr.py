"""The arms of `stopcli clr`, what is refused, and what is warned of."""

from __future__ import annotations

from typing import Any

import pytest

from stopcli.configs.base import resolve, settings_of
from stopcli.configs.clr import ClrConfig
from stopcli.configs.learning_rate import LearningRateConfig
from stopcli.configs.lr_range import LrRangeConfig
from stopcli.errors import ConfigError
from stopcli.sweeps.plan import in_rounds, plan_jobs


def clr(**given: Any) -> ClrConfig:
    return resolve(ClrConfig, {"scale": "full", **given})


def test_the_published_setting_is_the_default() -> None:
    config = clr()
    assert (config.model, config.width, config.batch_size, config.epochs) == ("minigooglenet", 1.0, 64, 96)
    assert (config.base_lr, config.max_lr, config.step_size, config.gamma) == (1e-7, 1e-2, 8.0, 0.99994)
    assert (config.optimizer, config.momentum, config.nesterov, config.augment) == ("sgd", 0.9, False, "nearest")
    assert [job.name for job in plan_jobs(config)] == [
        "triangular-seed0", "triangular2-seed0", "exp_range-seed0", "constant-seed0",
    ]  # fmt: skip
    assert config.warnings() == []


def test_every_arm_is_a_run_that_warns_of_nothing_and_can_be_run_again() -> None:
    config = clr(
        policy=("triangular2", "exp_range", "one-cycle"),
        vs=("constant", "step", "cosine"),
        seeds=2,
        cycle_momentum=True,
        stop_at="cycle-end",
        patience=3,
        executor="processes",
        step_size_down=4.0,
    )
    assert config.warnings() == []
    jobs = plan_jobs(config)
    assert len(jobs) == 12
    for job in jobs:
        assert job.config.warnings() == []
        assert resolve(type(job.config), settings_of(job.config)) == job.config
    arms = config.arms()
    assert [(arm.lr_policy, arm.clr_mode) for arm in arms.values()][:3] == [
        ("clr", "triangular2"), ("clr", "exp_range"), ("one-cycle", "triangular"),
    ]  # fmt: skip
    assert {name: arm.cycle_momentum for name, arm in arms.items() if not arm.cycle_momentum} == {
        "constant": False, "step": False, "cosine": False,
    }  # fmt: skip
    # Of arms without cycles a rule is asked after every epoch.
    assert [arm.stop_at for arm in arms.values()] == ["cycle-end"] * 2 + ["epoch"] * 4


def test_what_they_are_compared_with_begins_from_the_cycles_highest_rate_or_as_given() -> None:
    assert clr(max_lr=0.2).arms()["constant"].learning_rate == 0.2
    assert clr(max_lr=0.2, learning_rate=0.05).arms()["constant"].learning_rate == 0.05


@pytest.mark.parametrize(
    ("given", "reference"),
    [
        ({}, "constant"),
        ({"vs": ("cosine", "constant")}, "cosine"),
        ({"vs": (), "policy": ("one-cycle", "triangular")}, "one-cycle"),
    ],
)
def test_a_round_begins_with_what_the_others_are_compared_with(given: dict[str, Any], reference: str) -> None:
    jobs = in_rounds(plan_jobs(resolve(ClrConfig, {"seeds": 2, **given})))
    arms = len(jobs) // 2
    assert [job.config.seed for job in jobs] == [0] * arms + [1] * arms
    assert [jobs[0].arm, jobs[arms].arm] == [reference] * 2


def test_quick_decays_by_exp_range_as_far_as_the_published_run() -> None:
    quick = resolve(ClrConfig, {"scale": "quick"})
    updates, published = -(-quick.limit // 64) * quick.epochs, 782 * 96
    assert quick.gamma**updates == pytest.approx(0.99994**published, abs=0.01)
    assert quick.epochs % (2 * quick.step_size) == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"base_lr": 0.01}, "base_lr: received 0.01, expected less than max_lr"),
        ({"base_lr": 0.5, "max_lr": 0.1}, "base_lr: received 0.5, expected less than max_lr"),
        ({"gamma": 0.0}, "gamma: received 0.0, expected more than 0"),
        ({"gamma": 1.5}, "gamma: received 1.5, expected at most 1"),
        ({"step_size": 0.0}, "step_size: received 0.0, expected more than 0"),
        ({"step_size_iterations": 0}, "step_size_iterations: received 0"),
        ({"step_size_down": 0.0}, "step_size_down: received 0.0"),
        ({"policy": ("sawtooth",)}, "policy: received"),
        ({"policy": ()}, "policy: received '', expected one or more of triangular"),
        ({"policy": ("triangular", "triangular")}, "each of them once; triangular is given twice"),
        ({"vs": ("plateau",)}, "vs: received"),
        ({"cycle_momentum": True, "optimizer": "adam"}, "optimizer sgd, because adam has no momentum"),
        ({"cycle_momentum": True, "momentum": 0.8}, "min_momentum: received 0.8, expected less than momentum"),
        ({"momentum": 1.0}, "momentum: received 1.0"),
        ({"lr_policy": "cosine"}, "here policy and vs set it"),
        ({"dataset": "moons"}, "model: received 'minigooglenet', expected mlp"),
        ({"model": "resnet", "depth": 9}, "depth: received 9, expected 6n \\+ 2"),
        ({"stop_at": "cycle-end", "policy": ("one-cycle",)}, "epoch, because none of these policies has cycles"),
        ({"vs": ("constant", "constant")}, "constant is given twice"),
        ({"max_lr": 1e300}, "max_lr: received 1e\\+300"),
        ({"step_size_iterations": 10, "step_size_down": 0.5}, "step_size_down: received 0.5, expected whole updates"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        clr(**given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"vs": (), "learning_rate": 0.1}, "learning_rate has no effect without vs"),
        ({"policy": ("triangular",), "gamma": 0.5}, "gamma has no effect without policy exp_range"),
        ({"depth": 20}, "depth has no effect with model minigooglenet"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov has no effect without momentum"),
        ({"optimizer": "adam", "nesterov": True}, "nesterov has no effect with optimizer adam"),
        ({"min_momentum": 0.7}, "min_momentum has no effect without cycle_momentum"),
        ({"stop_at": "cycle-end"}, "stop_at has no effect without a rule that stops"),
        ({"step_size_iterations": 500, "step_size": 4.0}, "step_size has no effect with step_size_iterations"),
        ({"dataset": "moons", "model": "mlp", "erasing": True}, "erasing has no effect with dataset moons"),
        ({"dataset": "moons", "model": "mlp", "augment": "none"}, "augment has no effect with dataset moons"),
        ({"policy": ("one-cycle",), "base_lr": 1e-5}, "base_lr has no effect with policy one-cycle, constant"),
        ({"lr_min": 1e-5}, "lr_min has no effect with policy triangular, triangular2, exp_range, constant"),
        ({"erase_p": 0.1}, "erase_p has no effect without erasing"),
    ],
)
def test_settings_without_effect_are_told(given: dict[str, Any], told: str) -> None:
    assert [warning for warning in clr(**given).warnings() if told in warning]


@pytest.mark.parametrize(
    "given",
    [
        {"vs": ("cosine",), "lr_min": 1e-5},
        {"vs": ("cosine", "step"), "lr_warmup": 3, "lr_drops": "10:0.1"},
        {"scale": "quick", "step_size_iterations": 96},
        {"policy": ("one-cycle",), "max_lr": 1e-8},
        {"policy": ("one-cycle", "triangular"), "base_lr": 1e-5, "step_size": 2.0, "gamma": 0.99994},
    ],
)
def test_settings_that_one_arm_reads_are_not_warned_of(given: dict[str, Any]) -> None:
    config = clr(**given)
    assert config.warnings() == []
    for job in plan_jobs(config):
        assert job.config.warnings() == []


def test_too_few_updates_are_refused_once_they_are_known() -> None:
    with pytest.raises(ConfigError, match="epochs: received 3, expected more: one cycle takes 4 updates"):
        clr(policy=("one-cycle",), epochs=3).check_updates(1)
    clr(policy=("one-cycle",), epochs=4).check_updates(1)
    with pytest.raises(ConfigError, match=r"step_size: received 0.5, expected one update or more: an epoch has 1"):
        clr(step_size=0.5).check_updates(1)
    clr(step_size=0.5).check_updates(2)


@pytest.mark.parametrize(
    ("given", "steps", "told"),
    [
        ({}, 782, ""),
        ({"epochs": 18, "step_size": 3.0}, 40, ""),
        ({"epochs": 20, "step_size": 3.0}, 40, "(6 epochs); 18 or 24 epochs would end with a whole cycle"),
        ({"epochs": 4, "step_size": 3.0}, 40, "(6 epochs); 6 epochs would end with a whole cycle"),
        ({"epochs": 10, "step_size_iterations": 100}, 40, ""),
        ({"epochs": 11, "step_size_iterations": 100}, 40, "(5 epochs); 10 or 15 epochs would end with a whole cycle"),
        (
            {"epochs": 10, "step_size_iterations": 33},
            40,
            "; a step size of 0.833333 epochs would end with a whole cycle",
        ),
        ({"epochs": 9, "step_size": 2.0, "step_size_down": 1.0}, 40, ""),
        ({"step_size_iterations": 2000}, 782, "a step size of 2.52632 epochs would end with a whole cycle"),
        ({"epochs": 3, "step_size": 6.0, "stop_at": "cycle-end", "patience": 1}, 40, "so no rule is ever evaluated"),
        ({"epochs": 9, "policy": ("one-cycle",)}, 40, ""),
    ],
)
def test_training_that_would_end_within_a_cycle_is_told_with_epochs_that_would_not(
    given: dict[str, Any], steps: int, told: str
) -> None:
    found = clr(**given).mid_cycle(steps)
    assert found.endswith(told) if told else found == ""


def test_a_cycle_is_counted_in_updates() -> None:
    assert clr().cycle_updates(782) == (6256, 6256)
    assert clr(step_size_iterations=100, step_size_down=50.0).cycle_updates(782) == (100, 50)
    assert clr(step_size=0.5, step_size_down=1.5).cycle_updates(10) == (5, 15)


def test_cycles_are_refused_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match="stop_at: received 'cycle-end', expected epoch, because with lr_policy step"):
        resolve(LearningRateConfig, {"scale": "full", "stop_at": "cycle-end"})
    with pytest.raises(ConfigError, match="cycle_momentum: received True, expected a policy with cycles"):
        resolve(LearningRateConfig, {"scale": "full", "cycle_momentum": True, "optimizer": "sgd", "momentum": 0.9})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"start_lr": 1.0, "end_lr": 0.1}, "start_lr: received 1.0, expected less than end_lr"),
        ({"iterations": 9}, "iterations: received 9"),
        ({"iterations": 50, "epochs": 2.0}, "epochs: received 2.0, expected nothing beside iterations"),
        ({"smoothing": 1.0}, "smoothing: received 1.0"),
        ({"stop_factor": 1.0}, "stop_factor: received 1.0"),
        ({"init_from": "a"}, "init_from: received 'a', expected nothing"),
        ({"dataset": "moons", "model": "resnet"}, "model: received 'resnet', expected mlp"),
    ],
)
def test_wrong_range_tests_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        resolve(LrRangeConfig, {"scale": "full", **given})
