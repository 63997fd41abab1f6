"""Options are made from the settings' annotations, and a command is imported once it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import pytest
import typer
from pydantic import TypeAdapter
from typer.testing import CliRunner

from stopcli.cli.app import SUMMARIES, app, load_command
from stopcli.cli.commands import command_class
from stopcli.cli.options import command_parameters, list_flags, setting_value, with_parameters
from stopcli.configs.base import Option, RunConfig, options_of
from stopcli.configs.registry import COMMANDS, config_class
from stopcli.errors import ConfigError

TRAINING = [name for name, command in COMMANDS.items() if command.summary]


@pytest.mark.parametrize("command", TRAINING)
def test_a_command_that_trains_offers_every_setting_but_those_that_it_sets_itself(command: str) -> None:
    config = config_class(command)
    offered = {parameter.name for parameter in command_parameters(config)}
    assert set(options_of(config)) - offered == config.not_offered


@pytest.mark.parametrize("command", TRAINING)
def test_every_default_is_of_its_option_s_type(command: str) -> None:
    # A type checker does not see signatures that are made.
    for parameter in command_parameters(config_class(command))[1:]:
        # An argument has none.
        if parameter.default is not parameter.empty:
            TypeAdapter(parameter.annotation).validate_python(parameter.default, strict=True)


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_overview_shows_the_first_sentence_of_a_command_s_help(name: str) -> None:
    first = (load_command(name).help or "").split("\n\n")[0]
    assert " ".join(first.split()) == SUMMARIES[name]


@dataclass(frozen=True, kw_only=True)
class KettleConfig(RunConfig):
    command: ClassVar[str] = "kettle"

    degrees: Annotated[int, Option("Stop at.", "Stopping")] = 100
    every: Annotated[int | Literal["cup"], Option("How often.", "Arms")] = 2
    cups: Annotated[tuple[int, ...], Option("Which, a list.", "Arms")] = ()
    lid: Annotated[bool, Option("Use it.", "Arms", flags=("--lid",))] = False


def test_options_stand_by_panel_with_the_settings_defaults() -> None:
    parameters = {parameter.name: parameter.default for parameter in command_parameters(KettleConfig)}
    names = list(parameters)
    assert names[:4] == ["ctx", "every", "cups", "lid"]
    assert names.index("seed") < names.index("degrees") < names.index("time_budget") < names.index("name")
    assert (parameters["degrees"], parameters["every"], parameters["cups"]) == (100, "2", None)


def test_typer_reads_them() -> None:
    def kettle(ctx: typer.Context, **settings: object) -> None:
        """Boil water."""
        given = {name: ctx.params[name] for name in ("degrees", "every", "cups", "lid")}
        print({name: setting_value(KettleConfig, name, value) for name, value in given.items()})

    program = typer.Typer()
    lists = list_flags(KettleConfig)
    program.command(cls=command_class(lists))(with_parameters(kettle, command_parameters(KettleConfig)))
    output = CliRunner().invoke(program, ["--degrees", "80", "--cups", "1", "2", "--every", "3", "--lid"]).stdout
    assert output == "{'degrees': 80, 'every': 3, 'cups': (1, 2), 'lid': True}\n"
    assert "Boil water." in CliRunner().invoke(program, ["--help"]).stdout


@dataclass(frozen=True, kw_only=True)
class NamelessConfig(RunConfig):
    water: str = ""


def test_a_setting_without_an_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="NamelessConfig: water has no Option"):
        command_parameters(NamelessConfig)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("patience", "none", None),
        ("patience", "7", 7),
        ("threshold", "0.5", 0.5),
        ("stop", ["none"], ()),
        ("mode", "min", "min"),
    ],
)
def test_what_resume_is_given_becomes_a_setting(name: str, given: Any, value: object) -> None:
    assert setting_value(config_class("moons"), name, given) == value


def test_a_list_of_numbers_can_be_empty() -> None:
    assert setting_value(config_class("fit"), "hidden", ["none"]) == ()
    assert setting_value(config_class("fit"), "hidden", ["8", "4"]) == (8, 4)
    with pytest.raises(ConfigError, match="hidden: received 'none', expected whole numbers"):
        setting_value(config_class("fit"), "hidden", ["8", "none"])


def test_a_word_that_is_neither_a_number_nor_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match="patience: received 'x', expected a whole number, or none"):
        setting_value(config_class("moons"), "patience", "x")


HEAVY = {"annotated_types", "keras", "matplotlib", "numpy", "platformdirs", "pydantic", "ray", "sklearn", "tensorflow"}
# What the overview takes: the program's streams, its errors, and where the commands are.
LIGHT = {
    *("stopcli", "stopcli.cli", "stopcli.cli.app", "stopcli.cli.commands", "stopcli.cli.main"),
    *("stopcli.cli.streams", "stopcli.configs", "stopcli.configs.registry", "stopcli.errors", "stopcli.keras_names"),
    *("stopcli.signals", "stopcli.data", "stopcli.data.table_endings"),
}


def modules_after(*args: str) -> set[str]:
    """The modules of stopcli, and of heavy packages, that a command line imports."""
    program = (
        "import sys\nfrom stopcli.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as exited:\n    assert not exited.code\n"
        "print(*sys.modules)"
    )
    # A new process: forked ones have TensorFlow.
    argv = [sys.executable, "-c", program, *args]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in lines[-1].split() if name in HEAVY or name.partition(".")[0] == "stopcli"}


def test_the_overview_imports_no_command() -> None:
    assert modules_after("--help") == LIGHT


def test_a_command_s_help_imports_its_settings_and_nothing_that_trains() -> None:
    modules = modules_after("cutout-sweep", "--help")
    # pydantic is what Typer reads parameters with.
    assert modules & HEAVY == {"annotated_types", "pydantic"}
    assert "stopcli.configs.cutout_sweep" in modules
    assert not {"stopcli.configs.clr", "stopcli.runner.run", "stopcli.recipes.cutout_sweep"} & modules


def test_completion_knows_commands_and_their_options() -> None:
    environment = {"_STOPCLI_COMPLETE": "complete_bash", "COMP_WORDS": "stopcli mo", "COMP_CWORD": "1"}
    assert CliRunner().invoke(app, [], prog_name="stopcli", env=environment).stdout.split() == ["moons"]
    environment |= {"COMP_WORDS": "stopcli moons --pati", "COMP_CWORD": "2"}
    assert CliRunner().invoke(app, [], prog_name="stopcli", env=environment).stdout.split() == ["--patience"]


def test_parameters_are_keywords_after_the_context() -> None:
    first, *others = command_parameters(config_class("moons"))
    assert first.annotation is typer.Context
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}
