"""The texts of a user's file and of the modules beside it that it imports, and their syntax trees."""

from __future__ import annotations

import ast
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stopcli.errors import RequestError, system_words

# Larger than anything that somebody writes; a data set that is named by mistake is not read.
MOST_BYTES = 2 * 1024 * 1024
_MOST_FILES = 500


def local_files(path: Path) -> dict[str, str]:
    """The texts of a file, and of the modules beside it that it imports and that these import, by their paths relative
    to its folder, the file itself first.

    A module or a package in the file's folder comes before an installed one of the same name, as for a script. Imports
    anywhere in a file count, also those inside of functions.

    Raises:
        RequestError: one of them cannot be read, is not text, or not Python.
    """
    root = path.parent
    files: dict[str, str] = {}
    waiting = [PurePosixPath(path.name)]
    while waiting:
        relative = waiting.pop(0)
        name = str(relative)
        if name in files:
            continue
        if len(files) == _MOST_FILES:
            raise RequestError(f"{path}: imports more than {_MOST_FILES} modules that lie beside it")
        files[name] = read_python(root / relative)
        for module in imported_modules(syntax_tree(root / relative, files[name]), relative):
            waiting += module_files(root, module)
    first, *others = files
    return {name: files[name] for name in (first, *sorted(others))}


def read_python(path: Path) -> str:
    """The text of a file. Raises RequestError where it cannot be read, is larger than any file of Python, or is not
    UTF-8."""
    try:
        if not path.is_file():
            raise RequestError(f"{path}: not a regular file, expected a Python file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None
    if len(content) > MOST_BYTES:
        raise RequestError(f"{path}: more than {MOST_BYTES:,} bytes, expected a Python file that somebody has written")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not a Python file in UTF-8 (byte {error.start:,} is no text)") from None
    if "\0" in text:
        raise RequestError(f"{path}: not a Python file (byte {text.index(chr(0)):,} is zero)")
    return text


def syntax_tree(path: Path, text: str) -> ast.Module:
    """The syntax tree of a file's text. Raises RequestError where it is not Python, with the line and a caret."""
    try:
        with warnings.catch_warnings():
            # Such as of an escape that Python does not know: it is said when the file is executed.
            warnings.simplefilter("ignore")
            return ast.parse(text.removeprefix("\ufeff"), str(path))
    except SyntaxError as error:
        raise RequestError(_syntax_message(path, text, error)) from None
    except ValueError as error:
        raise RequestError(f"{path}: not Python ({error})") from None
    except (RecursionError, MemoryError):
        raise RequestError(f"{path}: not Python that can be read (nested too deeply)") from None


def _syntax_message(path: Path, text: str, error: SyntaxError) -> str:
    message = f"{path}, line {error.lineno}: {error.msg}" if error.lineno else f"{path}: {error.msg}"
    lines = text.removeprefix("\ufeff").splitlines()
    if not 0 < (error.lineno or 0) <= len(lines):
        return message
    line = lines[(error.lineno or 0) - 1]
    start = max((error.offset or 1) - 1, 0)
    indent = len(line) - len(line.lstrip())
    end = (error.end_offset or 0) - 1 if error.end_lineno == error.lineno else start + 1
    # What cannot be printed is shown as longer than it is; what stands below would not fit any more.
    shown_line = "".join(letter if letter.isprintable() else " " for letter in line[indent:].rstrip())
    carets = "^" * max(1, min(end, len(line)) - start)
    return f"{message}\n    {shown_line}\n    {' ' * max(start - indent, 0)}{carets}"


def imported_modules(tree: ast.Module, relative: PurePosixPath) -> Iterator[str]:
    """The names of all modules that a file may import, those in its folder with their packages' names.

    Args:
        relative: the file's path in the folder that names count from.
    """
    # A package's own file counts names from its folder, as the modules in it do.
    package = list(relative.parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - (node.level - 1)] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            if base:
                yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def module_files(root: Path, module: str) -> list[PurePosixPath]:
    """The files in a folder that the import of a module executes, those of its packages first; none where it lies
    elsewhere."""
    parts = module.split(".")
    if parts[0] in sys.builtin_module_names:
        return []
    files: list[PurePosixPath] = []
    for count in range(1, len(parts) + 1):
        stem = PurePosixPath(*parts[:count])
        package_file = stem / "__init__.py"
        if (root / package_file).is_file():
            files.append(package_file)
        elif (root / stem.with_name(f"{stem.name}.py")).is_file():
            files.append(stem.with_name(f"{stem.name}.py"))
            break
        elif not (root / stem).is_dir() or (count == 1 and _is_installed(parts[0])):
            break
    return files


def _is_installed(name: str) -> bool:
    """Whether a package of this name lies elsewhere: it comes before a folder that is none itself."""
    try:
        spec = importlib.util.find_spec(name)
    except (ValueError, ImportError):
        return name in sys.modules
    return spec is not None and spec.origin is not None
