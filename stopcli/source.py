"""A user's Python file as text: what it defines, which settings it has, and its hash. Nothing of it is executed."""

from __future__ import annotations

import ast
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

from stopcli.errors import ConfigError, RequestError, did_you_mean, shown, system_words
from stopcli.local_imports import MOST_BYTES, local_files, syntax_tree

# A setting of the file.
Value: TypeAlias = bool | int | float | str


class Unknown(Enum):
    """Stands for a default that is no literal, so that it is known only once the file is executed."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN
Default: TypeAlias = Value | Unknown | None

# The functions of a file that stopcli calls, and the positional parameters of each.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "data": (),
    "build": ("x", "y"),
    "augment": ("x", "y", "seed"),
    "after": ("model", "splits", "folder"),
}
_NEEDED = ("data", "build")
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Source:
    """A user's file with the modules beside it that it imports.

    Attributes:
        path: of the file, absolute and without links.
        files: the text of the file, then of the local modules that it imports, and they import, by their paths
            relative to its folder.
        sha256: of these texts; the name of the file itself is no part of it.
        code_hash: of their syntax trees without docstrings, comments and layout.
        functions: which of data, build, augment and after the file defines.
        defaults: its settings with their defaults, as far as these are literals; None where a setting has no type.
        settings_by_function: the names of the settings that each function takes.
    """

    path: Path
    files: Mapping[str, str]
    sha256: str
    code_hash: str
    functions: frozenset[str]
    defaults: Mapping[str, Default]
    settings_by_function: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def settings_of(self, function: str) -> tuple[str, ...]:
        """The names of the settings that a function takes, in its order; none where the file has no such function."""
        return self.settings_by_function.get(function, ())

    def check_name(self, name: str) -> None:
        """Raise ConfigError where the file has no setting of this name."""
        if name in self.defaults:
            return
        known = ", ".join(self.defaults) or "none, because its functions have no keyword-only parameters"
        raise ConfigError(
            "set",
            name,
            f"a setting of {self.path.name} ({known})",
            hint=did_you_mean(name, self.defaults) or _positional_hint(self, name),
        )


def read_source(path: Path, *, needs_data: bool = True) -> Source:
    """Read a user's file and the local modules that it imports.

    Args:
        needs_data: whether it has to have a `data`; otherwise one that it has is not called.

    Raises:
        RequestError: there is no such file; it or a module beside it is not text, not Python, or larger than anything
            that somebody writes; it has no `data` or no `build`; or its functions cannot be called as stopcli does.
    """
    path = _existing(path)
    return source_of(path, local_files(path), needs_data=needs_data)


def source_of(path: Path, files: Mapping[str, str], *, needs_data: bool = True) -> Source:
    """As `read_source`, of texts that were read before.

    Args:
        path: of the file itself, absolute; need not exist.
        files: the file's text first, then those of local modules, by their relative paths.
    """
    trees = {name: syntax_tree(path.parent / name, text) for name, text in files.items()}
    tree = next(iter(trees.values()))
    functions = _functions(path, tree, needs_data=needs_data)
    defaults: dict[str, Default] = {}
    lines: dict[str, tuple[str, int]] = {}
    taken: dict[str, tuple[str, ...]] = {}
    for name, function in functions.items():
        _check_parameters(path, function)
        of_function = _settings(path, function)
        taken[name] = tuple(of_function)
        for setting, value in of_function.items():
            if setting in defaults and not same_default(defaults[setting], value):
                other, line = lines[setting]
                raise RequestError(
                    f"{path}: {other} (line {line}) and {name} (line {function.lineno}) have different defaults for "
                    f"the setting {setting}: {_literal(defaults[setting])} and {_literal(value)}",
                    hint="A name that two functions take is one setting: give it one default, or two names.",
                )
            if defaults.get(setting, UNKNOWN) is UNKNOWN:
                defaults[setting] = value
            lines.setdefault(setting, (name, function.lineno))
    return Source(
        path,
        dict(files),
        hash_of_texts(files),
        _code_hash(trees),
        frozenset(functions),
        defaults,
        taken,
    )


def _existing(path: Path) -> Path:
    """A path without links. Raises RequestError where there is no file of Python text."""
    path = Path(path).expanduser()
    try:
        if path.is_dir():
            raise RequestError(f"{path}: a folder, expected a Python file with the functions data and build")
        if not path.exists():
            near = did_you_mean(path.name, [file.name for file in path.absolute().parent.glob("*.py")])
            raise RequestError(f"{path}: no such file", hint=near)
        if not path.is_file():
            raise RequestError(f"{path}: not a regular file, expected a Python file")
        if path.suffix == ".ipynb":
            raise RequestError(
                f"{path}: a notebook, expected a Python file with the functions data and build",
                hint=f"jupyter nbconvert --to script {path.name} writes its cells into one.",
            )
        if path.stat().st_size > MOST_BYTES:
            raise RequestError(f"{path}: {path.stat().st_size:,} bytes, expected a Python file with data and build")
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None


_Function = ast.FunctionDef


def _functions(path: Path, tree: ast.Module, *, needs_data: bool) -> dict[str, _Function]:
    """The functions that stopcli calls, in the order of `PARAMETERS`. Raises RequestError where one is missing or is
    something else."""
    names: dict[str, ast.stmt] = {}
    for statement in _statements(tree.body):
        for name in _bound_names(statement):
            names[name] = statement
    functions: dict[str, _Function] = {}
    for name, positional in PARAMETERS.items():
        if name == "data" and not needs_data:
            continue
        binding = names.get(name)
        if isinstance(binding, ast.FunctionDef):
            functions[name] = binding
        elif binding is not None and (name in _NEEDED or not isinstance(binding, ast.Import)):
            raise RequestError(
                f"{path}, line {binding.lineno}: {name} is {_kind(binding)}, expected a function: {_form(name)}",
                hint=f"A function {name} that calls it does; what is something else needs another name.",
            )
        elif name in _NEEDED:
            parameters = f" of {', '.join(positional)}" if positional else ""
            near = did_you_mean(name, [bound for bound in names if bound not in PARAMETERS])
            raise RequestError(
                f"{path}: has no function {name}{parameters}, expected {_form(name)}",
                hint=near or "stopcli fit --help shows what the file has to define.",
            )
    return functions


def _form(name: str) -> str:
    return {
        "data": "def data(*, …), which returns (x, y)",
        "build": "def build(x, y, *, …), which returns a compiled keras.Model",
        "augment": "def augment(x, y, seed), which returns (x, y)",
        "after": "def after(model, splits, folder)",
    }[name]


def _kind(statement: ast.AST) -> str:
    if isinstance(statement, ast.AsyncFunctionDef):
        return "an async function"
    if isinstance(statement, ast.ClassDef):
        return "a class"
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return "imported"
    if isinstance(getattr(statement, "value", None), ast.Lambda):
        return "a lambda"
    return "assigned"


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, with those inside of its `if`, `try` and `with`."""
    for statement in body:
        yield statement
        for name in ("body", "orelse", "finalbody"):
            if isinstance(statement, (ast.If, ast.Try, ast.With)):
                yield from _statements(getattr(statement, name, []))
        if isinstance(statement, ast.Try):
            for handler in statement.handlers:
                yield from _statements(handler.body)


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module gives something to."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0]
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _check_parameters(path: Path, function: _Function) -> None:
    """Raise RequestError where a function cannot be called with the arguments that stopcli gives it."""
    expected = PARAMETERS[function.name]
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without_default = [argument.arg for argument in positional[: len(positional) - len(arguments.defaults)]]
    where = f"{path}, line {function.lineno}"
    if not expected and without_default:
        names = ", ".join(without_default)
        raise RequestError(
            f"{where}: data has {'positional parameters' if len(without_default) > 1 else 'a positional parameter'} "
            f"without default ({names}), expected settings only: {_form('data')}",
            hint=f"As a setting: def data(*, {without_default[0]}=…)",
        )
    several = len(positional) >= len(expected) or arguments.vararg is not None
    if len(without_default) > len(expected) or not several:
        received = ", ".join(argument.arg for argument in positional) or "none"
        raise RequestError(
            f"{where}: {function.name} has the positional parameters {received}; expected "
            f"{len(expected)} ({', '.join(expected)}): {_form(function.name)}",
            hint=f"As a setting: def {function.name}({', '.join(expected)}, *, {without_default[-1]}=…)"
            if len(without_default) > len(expected)
            else "",
        )


def _settings(path: Path, function: _Function) -> dict[str, Default]:
    """The settings of a function and their defaults. Raises RequestError for one without default, or with one that a
    setting cannot have."""
    settings: dict[str, Default] = {}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        where = f"{path}, line {argument.lineno}: the setting {argument.arg} of {function.name}"
        if default is None:
            raise RequestError(f"{where} has no default", hint=f"Such as {argument.arg}=1, which also says its type.")
        try:
            value: Any = ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            value = UNKNOWN
        settings[argument.arg] = check_default(where, value)
    return settings


def check_default(where: str, value: Any) -> Default:
    """A default that a setting can have. Raises RequestError for another, which begins with where it stands."""
    if value is None or value is UNKNOWN or type(value) in (bool, int, str):
        return value  # type: ignore[no-any-return]
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    hint = "A text can hold several values, such as '32,32', which the function splits."
    raise RequestError(
        f"{where} has the default {shown(value)}, expected true or false, a finite number, or a text",
        hint=hint if isinstance(value, (list, tuple, set, dict)) else "",
    )


def same_default(one: Default, other: Default) -> bool:
    """Whether two defaults of one name are the same, as far as they are known."""
    if UNKNOWN in (one, other):
        return True
    return type(one) is type(other) and one == other


def typed(name: str, default: Default, value: object) -> Value:
    """A value for a setting, in the type of its default.

    Args:
        default: of the setting; a default that is not known yet gives a value no type.
        value: of any of these types; a text is read as the command line has it (`32`, `1e-3`, `true`).

    Raises:
        ConfigError: it is of another type, or the setting has none.
    """
    if default is None:
        raise ConfigError(
            "set",
            f"{name}={value}",
            f"no value for {name}, whose default None has no type",
            hint="A default such as 0 or '' says which type it has.",
        )
    if default is UNKNOWN:
        if isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
            return value
        raise ConfigError("set", f"{name}={value}", "true or false, a finite number, or a text")
    kind = type(default)
    result = _parsed(kind, value) if isinstance(value, str) else value
    if kind is float and type(result) is int:
        result = float(result)
    if type(result) is not kind or (isinstance(result, float) and not math.isfinite(result)):
        raise ConfigError("set", f"{name}={value}", f"{_TYPES[kind]} for {name}, as its default {default!r}")
    return result


def _parsed(kind: type, text: str) -> object:
    if kind is bool:
        return {"true": True, "false": False}.get(text.casefold(), text)
    try:
        return kind(text)
    except (ValueError, OverflowError):
        return text


def _literal(value: Default) -> str:
    return "one that is computed" if value is UNKNOWN else shown(value)


def _positional_hint(source: Source, name: str) -> str:
    """A hint for what is a parameter, and no setting, because it has no `*` before it."""
    tree = syntax_tree(source.path, next(iter(source.files.values())))
    for function, node in _functions(source.path, tree, needs_data="data" in source.functions).items():
        if name in (argument.arg for argument in node.args.args):
            before = "".join(f"{parameter}, " for parameter in PARAMETERS[function])
            return f"A parameter is a setting where a * stands before it: def {function}({before}*, {name}=…)"
    return ""


def hash_of_texts(files: Mapping[str, str]) -> str:
    """SHA-256 of texts and their names, without that of the first."""
    digest = hashlib.sha256()
    for i, (name, text) in enumerate(files.items()):
        content = text.encode("utf-8")
        digest.update(f"{name if i else ''} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _code_hash(trees: Mapping[str, ast.Module]) -> str:
    digest = hashlib.sha256()
    for i, (name, tree) in enumerate(trees.items()):
        digest.update(f"{name if i else ''} {_dump(tree)}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _dump(node: object) -> str:
    """A syntax tree as text, without docstrings and positions, the same in every version of Python that has the same
    grammar: `ast.dump` of newer ones leaves out what is empty."""
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    parts = []
    for name in node._fields:
        value = getattr(node, name, None)
        if name == "body" and isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            value = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        if value in (None, []) and not isinstance(node, ast.Constant):
            continue
        # `u"text"` is "text".
        if name in ("kind", "type_comment", "ctx"):
            continue
        parts.append(f"{name}={_dump(value)}")
    return f"{type(node).__name__}({','.join(parts)})"
