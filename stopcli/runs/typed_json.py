"""JSON objects as dataclasses and typed dictionaries: checked as they are read, whoever has changed the file since."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union

from stopcli.errors import shown

T = TypeVar("T")


class MisfitError(ValueError):
    """A value is not of its type. The text begins with the keys that lead to it."""


class Check(NamedTuple):
    """What a value has to be, as metadata of an `Annotated` type: in words, after "expected", and whether a value
    fits."""

    expected: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


Positive = Annotated[int, Check("a whole number ≥ 1", lambda value: type(value) is int and value >= 1)]

# Every whole number in these files is a count.
_PLAIN = {
    str: Check("text", lambda value: isinstance(value, str)),
    bool: Check("true or false", lambda value: isinstance(value, bool)),
    int: Check("a whole number ≥ 0", lambda value: type(value) is int and value >= 0),
    float: Check("a number", _is_number),
}


# As the metadata of a dataclass's field: it is not written where it has its default.
OPTIONAL = {"optional": True}
# As the metadata of a field that holds a mapping: its items are written among the other fields, and not read.
INLINED = {"inlined": True}


def to_json(value: Any) -> Any:
    """A dataclass as the JSON object that `from_json` reads. NaN and infinities become null, for JSON lacks them."""
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if not dataclasses.is_dataclass(value):
        return value
    written: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if field.metadata.get("inlined"):
            written |= to_json(item)
        elif not (field.metadata.get("optional") and item == _default(field)):
            written[field.name] = to_json(item)
    return written


def from_json(kind: type[T], value: Any) -> T:
    """A JSON value as an instance of a dataclass, or as the typed dictionary that it is.

    Keys that the type does not know are ignored: they are another version's. So are those of fields that have a default
    and are missing.

    Raises:
        MisfitError: a value is of another type, or a field without a default is missing.
    """
    read: T = _read(kind, value, ())
    return read


def _read(kind: Any, value: Any, keys: tuple[str, ...]) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _checked(arguments[1], value, keys)
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value, keys)
    if kind in _PLAIN:
        checked = _checked(_PLAIN[kind], value, keys)
        return float(checked) if kind is float else checked
    if origin is Literal:
        allowed = Check(f"one of {', '.join(arguments)}", lambda value: value in arguments)
        return _checked(allowed, value, keys)
    if kind is Any:
        return value
    if origin in (tuple, list):
        if not isinstance(value, list):
            raise _misfit(keys, value, "a list")
        return tuple(_read(arguments[0], item, (*keys, str(i))) for i, item in enumerate(value, start=1))
    if not isinstance(value, dict):
        raise _misfit(keys, value, "values by name")
    if origin is not None:
        return {key: _read(arguments[1], item, (*keys, key)) for key, item in value.items()}
    hints = _hints(kind)
    if not dataclasses.is_dataclass(kind):
        for key, inner in hints.items():
            if key in value:
                _read(inner, value[key], (*keys, key))
        return value
    fields = {}
    for field in dataclasses.fields(kind):
        if not field.init or field.metadata.get("inlined"):
            continue
        if field.name in value:
            fields[field.name] = _read(hints[field.name], value[field.name], (*keys, field.name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise MisfitError(f"{'.'.join((*keys, field.name))}: missing")
    built: Any = kind
    return built(**fields)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _checked(check: Check, value: Any, keys: tuple[str, ...]) -> Any:
    if not check.fits(value):
        raise _misfit(keys, value, check.expected)
    return value


def _misfit(keys: tuple[str, ...], value: Any, expected: str) -> MisfitError:
    where = f"{'.'.join(keys)}: " if keys else ""
    return MisfitError(f"{where}received {shown(value)}, expected {expected}")
