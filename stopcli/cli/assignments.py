"""Words such as `epochs=200`: settings of stopcli, and those of a user's Python file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any, get_args, get_origin

from stopcli.cli.commands import is_number
from stopcli.cli.options import alternatives, is_list, is_whole
from stopcli.configs.base import is_table, options_of, setting_type, takes_several
from stopcli.configs.file_settings import read_table, typed_settings
from stopcli.configs.list_items import list_items
from stopcli.data.table_endings import TABLE_ENDINGS, is_table_file
from stopcli.errors import ConfigError, RequestError
from stopcli.paths import check_is_text, check_path, parse_path, quoted
from stopcli.runs.run import resolve_run
from stopcli.source import Source, read_source

_CODE = "a Python file (FILE.py) with the functions data and build"
_TABLE_HINT = f"Tables are {', '.join(TABLE_ENDINGS)}; anything else the function data of a Python file can read."
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")
_TABLES = ("settings", "vary")


def file_and_table(first: Path | None, second: Path | None, target: str = "") -> dict[str, Path | None]:
    """The arguments FILE.py and TABLE of a command line, in either order; of one alone its ending says which it is.

    Args:
        target: the column that is predicted.

    Raises:
        RequestError: there is none of them, or two of the same kind; the table and its column stand in each other's
            place.
    """
    if first is None and second is None:
        raise RequestError(f"received no FILE.py and no TABLE, expected {_CODE}, or a table")
    tables = [path for path in (first, second) if path is not None and is_table_file(path)]
    codes = [path for path in (first, second) if path is not None and path not in tables]
    if len(codes) > 1 or len(tables) > 1:
        expected = "one table" if tables else "one Python file (FILE.py)"
        others = "the second one a table (" + " ".join(TABLE_ENDINGS) + ")" if codes else "the other one a Python file"
        raise RequestError(f"received {first} and {second}, expected {expected}, and {others}")
    if not tables and is_table_file(Path(target)) and not codes[0].exists():
        hint = f"stopcli fit {quote(target)} --target {quote(str(codes[0]))}"
        raise RequestError(f"--target: received the table {target}, expected one of its columns", hint=hint)
    for word in codes if tables else ():
        if not word.suffix and not word.exists():
            raise RequestError(f"{word}: no such file", hint=f"A column to predict stands behind --target: {word}.")
    return {"file": codes[0] if codes else None, "table": tables[0] if tables else None}


def read_code(path: Path, *, needs_data: bool = True) -> Source:
    """A user's Python file that a command line names. Raises RequestError where it is none, as `read_source`."""
    check_path(path)
    check_is_text(path)
    if path.is_file() and path.suffix.lower() != ".py":
        hint = f"stopcli run {quoted(path)} runs a config file." if path.name.endswith(".toml") else _TABLE_HINT
        if path.suffix.lower() in _SPREADSHEETS:
            hint = "Save the sheet as CSV: semicolons and decimal commas are read, too."
        raise RequestError(f"{path}: a file of another kind, expected {_CODE}, or a table", hint=hint)
    return read_source(path, needs_data=needs_data)


def source_in(config_class: type[Any], settings: Mapping[str, Any], code: Path | None = None) -> Source | None:
    """The text of the user's Python file that settings name; None where they name none, or one that has changed since
    a run was started with it, which is not executed then.

    Args:
        code: the file that is named instead of it.

    Raises:
        RequestError: there is no such file, or it is none that stopcli can use.
    """
    file, recorded = settings.get("file") or settings.get("model"), settings.get("code_sha256")
    if "settings" not in options_of(config_class) or not isinstance(file, str) or not file.endswith(".py"):
        return None
    needs_data = not settings.get("table")
    if code is not None or not recorded:
        return read_source(code or Path(file), needs_data=needs_data)
    source = read_source(Path(file), needs_data=needs_data) if Path(file).is_file() else None
    return source if source is not None and source.sha256 == recorded else None


def with_typed_settings(
    config_class: type[Any], settings: Mapping[str, Any], source: Source | None, *, option: str = "set"
) -> dict[str, Any]:
    """Settings of stopcli in which those of a user's Python file are checked and have the types of their defaults,
    without executing it.

    Args:
        source: the file; None for none.
        option: what errors call the settings of the file.

    Raises:
        ConfigError: the file has no such setting, or a value is of another type.
    """
    settings, options = dict(settings), options_of(config_class)
    if source is None:
        return settings
    chosen, vary = settings.get("settings", {}), settings.get("vary", {})
    is_mapping = isinstance(chosen, Mapping) and isinstance(vary, Mapping)
    # Anything else is for the check to show.
    if is_mapping and all(isinstance(values, (list, tuple)) for values in vary.values()):
        typed = typed_settings(source, chosen, vary, option, options)
        settings |= {name: table for name, table in zip(_TABLES, typed, strict=True) if name in settings}
    return settings


def setting_of_file(settings: Mapping[str, Any], name: str) -> str:
    """A hint where a name is no setting of stopcli and one of the user's file; else empty."""
    of_file = settings.get("settings")
    if not isinstance(of_file, Mapping) or name not in of_file:
        return ""
    return f"settings.{name} is the file's setting of this name."


def with_changes_of_tables(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others in their place; of a table those that are named, and all where it is emptied."""
    merged = {**settings, **changes}
    for name in _TABLES:
        before, now = settings.get(name), changes.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping) and now:
            merged[name] = {**before, **now}
    return merged


def parse_assignments(config_class: type[Any], assignments: Sequence[str], root: Path) -> dict[str, Any]:
    """Settings out of words such as `epochs=200`, named and written as in config.toml, but for a list's commas
    (`stop=gl:2,up:3`) and `none`, which unsets a setting. Those of a user's file stand behind `settings.` and `vary.`
    (`settings.units=32`). They are not checked yet.

    Args:
        root: the runs folder, for a setting that may name a run.

    Raises:
        ConfigError: a word is not an assignment, or its setting has one already.
    """
    settings: dict[str, Any] = {}
    for word in assignments:
        name, equals, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise ConfigError("set", word, "a setting and its value, such as epochs=200")
        table, dot, item = name.partition(".")
        if dot and table in options_of(config_class) and is_table(config_class, table):
            read = read_table("set", [f"{item}={text}"], several=takes_several(config_class, table))
            if {*read} & {*settings.setdefault(table, {})}:
                raise ConfigError("set", word, f"one value of {name}, which has another already")
            settings[table] |= read
            continue
        if name in settings:
            raise ConfigError("set", word, f"one value of {name}, which has another already")
        settings[name] = _assigned(config_class, name, text.strip(), root)
    return settings


def _assigned(config_class: type[Any], name: str, text: str, root: Path) -> Any:
    """A setting's value from its text; the text itself where it can be none, for the check to show."""
    if name not in options_of(config_class):
        return text
    option = options_of(config_class)[name]
    if option.is_path and not option.is_argument:
        return os.path.realpath(resolve_run(parse_path(text), root))
    if option.is_argument or option.takes_path(text):
        return os.path.realpath(parse_path(text))
    if is_table(config_class, name):
        return {} if text == "none" else text
    types, nullable = alternatives(setting_type(config_class, name))
    if get_origin(types[0]) is tuple:
        # In brackets and quotes, as TOML has it, or without.
        items = list_items(text.removeprefix("[").removesuffix("]"))
        values = tuple(_single_value(get_args(types[0]), item) for item in items)
        return () if text == "none" and is_list(config_class, name) else values
    return None if nullable and text == "none" else _single_value(types, text)


def _single_value(types: Sequence[Any], text: str) -> Any:
    """A text as a value of the first of some types that it can be, else itself."""
    if bool in types and text in ("true", "false"):
        return text == "true"
    if int in types and is_whole(text):
        return int(text)
    return float(text) if float in types and is_number(text) else text
