from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.configs.base import parse, resolve, settings_of, to_toml
from stopcli.configs.classifier import CifarResnetConfig
from stopcli.configs.moons import MoonsConfig
from stopcli.configs.registry import config_class
from stopcli.data.load import load_images
from stopcli.errors import ConfigError, RequestError
from stopcli.runs.files import read_toml

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    seed=st.integers(0, 2**31 - 2),
    patience=st.none() | st.integers(0, 10**6),
    min_delta=st.floats(0, 1e300) | st.sampled_from(["1%", "0.05%"]),
    smooth=st.none() | st.floats(0, 1, exclude_max=True),
    baseline=st.none() | finite,
    noise=st.floats(0, 1e6),
    every=st.sampled_from(["best", "all", 1, 4000]),
    name=st.text("abcXYZ019._-", max_size=20),
)
def test_a_config_comes_back_from_its_toml(
    tmp_path_factory: pytest.TempPathFactory, every: object, **settings: object
) -> None:
    config = parse(MoonsConfig, {**settings, "checkpoint_every": every, "scale": "full"})
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    read = read_toml(path)
    assert read.pop("command") == "moons"
    assert parse(MoonsConfig, read) == config


def test_defaults_are_the_published_settings() -> None:
    config = resolve(MoonsConfig, {})
    assert (config.samples, config.noise, config.train_size, config.data_seed) == (100, 0.2, 30, 1)
    assert (config.hidden, config.epochs, config.batch_size) == (500, 4000, 32)
    assert (config.optimizer, config.learning_rate, config.patience) == ("adam", 0.001, None)
    assert config.scale == "full"


def test_quick_scale_shortens_and_a_flag_wins_over_it() -> None:
    assert resolve(MoonsConfig, {"scale": "quick"}).epochs == 1500
    assert resolve(MoonsConfig, {"scale": "quick", "epochs": 7}).epochs == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 1}, "samples: received 1, expected at least 2"),
        ({"samples": 3.0}, "samples: received 3.0, expected a whole number"),
        ({"samples": "30"}, "samples: received '30', expected a whole number"),
        ({"samples": True}, "samples: received True, expected a whole number"),
        ({"noise": -0.1}, "noise: received -0.1, expected at least 0"),
        ({"noise": float("nan")}, "noise: received nan, expected a finite number"),
        ({"learning_rate": float("inf")}, "learning_rate: received inf, expected a finite number"),
        ({"learning_rate": 0.0}, "learning_rate: received 0.0, expected more than 0"),
        ({"baseline": float("-inf")}, "baseline: received -inf, expected a finite number"),
        ({"patience": -1}, "patience: received -1, expected at least 0"),
        ({"optimizer": "lion"}, "optimizer: received 'lion', expected sgd, rmsprop or adam"),
        ({"train_size": 100}, "train_size: received 100, expected 1 to 99, because samples is 100"),
        ({"start_from_epoch": 4000}, r"start_from_epoch: received 4000, expected less than epochs \(4000\)"),
        ({"monitor": "val_los"}, "monitor: received 'val_los', expected one of loss, accuracy, val_loss, val_accuracy"),
        ({"checkpoint_monitor": "f1"}, "checkpoint_monitor: received 'f1', expected one of loss"),
        (
            {"checkpoint_every": 0},
            "checkpoint_every: received 0, expected at least 1 or best or all",
        ),
        ({"checkpoint_every": 5000}, r"checkpoint_every: received 5000, expected at most epochs \(4000\)"),
        ({"min_delta": -0.1}, "min_delta: received -0.1, expected a finite number ≥ 0, or a share of the best value"),
        ({"min_delta": "1"}, "min_delta: received '1', expected a finite number ≥ 0, or a share of the best value"),
        ({"min_delta": "100%"}, "min_delta: received '100%', expected a finite number ≥ 0, or a share"),
        ({"min_delta": True}, "min_delta: received True, expected a number or a text"),
        ({"smooth": 1.0}, "smooth: received 1.0, expected less than 1"),
        (
            {"stop": ("all(gl:2,patience:3@val_acuracy)",)},
            r"received 'all\(gl:2,patience:3@val_acuracy\)', expected a recorded metric behind @: loss, accuracy, val",
        ),
        ({"name": "a/b"}, "name: received 'a/b', expected at most 80 bytes of letters"),
        ({"seed": 2**31 - 1, "seeds": 2}, r"seeds: received 2, expected seed \+ seeds ≤ 2\*\*31"),
        ({"validation_share": 0.3}, "validation_share: received 0.3, expected no share where the test rows validate"),
        ({"validation": "split", "train_size": 1}, "validation: received 'split', expected a train_size of 2 or more"),
        ({"validation": "holdout", "train_size": 99}, "validation: received 'holdout', expected 2 or more rows"),
    ],
)
def test_bad_settings_are_refused_with_what_was_expected(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(MoonsConfig, settings)


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="expected a setting that moons has") as caught:
        parse(MoonsConfig, {"patence": 5})
    assert caught.value.hint == "Did you mean patience?"
    assert caught.value.as_flag().startswith("--patence: received 5")


@pytest.mark.parametrize(
    ("refused", "near"),
    [
        (lambda: parse(MoonsConfig, {"monitor": "val_los"}), "val_loss"),
        (lambda: parse(MoonsConfig, {"scale": "quik"}), "quick"),
        (lambda: parse(MoonsConfig, {"checkpoint_every": "bets"}), "best"),
        (lambda: parse(MoonsConfig, {"stop": ("patince:3",)}), "patience"),
        (lambda: parse(MoonsConfig, {"stop": ("all(gl:2,patience:3@val_acuracy)",)}), "val_accuracy"),
        (lambda: config_class("cifar_resnet"), "cifar-resnet"),
        (lambda: load_images("CIFAR-10"), "cifar10"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_one_that_was_meant(refused: Callable[[], Any], near: str) -> None:
    with pytest.raises(RequestError) as caught:
        refused()
    assert caught.value.hint.startswith(f"Did you mean {near}?")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"erasing": "yes"}, "erasing: received 'yes', expected true or false"),
        ({"erase_area": [0.1]}, r"erase_area: received \(0.1,\), expected more values"),
        ({"erase_area": [0.1, 0.2, 0.3]}, r"erase_area: received \(0.1, 0.2, 0.3\), expected a list of 2"),
        ({"erase_area": 0.1}, "erase_area: received 0.1, expected a list"),
        ({"erase_area": ["a", 0.2]}, "erase_area: received 'a', expected a number"),
        ({"name": 3}, "name: received 3, expected a text"),
        ({"threads": 5000}, "threads: received 5000, expected at most 1024"),
    ],
)
def test_what_was_expected_is_said_in_plain_words(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        parse(CifarResnetConfig, settings)


def test_held_out_rows_cannot_be_monitored() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(MoonsConfig, {"validation": "holdout", "monitor": "test_accuracy"})
    assert "held out" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"mode": "max"}, "mode 'max' contradicts the metric 'val_loss', which is better when lower"),
        ({"checkpoint_mode": "min"}, "mode 'min' contradicts the metric 'val_accuracy', which is better when higher"),
        ({"min_delta": 0.1}, "min_delta has no effect without patience"),
        ({"baseline": 0.1}, "baseline has no effect without patience"),
        (
            {"stop": ("all(gl:2,patience:3@val_loss:max)",)},
            "mode 'max' contradicts the metric 'val_loss', which is better when lower",
        ),
        ({"smooth": 0.9}, "smooth has no effect without a rule (patience, threshold or stop)"),
        ({"checkpoint": False, "checkpoint_every": 3}, "checkpoint_every has no effect with --no-checkpoint"),
    ],
)
def test_settings_that_are_odd_but_possible_are_warned_about(settings: dict[str, object], warning: str) -> None:
    assert parse(MoonsConfig, settings).warnings() == [warning]
    assert parse(MoonsConfig, {}).warnings() == []


def test_none_is_left_out_of_a_file_and_everything_else_is_in_it() -> None:
    config = parse(MoonsConfig, {})
    written = settings_of(config)
    left_out = {field.name for field in dataclasses.fields(config)} - written.keys()
    assert left_out == {"patience", "baseline", "smooth", "threshold", "validation_share"}


def test_rules_are_a_part_of_a_folder_s_name() -> None:
    config = parse(MoonsConfig, {"patience": 5, "stop": ("all(patience:3:1%@val_accuracy,gl:2)", "up:3:10")})
    assert config.rules == "patience-5-all-patience-3-1-percent-val_accuracy-and-gl-2-up-3-10"
    many = parse(MoonsConfig, {"stop": tuple(f"patience:{epochs}" for epochs in range(1, 200))}).rules
    assert many.startswith("patience-1-patience-2-patience-3")
    assert len(many.encode()) < 128


@pytest.mark.parametrize(("content", "message"), [(b"a = ", "not a TOML file"), (b"\xff\xfe", "not a TOML file")])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=message):
        read_toml(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere\.toml: cannot be read \(No such file"):
        read_toml(tmp_path / "nowhere.toml")
