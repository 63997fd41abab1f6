"""The settings of a user's Python file: their values, and the arms that several values of them make."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from stopcli.errors import ConfigError

Value = bool | int | float | str
Item = TypeVar("Item")

# In characters: a seed and more stand beside an arm in a folder's name, which has at most 255 bytes.
_LONGEST_NAME = 80


class Table(dict[str, Item]):
    """Values by name, as a default that a frozen config can have: it is never changed, and has a hash."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def check_names(settings: Mapping[str, Value], vary: Mapping[str, tuple[Value, ...]]) -> None:
    """Raise ConfigError where names are none of arguments, one has a value and several, or a value is there twice."""
    for table, names in (("settings", settings), ("vary", vary)):
        for name in names:
            if not name.isidentifier():
                raise ConfigError(table, name, "names of settings, which are arguments of a function in Python")
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
