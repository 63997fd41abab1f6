"""Options that take several values: `--m 2 4 8`, and `--m 2,4,8` or `--m 2 --m 4 --m 8` as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from typer.core import TyperCommand

from stopcli.errors import ConfigError


def gather(arguments: Sequence[str], options: frozenset[str]) -> list[str]:
    """Words of a command line with the values that follow an option put into one word after it.

    Args:
        options: those that take all words up to the next option. A word such as `-1` is a value: no option is a number.

    >>> gather(["--m", "2", "4", "--seeds", "3"], frozenset({"--m"}))
    ['--m', '2,4', '--seeds', '3']
    """
    gathered: list[str] = []
    in_list = False
    for i, word in enumerate(arguments):
        if word == "--":
            return [*gathered, *arguments[i:]]
        name, _, value = word.partition("=")
        if name in options:
            in_list = True
            gathered += [name, value]
        elif in_list and (not word.startswith("-") or _is_number(word)):
            gathered[-1] = f"{gathered[-1]},{word}" if gathered[-1] else word
        else:
            in_list = False
            gathered.append(word)
    return gathered


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


# More than any number of anything has.
_MOST_DIGITS = 18


def listing(*options: str) -> type[TyperCommand]:
    """A command class whose named options take lists."""

    class ListingCommand(TyperCommand):
        lists: ClassVar[frozenset[str]] = frozenset(options)

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, gather(args, self.lists))

    return ListingCommand


def parse_words(setting: str, values: Sequence[str]) -> tuple[str, ...]:
    """The words of a list option; `none` by itself is an empty list. Raises ConfigError where there is none."""
    items = _split(values)
    if not items:
        raise ConfigError(setting, " ".join(values), "one word or more")
    return () if items == ["none"] else tuple(items)


def parse_counts(setting: str, values: Sequence[str]) -> tuple[int, ...]:
    """Whole numbers out of the words of a list option. Raises ConfigError where there is none, or a word is no whole
    number."""
    items = _split(values)
    if not items:
        raise ConfigError(setting, " ".join(values), "one whole number or more, such as 2 4 8")
    for word in items:
        # Python refuses to read numbers of thousands of digits.
        if not word.removeprefix("-").isdecimal() or len(word) > _MOST_DIGITS:
            raise ConfigError(setting, word, "whole numbers, such as 2 4 8")
    return tuple(map(int, items))


def parse_numbers(setting: str, values: Sequence[str]) -> tuple[float, ...]:
    """Numbers out of the words of a list option. Raises ConfigError where there is none, or a word is no number."""
    items = _split(values)
    if not items:
        raise ConfigError(setting, " ".join(values), "one number or more, such as 0 0.001")
    for word in items:
        if not _is_number(word):
            raise ConfigError(setting, word, "numbers, such as 0 0.001")
    return tuple(map(float, items))


def parse_number_or_none(setting: str, text: str, kind: type[int] | type[float]) -> int | float | None:
    """The number of an option that can also be taken away, by the word none. Raises ConfigError where it is neither."""
    if text == "none":
        return None
    whole = kind is int
    if whole and text.removeprefix("-").isdecimal() and len(text) <= _MOST_DIGITS:
        return int(text)
    if not whole and _is_number(text):
        return float(text)
    raise ConfigError(setting, text, f"a {'whole ' if whole else ''}number, or none")


def _split(values: Sequence[str]) -> list[str]:
    # `--m 2, 4` comes with a comma too many.
    return [word.strip() for value in values for word in value.split(",") if word.strip()]
