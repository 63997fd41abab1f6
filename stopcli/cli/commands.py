"""What the program's commands are to Typer: how they take their arguments, show their help, and refuse what is wrong.

Imports what the overview needs and nothing else: a command's own options are known once it is loaded.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException

from stopcli.cli.streams import encodable
from stopcli.data.table_endings import is_table_file
from stopcli.errors import RequestError, did_you_mean, shown

# Lines that are longer than this are read badly; shorter ones break names.
_WIDEST, _NARROWEST = 100, 40
_NO_PANEL = "Options"
# Options whose values are settings and their values.
SET = "--set"
ASSIGNMENTS = frozenset({SET, "--vary"})
# What an option was called before, or is called elsewhere, by which it is looked for.
_OTHER_NAMES = {"--rule": "--stop", "--rules": "--stop"}
# What to say to whoever names an option as it was called before.
_RENAMED = {
    "--mixed-precision": "It is --precision now: --precision float16 stands for --mixed-precision.",
    "--no-mixed-precision": "It is --precision now: --precision float32, the default, stands for --no-mixed-precision.",
}


def gather(arguments: Sequence[str], options: frozenset[str]) -> list[str]:
    """Words of a command line with the values that follow an option put into one word after it: `--m 2 4 8`.

    Values of `--set` and `--vary`, which may have commas, stay apart; a word without an equals sign ends them.

    Args:
        options: those that take all words up to the next option. A word such as `-1` is a value: no option is a number.

    >>> gather(["--m", "2", "4", "--seeds", "3"], frozenset({"--m"}))
    ['--m', '2,4', '--seeds', '3']
    >>> gather(["--set", "epochs=5", "m=2,4", "conf.toml"], frozenset({"--set"}))
    ['--set', 'epochs=5', '--set', 'm=2,4', 'conf.toml']
    """
    gathered: list[str] = []
    in_list = ""
    for i, word in enumerate(arguments):
        if word == "--":
            return [*gathered, *arguments[i:]]
        name, _, value = word.partition("=")
        if name in options:
            in_list = name
            gathered += [name, value]
        elif in_list in ASSIGNMENTS and gathered[-1] and not word.startswith("-"):
            in_list = in_list if "=" in word else ""
            gathered += [in_list, word] if in_list else [word]
        elif in_list and (not word.startswith("-") or is_number(word)):
            gathered[-1] = f"{gathered[-1]},{word}" if gathered[-1] else word
        else:
            in_list = ""
            gathered.append(word)
    return gathered


def is_number(word: str) -> bool:
    """Whether a word is a number as Python writes it."""
    try:
        float(word)
    except ValueError:
        return False
    return True


class Command(TyperCommand):
    """A command with options that take lists, help that fits any terminal, and errors in the program's own words.

    Attributes:
        lists: its options that take all values up to the next option.
        common: the names of the parameters that `--help` shows, the rest being left to `--help-all`; empty for all.
            `--help-all` is taken in any case.
    """

    lists: ClassVar[frozenset[str]] = frozenset()
    common: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.append(_help_all(self._show_all, hidden=not self.common))

    def _show_all(self, ctx: typer.Context, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            typer.echo(encodable(command_help(self, ctx, everything=True)))
            raise typer.Exit

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        args = gather(args, self.lists)
        try:
            return super().parse_args(ctx, [*args])
        except TyperException as error:
            raise usage_error(error, ctx, args) from None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(encodable(command_help(self, ctx)))


def command_class(lists: Iterable[str], common: Iterable[str] = ()) -> type[Command]:
    """The class of a command with options that take lists; see `Command`."""
    return type("Command", (Command,), {"lists": frozenset(lists), "common": frozenset(common)})


class CommandGroup(TyperGroup):
    """The program: its commands, each with its summary."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit(RequestError.exit_status)
        try:
            return super().parse_args(ctx, [*args])
        except TyperException as error:
            raise usage_error(error, ctx, args) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise RequestError(
                f"received the command {shown(args[0])}, expected one of {', '.join(self.commands)}",
                hint=did_you_mean(args[0], self.commands),
            )
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        width = help_width()
        column = max(map(len, self.commands)) + 4
        lines = [f"Usage: {ctx.command_path} COMMAND [OPTIONS]", "", *_paragraphs(self.help or "", width)]
        lines += ["", _strong("Commands"), ""]
        for name, command in self.commands.items():
            first, *rest = textwrap.wrap(command.help or "", width - column, break_on_hyphens=False)
            lines += [f"  {_strong(name)}{' ' * (column - 2 - len(name))}{first}"]
            lines += [" " * column + line for line in rest]
        lines += ["", *_option_lines(_NO_PANEL, _shown_options(self, ctx), width)]
        lines += ["", *_wrapped(f"{ctx.command_path} COMMAND --help shows a command's options.", width)]
        formatter.write(encodable("\n".join(lines) + "\n"))


def _help_all(show: Callable[..., None], hidden: bool) -> TyperOption:
    """The option `--help-all`, made by Typer from a parameter as all others are."""
    alias = typer.Option(
        False, "--help-all", help="Show all options and exit.", callback=show, is_eager=True, hidden=hidden
    )

    def command(help_all: bool = alias) -> None:
        pass

    single = typer.Typer(add_completion=False)
    single.command()(command)
    option = typer.main.get_command(single).params[0]
    assert isinstance(option, TyperOption)
    option.expose_value = False
    return option


def help_width() -> int:
    """How wide help is printed: as the terminal is, within what can be read."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))


def command_help(command: TyperCommand, ctx: Any, everything: bool = False) -> str:
    """A command's help: its arguments and its options by panel, each with its text below its name.

    Args:
        everything: also the options that few runs need; else only the names of their panels.
    """
    width = help_width()
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = " ".join([f"Usage: {ctx.command_path}", *map(_usage_piece, arguments), "[OPTIONS]"])
    lines = [*_wrapped(usage, width), "", *_paragraphs(command.help or "", width)]
    if arguments:
        lines += ["", *_option_lines("Arguments", arguments, width)]
    options = _shown_options(command, ctx)
    common: frozenset[str] = getattr(command, "common", frozenset())
    if everything or not common:
        panels = dict.fromkeys(_panel(option) for option in options)
        for panel in panels:
            lines += ["", *_option_lines(panel, [o for o in options if _panel(o) == panel], width)]
        return "\n".join(lines) + "\n"
    first = [option for option in options if option.name in common or option.name in ("help", "help_all")]
    lines += ["", *_option_lines("Options that most runs need", first, width)]
    others = [_panel(option) for option in options if option not in first]
    counts = ", ".join(f"{panel} ({others.count(panel)})" for panel in dict.fromkeys(others))
    more = f"{len(others)} more are shown by {ctx.command_path} --help-all: {counts}."
    return "\n".join([*lines, "", *_wrapped(more, width)]) + "\n"


def _shown_options(command: Any, ctx: Any) -> list[TyperOption]:
    return [p for p in command.get_params(ctx) if p.param_type_name == "option" and not p.hidden]


def _panel(option: Any) -> str:
    return option.rich_help_panel or _NO_PANEL


def _usage_piece(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    piece = f"{name}..." if argument.nargs == -1 else name
    return piece if argument.required else f"[{piece}]"


def _paragraphs(text: str, width: int) -> list[str]:
    paragraphs = [_wrapped(" ".join(paragraph.split()), width) for paragraph in text.strip().split("\n\n")]
    return [line for i, paragraph in enumerate(paragraphs) for line in ([""] if i else []) + paragraph]


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of a text, none of whose words is broken."""
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, **options)  # type: ignore[arg-type]


def _option_lines(heading: str, parameters: Iterable[Any], width: int) -> list[str]:
    lines = [_strong(heading), ""]
    for parameter in parameters:
        lines += _name_lines(parameter, width)
        default = _default(parameter)
        text = " ".join([*(parameter.help or "").split(), *([f"[default: {default}]"] if default else [])])
        lines += _wrapped(text, width, " " * 6)
    return lines


def _name_lines(parameter: Any, width: int) -> list[str]:
    """A parameter's names and what its value is; names and alternatives that have no room on the line go on below."""
    if parameter.param_type_name == "argument":
        return [f"  {_strong(_usage_piece(parameter))}"]
    # Typer has the names of --help in no order.
    names = ", ".join(sorted(parameter.opts, key=len))
    pieces = [(f"{names} / ", True), (", ".join(parameter.secondary_opts), True)]
    if not parameter.secondary_opts:
        # After a bar of a list of words a line may end.
        pieces = [(f"{names} ", True), *((piece, False) for piece in re.findall(r"[^|]+\|?", _value(parameter)))]
    lines, line, length = [], "  ", 2
    for piece, is_name in pieces:
        if length > 2 and length + len(piece) > width:
            lines.append(line.rstrip())
            line, length = " " * 10, 10
        line, length = line + (_strong(piece) if is_name else piece), length + len(piece)
    return [*lines, line.rstrip()]


def _value(option: Any) -> str:
    """What the value of an option is, in a word: a metavar, alternatives, N for a whole number, X for a number."""
    if option.metavar or option.is_flag:
        return option.metavar or ""
    kind = option.type_descriptor
    if kind.is_choice:
        return "|".join(map(str, kind.choices))
    types = get_args(kind.annotation) if kind.is_tuple else (kind.annotation,)
    return " ".join({int: "N", float: "X", str: "TEXT"}.get(item, "PATH") for item in types)


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default
    if not parameter.show_default or value is None or value is False or value == () or callable(value):
        return ""
    if value is True:
        return parameter.opts[0] if parameter.secondary_opts else ""
    return " ".join(map(_short, value if isinstance(value, (tuple, list)) else (value,)))


def _short(value: object) -> str:
    """A value as help shows it: of 1/3 nobody needs 16 digits."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:.4g}" if isinstance(value, float) and len(text) > 8 else text


def _strong(text: str) -> str:
    """Text in bold where colours are wanted. Typer takes that out again where there is no terminal."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, bold=True)


def usage_error(error: TyperException, ctx: Any, args: Sequence[str]) -> Exception:
    """What Typer found wrong with a command line, in the words of stopcli's other errors.

    Args:
        args: the words that were parsed.
    """
    command, message = ctx.command, error.message
    where = f"{ctx.command_path} {'--help-all' if getattr(command, 'common', ()) else '--help'} shows them."
    if hasattr(error, "possibilities"):
        known = [name for option in _shown_options(command, ctx) for name in (*option.opts, *option.secondary_opts)]
        name = error.option_name  # type: ignore[attr-defined]
        expected = f"an option of {ctx.command_path}"
        other = _OTHER_NAMES.get(name)
        # Of `run` and of the commands that take a user's file; a table alone has no settings.
        has_table = any(map(is_table_file, map(Path, args))) and not any(word.endswith(".py") for word in args)
        has_settings = SET in known and not has_table
        settings = f" Settings of the file: {SET} {name.lstrip('-').replace('-', '_')}=…" if has_settings else ""
        near = (_RENAMED.get(name) if "--precision" in known else "") or did_you_mean(name, known) or where
        hint = f"Did you mean {other}?" if other in known else f"{near}{settings}"
        return RequestError(f"received {shown(name)}, expected {expected}", hint=hint)
    if hasattr(error, "option_name"):
        parameters = command.get_params(ctx)
        parameter = next(p for p in parameters if error.option_name in (*p.opts, *p.secondary_opts))
        if parameter.is_flag:
            return RequestError(f"{error.option_name}: received a value, expected none")
        few = "no value" if parameter.nargs == 1 else "too few values"
        return RequestError(f"{error.option_name}: received {few}, expected {_expected(parameter)}")
    if hasattr(error, "param_type"):
        argument: Any = error.param  # type: ignore[attr-defined]
        text = (argument.help or argument.name).rstrip(".")
        return RequestError(f"received no {_usage_piece(argument)}, expected {text[0].lower()}{text[1:]}")
    if getattr(error, "param", None) is not None:
        option: Any = error.param  # type: ignore[attr-defined]
        received, choices = _received(option, args), option.type_descriptor.choices or ()
        hint = did_you_mean(received, map(str, choices))
        return RequestError(f"{option.opts[0]}: received {shown(received)}, expected {_expected(option)}", hint=hint)
    if extra := re.search(r"extra argument\(?s?\)? \((.*)\)", message):
        pieces = [_usage_piece(p) for p in command.params if p.param_type_name == "argument"]
        expected = f"only {' '.join(pieces)} and options" if pieces else "only options"
        return RequestError(f"received {shown(extra[1])}, expected {expected}")
    return error


def _expected(option: Any) -> str:
    """What the value of an option should be."""
    kind = option.type_descriptor
    if kind.is_choice:
        return f"one of {', '.join(map(str, kind.choices))}"
    types = get_args(kind.annotation) if kind.is_tuple else (kind.annotation,)
    one: Mapping[Any, str] = {int: "a whole number", float: "a number", str: option.metavar or "a text"}
    if len(types) == 1:
        return one.get(types[0], "a path")
    return f"{len(types)} numbers, such as --{option.name.replace('_', '-')} {' '.join(map(_short, option.default))}"


def _received(option: Any, args: Sequence[str]) -> str:
    """The words of a command line that an option took as its value."""
    received = ""
    for i, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name in option.opts:
            received = value if equals else " ".join(args[i + 1 : i + 1 + option.nargs])
    return received
