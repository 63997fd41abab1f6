"""The settings of a user's Python file: their values, and the arms that several values of them make."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from stopcli.errors import ConfigError
from stopcli.paths import is_text
from stopcli.source import Source, Value, typed

Item = TypeVar("Item")

# In characters: a seed and more stand beside an arm in a folder's name, which has at most 255 bytes.
_LONGEST_NAME = 80


class Table(dict[str, Item]):
    """Values by name, as a default that a frozen config can have: it is never changed, and has a hash."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def read_table(option: str, assignments: Sequence[str], *, several: bool = False) -> dict[str, Any]:
    """The texts behind names, out of words such as `units=32`, or of several values `units=32,64`, in lists.

    Args:
        option: whose values they are, for errors.

    Raises:
        ConfigError: a word is no name and text, a name is there twice, or a quotation mark is missing.
    """
    table: dict[str, Any] = {}
    example = "units=32,64" if several else "units=32"
    for word in assignments:
        name, equals, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise ConfigError(option, word, f"a setting of the file and its value{'s' * several}, such as {example}")
        if name in table:
            raise ConfigError(option, word, f"{name} once, which has another value already")
        table[name] = _split(option, text) if several else text
    return table


def _split(option: str, text: str) -> list[str]:
    """The values between a text's commas; one in double quotation marks may have commas, and doubled marks."""
    values, rest = [], text
    while True:
        if rest.lstrip().startswith('"'):
            quoted = re.match(r'\s*"((?:[^"]|"")*)"\s*(,|$)', rest)
            if quoted is None:
                raise ConfigError(option, text, "values in double quotation marks to end with one, before a comma")
            values.append(quoted[1].replace('""', '"'))
            comma, rest = quoted[2], rest[quoted.end() :]
        else:
            value, comma, rest = rest.partition(",")
            values.append(value.strip())
        if not comma:
            return values


def table_words(table: Mapping[str, Value | tuple[Value, ...]]) -> list[str]:
    """What `read_table` reads: a word for each name."""
    assignments = []
    for name, value in table.items():
        text = ",".join(map(_quoted, value)) if isinstance(value, (tuple, list)) else written(value)
        assignments.append(f"{name}={text}")
    return assignments


def written(value: Value) -> str:
    """A value as the command line has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: Value) -> str:
    text = written(value)
    plain = text == text.strip() and not any(letter in text for letter in ',"')
    return text if plain else '"' + text.replace('"', '""') + '"'


def typed_settings(
    source: Source,
    settings: Mapping[str, object],
    vary: Mapping[str, Sequence[object]],
    option: str = "set",
    own: Collection[str] = (),
) -> tuple[dict[str, Value], dict[str, tuple[Value, ...]]]:
    """Values for settings of a file, each in the type of its default, as far as these are known without executing it.

    Args:
        settings, vary: a value, and several, by name; texts as the command line has them, or of their types.
        option: what errors call `settings`.
        own: the settings of stopcli, for a hint where one of them is meant.

    Raises:
        ConfigError: the file has no such setting, or a value is of another type.
    """
    return (
        {name: _typed(option, source, name, value, own) for name, value in settings.items()},
        {name: tuple(_typed("vary", source, name, value, own) for value in values) for name, values in vary.items()},
    )


def _typed(option: str, source: Source, name: str, value: object, own: Collection[str]) -> Value:
    try:
        source.check_name(name)
        return typed(name, source.defaults[name], value)
    except ConfigError as error:
        hint = error.hint
        if not hint and name not in source.defaults and name in own:
            hint = f"--{name.replace('_', '-')} is a setting of stopcli, and stands by itself."
        raise ConfigError(option, error.received, error.expected, hint=hint) from None


def check_names(settings: Mapping[str, Value], vary: Mapping[str, tuple[Value, ...]]) -> None:
    """Raise ConfigError where names are none of arguments, one has a value and several, or a value is there twice."""
    for table, names in (("settings", settings), ("vary", vary)):
        for name in names:
            if not name.isidentifier():
                raise ConfigError(table, name, "names of settings, which are arguments of a function in Python")
    for value in (*settings.values(), *(value for values in vary.values() for value in values)):
        # As config.toml can have them.
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise ConfigError("settings", value, "a whole number of at most 64 bits")
        if isinstance(value, str) and not is_text(value):
            raise ConfigError("settings", value, "a text in UTF-8")
    if not vary:
        return
    for name, values in vary.items():
        if name in settings:
            raise ConfigError("vary", name, "a setting that has no single value (--set) at the same time")
        if not values:
            raise ConfigError("vary", name, f"values of {name}, such as {name}=A,B")
        repeated = [value for i, value in enumerate(values) if key_of(value) in map(key_of, values[:i])]
        if repeated:
            raise ConfigError("vary", repeated[0], f"every value of {name} once")
    if all(len(values) == 1 for values in vary.values()):
        name, (value,) = next(iter(vary.items()))
        raise ConfigError("vary", value, f"two values of {name} or more", hint=f"--set {name}={value} chooses one.")


def key_of(value: Value) -> tuple[type, Value]:
    """What tells a value from others: Python takes True for 1, and 1.0."""
    return type(value), value


def arm_names(vary: Mapping[str, tuple[Value, ...]]) -> dict[str, dict[str, Value]]:
    """The combinations of some settings' values, by names that folders can have and that differ in more than case.

    >>> list(arm_names({"units": (8, 16), "activation": ("relu",)}))
    ['units-8-activation-relu', 'units-16-activation-relu']
    """
    arms: dict[str, dict[str, Value]] = {}
    taken: set[str] = set()
    for values in itertools.product(*vary.values()):
        choice = dict(zip(vary, values, strict=True))
        plain = _shortened("-".join(f"{_plain(name)}-{_plain(_text(value))}" for name, value in choice.items()))
        numbers = itertools.count(2)
        name = plain
        while name.casefold() in taken:
            name = f"{plain}-{next(numbers)}"
        taken.add(name.casefold())
        arms[name] = choice
    return arms


def label_of(name: str, value: Value) -> str:
    """A setting and its value in words: `learning rate 0.1`."""
    return f"{name.replace('_', ' ')} {str(value).lower() if isinstance(value, bool) else value}"


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        # Without an exponent, whose sign would look like a hyphen; 2.0 stays apart from 2.
        return f"{'minus-' if value < 0 else ''}{abs(Decimal(str(value))):f}"
    return value


def _plain(text: str) -> str:
    """A text in letters that every file system can have in a name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "text"


def _shortened(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9].rstrip('-.')}-{digest}"
