"""The setting of the numbers that a network computes in, of every command, and runs of before there was one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from program import run

from stopcli.configs.base import parse, settings_of, to_toml
from stopcli.configs.precision import policy_name, with_precision
from stopcli.configs.registry import COMMANDS, command_line, config_class, experiment_settings
from stopcli.errors import ConfigError
from stopcli.training.state_file import differences, settings_fingerprint

# What a command cannot do without.
NEEDED: dict[str, dict[str, Any]] = {"fit": {"file": "net.py", "scale": "full"}}


def config_of(command: str, **settings: Any) -> Any:
    return parse(config_class(command), {**NEEDED.get(command, {}), **settings})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_training_has_it_and_records_it(command: str) -> None:
    assert 'precision = "float32"' in to_toml(config_of(command)).splitlines()
    config = config_of(command, precision="bfloat16")
    assert 'precision = "bfloat16"' in to_toml(config).splitlines()
    changed = differences(settings_fingerprint(config_of(command)), settings_fingerprint(config))
    assert changed == ["setting precision: was 'float32', is 'bfloat16'"]
    if COMMANDS[command].summary:
        assert command_line({"command": command, **settings_of(config)})[-2:] == ["--precision", "bfloat16"]
    with pytest.raises(ConfigError, match="precision: received 'half', expected float32, bfloat16 or float16"):
        config_of(command, precision="half")


@pytest.mark.parametrize("command", ["clr", "cutout-sweep"])
def test_the_arms_of_a_sweep_have_that_of_the_sweep(command: str) -> None:
    arms = config_of(command, precision="float16").arms().values()
    assert {arm.precision for arm in arms} == {"float16"}
    assert len(arms) > 1


def test_the_policies_of_keras() -> None:
    assert [policy_name(name) for name in ("float32", "bfloat16", "float16")] == [
        "float32", "mixed_bfloat16", "mixed_float16",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["train", "cifar-resnet", "lr-range", "moons"])
def test_its_name_of_before_is_refused_with_the_one_of_today(command: str) -> None:
    expected = f"mixed_precision: received True, expected a setting that {command} has"
    with pytest.raises(ConfigError, match=expected) as raised:
        config_of(command, mixed_precision=True)
    assert raised.value.hint == 'It is precision now: "float16" stands for true, "float32" for false.'


@pytest.mark.parametrize("option", ["--mixed-precision", "--no-mixed-precision"])
def test_its_option_of_before_is_refused_with_the_one_of_today(
    option: str, capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    assert run("cifar-resnet", option) == 2
    precision = "float16" if option == "--mixed-precision" else "float32"
    assert f"It is --precision now: --precision {precision}" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_config_and_a_run_of_before_are_refused_with_the_name_of_today(
    capsys: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    Path("runs/old").mkdir(parents=True)
    text = to_toml(config_of("train")).replace('precision = "float32"', "mixed_precision = false")
    Path("runs/old/config.toml").write_text(text)
    Path("runs/old/status.json").write_text('{"state": "paused"}')
    for argv in (["run", "runs/old/config.toml"], ["resume", "runs/old"]):
        assert run(*argv) == 2
        assert 'It is precision now: "float16" stands for true, "float32" for false.' in capsys.readouterr().err


def test_runs_of_before_are_of_one_experiment_with_those_of_today() -> None:
    """Those of commands that had no such setting, too."""
    today = experiment_settings("train", settings_of(config_of("train")))
    before = {**{name: value for name, value in today.items() if name != "precision"}, "mixed_precision": False}
    assert experiment_settings("train", before) == today
    assert with_precision({"mixed_precision": True}) == {"precision": "float16"}
    assert with_precision({"epochs": 3}) == {"epochs": 3, "precision": "float32"}


@pytest.mark.parametrize(
    ("saved", "changed"),
    [
        ({}, []),
        ({"setting mixed_precision": False}, []),
        ({"setting mixed_precision": True}, ["setting precision: was 'float16', is 'float32'"]),
    ],
)
def test_a_state_of_before_was_computed_in_float32(saved: dict[str, Any], changed: list[str]) -> None:
    now = settings_fingerprint(config_of("train"))
    before = {name: value for name, value in now.items() if name != "setting precision"}
    assert differences({**before, **saved}, now) == changed
