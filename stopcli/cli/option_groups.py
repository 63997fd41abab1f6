"""A command's parameters out of groups of options.

Typer reads a function's signature. Commands share most of their options, and their bodies read none of them by name.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

import typer

from stopcli.configs.base import RunConfig

# Setting → the option's `Annotated` alias, or a `WithDefault` of it, in the order in which the help shows them.
Group = Mapping[str, Any]
Command = Callable[..., None]


class WithDefault(NamedTuple):
    """An option whose default is not a setting's: it is no setting, or it is written otherwise on the command line."""

    alias: Any
    default: object


def in_panel(panel: str) -> Callable[..., Any]:
    """`typer.Option` for options that the help shows in a panel; a module of options makes its own."""
    return functools.partial(typer.Option, rich_help_panel=panel)


def without(group: Group, *names: str) -> Group:
    """A group with some of its options left out.

    Raises:
        ValueError: it has no such option.
    """
    unknown = [name for name in names if name not in group]
    if unknown:
        raise ValueError(f"without: {', '.join(unknown)} is not in the group, which has {', '.join(group)}")
    return {name: option for name, option in group.items() if name not in names}


def with_options(config: type[RunConfig], *groups: Group) -> Callable[[Command], Command]:
    """A decorator that gives `def command(ctx: typer.Context, **settings: object)` the options of some groups.

    An option's default is its setting's, which is the published value. The help shows panels in the order in which
    their first options stand here.

    Args:
        config: the command's config class.

    Raises:
        ValueError: an option is given twice, or has no default.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    names: set[str] = set()
    for name, option in [pair for group in groups for pair in group.items()]:
        if name in names:
            raise ValueError(f"{config.command}: the option {name} is given twice")
        names.add(name)
        parameters.append(_parameter(config, name, option, defaults.get(name, dataclasses.MISSING)))
    signature = inspect.Signature(parameters, return_annotation=None)

    def give(command: Command) -> Command:
        # Typer reads both; mypy knows of no function that has a signature of its own.
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        return command

    return give


def _parameter(config: type[RunConfig], name: str, option: Any, default: Any) -> inspect.Parameter:
    alias = option
    if isinstance(option, WithDefault):
        alias, default = option
    elif default is dataclasses.MISSING:
        why = f"{config.__name__} has no such setting with one, and the group gives none (WithDefault)"
        raise ValueError(f"{config.command}: the option {name} has no default: {why}")
    elif isinstance(default, int) and get_args(alias)[0] is str:
        # A setting that is a word or a number, such as checkpoint_every, is text on the command line.
        default = str(default)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=alias)


def with_changes(*groups: Group) -> Callable[[Command], Command]:
    """A decorator that puts the options of some groups in the place of a command's `**changes`.

    None of them has a default there: an option that is not given changes nothing.

    Raises:
        ValueError: an option is given twice.
    """
    options = [pair for group in groups for pair in group.items()]

    def give(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        # As keywords, so that an option without a value may come after those with one.
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=alias)
            for name, alias in options
        ]
        # Raises where a name is there twice.
        whole = signature.replace(parameters=[*own, *added])
        command.__signature__ = whole  # type: ignore[attr-defined]
        command.__annotations__ = {name: parameter.annotation for name, parameter in whole.parameters.items()}
        return command

    return give
