"""What options a command gets out of groups, and that commands offer their settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pytest
import typer
from pydantic import TypeAdapter
from typer.testing import CliRunner

from stopcli.cli.app import app
from stopcli.cli.option_groups import Group, WithDefault, with_options, without
from stopcli.configs.base import RunConfig, setting_names
from stopcli.configs.registry import config_class
from stopcli.errors import RequestError

# Settings that a command has no option for, with what it has instead.
NOT_OFFERED = {
    # They are the arms': --m and --cutout-size.
    "cutout-sweep": {"cutout", "copies"},
    # The arms': --policy and --vs.
    "clr": {"lr_policy", "clr_mode", "lr_factor", "lr_patience"},
    # A range test trains once, under a rate of its own, and is not gone on with.
    "lr-range": {"save_every", "init_from", "init_optimizer"},
}


def _trains(command: str) -> bool:
    try:
        config_class(command)
    except RequestError:
        return False
    return True


COMMANDS = {
    name: info.callback
    for info in app.registered_commands
    if info.callback is not None and _trains(name := info.name or info.callback.__name__)
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_trains_offers_every_setting(command: str) -> None:
    offered = set(inspect.signature(COMMANDS[command]).parameters)
    assert set(setting_names(config_class(command))) - offered == NOT_OFFERED.get(command, set())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_default_is_of_its_option_s_type(command: str) -> None:
    # A type checker does not see signatures that are made.
    for parameter in list(inspect.signature(COMMANDS[command]).parameters.values())[1:]:
        TypeAdapter(parameter.annotation).validate_python(parameter.default, strict=True)


def test_there_are_commands_that_train() -> None:
    assert {"moons", "cifar-resnet", "cutout-sweep"} <= set(COMMANDS)


@dataclass(frozen=True, kw_only=True)
class KettleConfig(RunConfig):
    command: ClassVar[str] = "kettle"
    degrees: int = 100
    every: int | Literal["cup"] = 2
    water: str


Degrees = Annotated[int, typer.Option(help="Stop at.")]
Text = Annotated[str, typer.Option()]
Aloud = Annotated[bool, typer.Option("--aloud")]
HEAT: Group = {"degrees": Degrees, "every": Text}
TALK: Group = {"aloud": WithDefault(Aloud, False)}


def _kettle(*groups: Group) -> Callable[..., None]:
    @with_options(KettleConfig, *groups)
    def kettle(ctx: typer.Context, **settings: object) -> None:
        """Boil water."""
        print(sorted(ctx.params.items()), settings == ctx.params)

    return kettle


def test_options_stand_in_the_order_of_the_groups_with_the_settings_defaults() -> None:
    parameters = inspect.signature(_kettle(TALK, HEAT)).parameters
    assert list(parameters) == ["ctx", "aloud", "degrees", "every"]
    defaults: list[Any] = [parameter.default for parameter in parameters.values()][1:]
    assert defaults == [False, 100, "2"]


def test_typer_reads_them() -> None:
    program = typer.Typer()
    program.command()(_kettle(HEAT, TALK))
    told = CliRunner().invoke(program, ["--degrees", "80", "--aloud"]).stdout
    assert told == "[('aloud', True), ('degrees', 80), ('every', '2')] True\n"
    assert "Boil water." in CliRunner().invoke(program, ["--help"]).stdout


def test_an_option_of_two_groups_is_told() -> None:
    with pytest.raises(ValueError, match="kettle: the option degrees is given twice"):
        _kettle(HEAT, TALK, {"degrees": Degrees})


@pytest.mark.parametrize("name", ["colour", "water"])
def test_an_option_without_a_default_is_told(name: str) -> None:
    answer = f"kettle: the option {name} has no default: KettleConfig has no such setting with one"
    with pytest.raises(ValueError, match=answer):
        _kettle({name: Text})


def test_options_can_be_left_out() -> None:
    assert list(without(HEAT, "degrees")) == ["every"]
    with pytest.raises(ValueError, match="without: aloud is not in the group, which has degrees, every"):
        without(HEAT, "every", "aloud")
