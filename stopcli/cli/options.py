"""The options of the command line: those of settings, made from their annotations, and those that are no settings."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from stopcli.cli.commands import is_number
from stopcli.cli.console import show_tracebacks
from stopcli.configs.base import (
    PANELS,
    Option,
    Role,
    RunConfig,
    is_table,
    options_of,
    setting_type,
    settings_with,
    takes_several,
)
from stopcli.configs.file_settings import read_table
from stopcli.configs.list_items import list_items
from stopcli.configs.registry import option_words
from stopcli.errors import ConfigError
from stopcli.paths import parse_path
from stopcli.runs.folder import runs_root
from stopcli.runs.run import complete_run


def in_panel(panel: str) -> Callable[..., Any]:
    """`typer.Option` for options that the help shows in a panel."""
    return functools.partial(typer.Option, rich_help_panel=panel)


def complete_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of runs for shells to complete. Where none fits, they complete paths."""
    return complete_run(incomplete, runs_root(ctx.params.get("runs_dir")))


def complete_code(ctx: typer.Context, incomplete: str) -> list[str]:
    """The Python files whose paths begin so. Where there are none, shells complete other paths: folders on the way."""
    folder, beginning = os.path.split(incomplete)
    try:
        names = sorted(os.listdir(folder or "."))  # noqa: PTH208, of what is typed
    except (OSError, ValueError):
        return []
    files = [name for name in names if name.startswith(beginning) and name.endswith(".py")]
    return [os.path.join(folder, name) for name in files]  # noqa: PTH118, as it is typed


RunPath = Annotated[
    Path,
    typer.Argument(
        help="A run or a sweep: its folder, its name or the beginning of it, or `last`.",
        metavar="RUN",
        parser=parse_path,
        autocompletion=complete_runs,
    ),
]
RunPaths = Annotated[
    list[Path],
    typer.Argument(
        help="Runs and sweeps: their folders, their names or the beginnings of them, or `last`.",
        metavar="RUN",
        parser=parse_path,
        autocompletion=complete_runs,
        show_default=False,
    ),
]
_output = in_panel("Run and output")

TimeBudget = Annotated[
    str | None,
    _output(
        metavar="TIME",
        help="Pause after this time (90s, 45m, 2h30m) with everything saved; `stopcli resume` continues.",
        show_default="no limit",
    ),
]
RunsDir = Annotated[
    Path | None,
    _output(
        help="Folder that holds the runs.",
        metavar="PATH",
        parser=parse_path,
        show_default="$STOPCLI_RUNS_DIR or runs",
    ),
]
RunDir = Annotated[
    Path | None,
    _output(help="The run's folder itself; must not exist.", metavar="PATH", parser=parse_path, show_default="by time"),
]
Json = Annotated[bool, _output("--json", help="Print only summary.json on stdout.")]
Quiet = Annotated[bool, _output("--quiet", "-q", help="Print only results and errors.")]
Verbose = Annotated[
    bool, _output("--verbose", "-v", help="Print more, and the traceback of errors.", callback=show_tracebacks)
]
CodePath = Annotated[
    Path | None,
    typer.Option(
        "--code",
        metavar="FILE.py",
        help="For settings that name a file of yours: this is the one that may be executed, also where it has changed.",
        parser=parse_path,
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    in_panel("Sweep")(
        "--dry-run",
        help="Print the plan and how long it will take, measured on a few steps of each arm; with --time-budget, which "
        "arms and how many seeds fit. Train nothing.",
    ),
]
FromRange = Annotated[
    Path | None,
    in_panel("Learning rate")(
        metavar="RUN",
        parser=parse_path,
        autocompletion=complete_runs,
        help="Take --base-lr and --max-lr from a run of `stopcli lr-range`: its folder, its name, or `last`.",
        show_default="none",
    ),
]

# By name: the annotation, and the default.
_Parameters = dict[str, tuple[Any, Any]]

# Options that are no settings. Those of a command are named by its config class.
_FIRST: Mapping[str, _Parameters] = {"Run and output": {"time_budget": (TimeBudget, None)}}
_LAST: Mapping[str, _Parameters] = {
    "Run and output": {
        "runs_dir": (RunsDir, None),
        "run_dir": (RunDir, None),
        "json": (Json, False),
        "quiet": (Quiet, False),
        "verbose": (Verbose, False),
    }
}
_OF_COMMANDS: Mapping[str, _Parameters] = {
    "Sweep": {"dry_run": (DryRun, False)},
    "Learning rate": {"from_range": (FromRange, None)},
}


def _completion(names: Sequence[str]) -> Callable[[str], list[str]]:
    """What gives names for shells to complete. Where none fits, they complete paths."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def option_of(config_class: type[Any], name: str) -> Any:
    """A setting's option as Typer's, for another command that has it."""
    return _typer_option(options_of(config_class)[name])


def _typer_option(option: Option, **changes: Any) -> Any:
    files = [f"FILE{option.path_ending}"] if option.path_ending else []
    names = _completion(option.choices) if option.choices else None
    shown = {
        "help": option.help,
        "metavar": option.metavar or "|".join([*option.choices, *files]) or None,
        "show_default": True if option.default is None else option.default,
        "parser": parse_path if option.is_path else None,
        "autocompletion": complete_runs if option.is_path else names,
    }
    return in_panel(option.panel)(*option.flags, **{**shown, **changes})


def alternatives(setting_type: Any) -> tuple[list[Any], bool]:
    """The types that a setting may have, and whether it may have no value."""
    union = get_origin(setting_type) in (Union, UnionType)
    members = list(get_args(setting_type)) if union else [setting_type]
    return [member for member in members if member is not NoneType], NoneType in members


def is_list(config_class: type[Any], name: str) -> bool:
    """Whether a setting is a list of any length."""
    return get_args(setting_type(config_class, name))[1:] == (...,)


def _parameter(config_class: type[Any], name: str) -> tuple[Any, Any]:
    """The annotation and the default of a setting's option."""
    option, default = options_of(config_class)[name], getattr(config_class, name)
    if option.is_argument:
        file = typer.Argument(
            help=option.help,
            metavar=option.metavar,
            parser=parse_path,
            autocompletion=complete_code if option.metavar.endswith(".py") else None,
            show_default=False,
        )
        # The first one may be of the other kind.
        return Annotated[Path | None, file], None
    if is_list(config_class, name) or is_table(config_class, name):
        # Its words are split later.
        return Annotated[list[str] | None, _typer_option(option)], None
    if option.is_path:
        return Annotated[Path | None, _typer_option(option)], None
    types, nullable = alternatives(setting_type(config_class, name))
    if len(types) > 1:
        # A word or a number is text on the command line.
        return Annotated[str, _typer_option(option)], str(default)
    return Annotated[types[0] | None if nullable else types[0], _typer_option(option)], default


def command_parameters(config_class: type[RunConfig]) -> list[inspect.Parameter]:
    """The parameters of a command that trains: the context, and an option for each setting that it offers, by panel."""
    panels: dict[str, _Parameters] = {panel: dict(_FIRST.get(panel, {})) for panel in PANELS}
    for panel, options in _OF_COMMANDS.items():
        panels[panel] |= {name: alias for name, alias in options.items() if name in config_class.extra_options}

    def order_of(item: tuple[str, Option]) -> tuple[bool, int, bool]:
        argument, roles = item[1].argument, {*item[1].roles}
        # Which runs, and where they start from, comes after what they are.
        return not argument, argument, bool({"seed", "start"} & roles)

    ordered = sorted(options_of(config_class).items(), key=order_of)
    for name, option in ordered:
        if name not in config_class.not_offered:
            panels[option.panel][name] = _parameter(config_class, name)
    for panel, options in _LAST.items():
        panels[panel] |= options
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    return [context, *_keywords({name: alias for options in panels.values() for name, alias in options.items()})]


def _keywords(parameters: _Parameters) -> Iterable[inspect.Parameter]:
    return (
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in parameters.items()
    )


def with_parameters(command: Callable[..., None], parameters: Iterable[inspect.Parameter]) -> Callable[..., None]:
    """The command, with parameters for Typer to read."""
    signature = inspect.Signature(list(parameters), return_annotation=None)
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return command


def with_changes(config_class: type[Any], *roles: Role) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that puts options for the settings of some roles in the place of a command's `**options`.

    None of them has a default there: an option that is not given changes nothing. `none` unsets a setting.
    """
    names = [name for role in roles for name in options_of(config_class) if name in settings_with(config_class, role)]
    options: _Parameters = {name: (_change(config_class, name), None) for name in names}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        # As keywords, so that an option without a value may come after those with one.
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        return with_parameters(command, [*own, *_keywords(options)])

    return decorate


def _change(config_class: type[Any], name: str) -> Any:
    option = options_of(config_class)[name]
    types, nullable = alternatives(setting_type(config_class, name))
    if is_list(config_class, name):
        alias = _typer_option(option, metavar=f"{option.metavar}|none", show_default=True)
        return Annotated[list[str] | None, alias]
    if nullable and "stopping" in option.roles:
        metavar = "N|none" if types[0] is int else "X|none"
        return Annotated[str | None, _typer_option(option, metavar=metavar, show_default=True)]
    # A word or a number is text on the command line.
    return Annotated[(types[0] if len(types) == 1 else str) | None, _typer_option(option, show_default=True)]


def options_text(config: RunConfig, always: Collection[str] = ()) -> list[str]:
    """The words of a command line that gives a config: its command, and the settings that are not the default.

    Args:
        always: settings that are named even where they are.
    """
    arguments, argv = dict[int, str](), list[str]()
    offered = [name for name in options_of(type(config)) if name not in config.not_offered]
    # A value that is the default elsewhere has to be named at this scale.
    quick = config.quick if config.scale == "quick" else {}
    defaults = {field.name: quick.get(field.name, field.default) for field in fields(config)}
    for name in (name for name in offered if getattr(config, name) != defaults[name] or name in always):
        if argument := options_of(type(config))[name].argument:
            arguments[argument] = str(getattr(config, name))
        else:
            argv += option_words(type(config), name, getattr(config, name))
    return [config.command, *(arguments[argument] for argument in sorted(arguments)), *argv]


def setting_value(config_class: type[Any], name: str, value: Any) -> Any:
    """The value of a setting from that of its option.

    Raises:
        ConfigError: a word of a list, or of a number that can be unset, is neither a number nor `none`.
    """
    kind, option = setting_type(config_class, name), options_of(config_class)[name]
    if is_table(config_class, name):
        flag = option.flags[0].lstrip("-") if option.flags else name
        return read_table(flag, value, several=takes_several(config_class, name))
    if is_list(config_class, name):
        if get_args(kind)[0] is not int:
            return parse_words(name, value)
        return () if [*value] == ["none"] else parse_counts(name, value)
    if option.takes_path(value):
        # Absolute: a run may be resumed in another folder.
        return os.path.realpath(value)
    types, nullable = alternatives(kind)
    if isinstance(value, str) and int in types and len(types) > 1:
        return int(value) if is_whole(value) else value
    if isinstance(value, str) and float in types and len(types) > 1:
        return float(value) if is_number(value) else value
    if isinstance(value, str) and nullable and types[0] in (int, float):
        return parse_number_or_none(name, value, types[0])
    return value


def list_flags(config_class: type[Any]) -> tuple[str, ...]:
    """The options of a config class that take lists."""
    names = [name for name in options_of(config_class) if is_list(config_class, name) or is_table(config_class, name)]
    return tuple((options_of(config_class)[name].flags or (f"--{name.replace('_', '-')}",))[0] for name in names)


def common_options(config_class: type[RunConfig]) -> frozenset[str]:
    """The options of a command that most of its runs need, by name."""
    settings = {name for name, option in options_of(config_class).items() if option.common}
    return frozenset(settings - config_class.not_offered | {"time_budget"} | config_class.extra_options)


# More than any number of anything has.
_MOST_DIGITS = 18


def is_whole(text: str) -> bool:
    """Whether a word is a whole number; Python refuses to read those of thousands of digits."""
    return text.removeprefix("-").isdecimal() and len(text) <= _MOST_DIGITS


def parse_words(setting: str, values: Sequence[str]) -> tuple[str, ...]:
    """The words of a list option; `none` by itself is an empty list.

    Raises:
        ConfigError: there is none.
    """
    items = _split(values)
    if not items:
        raise ConfigError(setting, " ".join(values), "one word or more")
    # A column may have this name: in quotes it is one.
    return () if [*values] == ["none"] else tuple(items)


def parse_counts(setting: str, values: Sequence[str]) -> tuple[int, ...]:
    """Whole numbers out of the words of a list option.

    Raises:
        ConfigError: there is none, or a word is no whole number.
    """
    items = _split(values)
    if not items:
        raise ConfigError(setting, " ".join(values), "one whole number or more, such as 2 4 8")
    for word in items:
        if not is_whole(word):
            raise ConfigError(setting, word, "whole numbers, such as 2 4 8")
    return tuple(map(int, items))


def parse_numbers(setting: str, values: Sequence[str]) -> tuple[float, ...]:
    """Numbers out of the words of a list option.

    Raises:
        ConfigError: there is none, or a word is no number.
    """
    items = _split(values)
    if not items:
        raise ConfigError(setting, " ".join(values), "one number or more, such as 0 0.001")
    for word in items:
        if not is_number(word):
            raise ConfigError(setting, word, "numbers, such as 0 0.001")
    return tuple(map(float, items))


def parse_numbers_or_words(setting: str, values: Sequence[str]) -> tuple[float | str, ...]:
    """As `parse_numbers`, of a list whose other words are checked where they are used."""
    return tuple(float(word) if is_number(word) else word for word in _split(values) or parse_words(setting, values))


def parse_number_or_none(setting: str, text: str, kind: type[int] | type[float]) -> int | float | None:
    """The number of an option that can also be taken away, by the word none.

    Raises:
        ConfigError: it is neither.
    """
    if text == "none":
        return None
    whole = kind is int
    if whole and is_whole(text):
        return int(text)
    if not whole and is_number(text):
        return float(text)
    raise ConfigError(setting, text, f"a {'whole ' if whole else ''}number, or none")


def _split(values: Sequence[str]) -> list[str]:
    # `--m 2, 4` comes with a comma too many.
    return [item for value in values for item in list_items(value)]
