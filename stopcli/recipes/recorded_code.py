"""The file of a user that a run's settings name: whether its code is that which the run was started with.

A folder with a run may come from anybody. So what its settings name is executed only where it is the file that they
have the hash of, or where the user names it; see `docs/decisions/0042-whose-code-runs.md`.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from stopcli.configs.base import AnyConfig
from stopcli.errors import LONG_LINE, ConfigError, RequestError, printable, shortened
from stopcli.runs.environment import read_environment
from stopcli.runs.folder import run_around
from stopcli.source import Source, read_source

# In a run's folder: the texts of the file and its local modules, as a record.
COPIES = "code"
# Changed lines that a message shows.
_LINES = 12
_SHIPPED: ContextVar[Source | None] = ContextVar("_SHIPPED", default=None)


@contextlib.contextmanager
def shipped(source: Source | None) -> Iterator[None]:
    """In the block, a config of this source is executed from its texts: a sweep's jobs train what the sweep has read,
    also on machines that have no such file, and whatever becomes of the file meanwhile."""
    token = _SHIPPED.set(source)
    try:
        yield
    finally:
        _SHIPPED.reset(token)


def file_of(config: Any) -> str:
    """The path of the user's file that a config names; empty for none."""
    return str(getattr(config, "file", "") or "")


def sha256_of(config: Any) -> str:
    """The hash of the file that the run of a config was started with; empty where none was started, or with none."""
    return str(getattr(config, "code_sha256", "") or "")


def _code_hash_of(config: Any) -> str:
    return str(getattr(config, "code_hash", "") or "")


def read_code(config: Any) -> Source:
    """The user's file that a config names, to be executed.

    Raises:
        RequestError: it cannot be read; it lies in the folder of a run; or a run was started with it, and its code is
            another one now.
    """
    source = _current(config)
    if not is_recorded(config, source):
        raise changed_code(config, source, hint="--code names the file that may be executed.")
    return source


def _current(config: Any) -> Source:
    """The shipped source, where a config was started with it; else the file as it lies there."""
    source = _SHIPPED.get()
    if source is not None and source.sha256 == sha256_of(config):
        return source
    return _read(Path(file_of(config)), config)


def _read(path: Path, config: Any) -> Source:
    # The rows may be those of a table.
    source = read_source(path, needs_data=not getattr(config, "table", ""))
    # Both as the user named it, and where a link leads.
    for named in (Path(os.path.abspath(path)), source.path):  # noqa: PTH100
        if folder := run_around(named):
            raise RequestError(
                f"{path}: lies in the run folder {folder}, whose files are records; they are not executed",
                hint="Read the file, copy it to a folder of your own, and name it there.",
            )
    return source


def is_recorded(config: Any, source: Source) -> bool:
    """Whether a source is what the run of a config was started with, but for comments and layout; so it is where no run
    was started yet."""
    return sha256_of(config) in ("", source.sha256) or _code_hash_of(config) == source.code_hash


def with_code(
    config: AnyConfig, code: Path | None, *, run: Path | None = None, again: str, force: bool = False
) -> tuple[AnyConfig, tuple[str, ...]]:
    """The config of a file that the user has not named as such, such as that of a run's folder, with the code that may
    be executed.

    Args:
        config: of a run that was started before.
        code: the file that the user names with `--code`; None where they name none.
        run: the folder of the run that is resumed, which has a copy of the code; None for a new run.
        again: the command that names it, such as `stopcli resume RUN`, for hints.
        force: take the file at its place as it is now.

    Returns:
        The config with the place and the hashes of the code, and notes on what has changed.

    Raises:
        ConfigError: a file is named, and the run executes none.
        RequestError: the code is not that which the run was started with, and the user has not named it.
    """
    recorded: Any = config
    if not file_of(recorded):
        if code is not None:
            raise ConfigError("code", str(code), f"nothing: {config.command} executes no file of yours here")
        return config, ()
    path = file_of(recorded)
    if code is None and not Path(path).is_absolute():
        raise RequestError(
            f"file: received {path!r}, expected an absolute path: a config says where its code lies",
            hint=f"{again} --code {path} names it.",
        )
    if code is None and not sha256_of(recorded):
        raise RequestError(
            f"{path}: the settings have no code_sha256, by which the file is known that may be executed",
            hint=f"{again} --code {path} executes it.",
        )
    try:
        source = _current(recorded) if code is None else _read(code, recorded)
    except RequestError as error:
        if code is None and not os.path.exists(path):  # noqa: PTH110
            error.hint = f"If the file is elsewhere now: {again} --code PATH"
        raise
    if code is None and not force and not is_recorded(recorded, source):
        raise changed_code(recorded, source, run, hint=f"{again} --code {path} executes it as it is now.")
    notes = () if sha256_of(recorded) in ("", source.sha256) else (_note(recorded, source, run),)
    names = {field.name for field in fields(recorded)}
    changes = {
        **({} if code is None else {"file" if "file" in names else "model": os.path.abspath(code)}),  # noqa: PTH100
        "code_sha256": source.sha256,
        # Where it is known what the code is.
        **({"code_hash": source.code_hash} if _code_hash_of(recorded) else {}),
    }
    moved: AnyConfig = replace(recorded, **changes)
    return moved, notes


@contextlib.contextmanager
def hinting_at_folder(run: Path) -> Iterator[None]:
    """Add to an error of a file that a user's code does not find, in the block, in which folder the run was started:
    relative paths count from there."""
    try:
        yield
    except RequestError as error:
        folder = read_environment(run)[0].get("working_folder", "")
        if isinstance(error.__cause__, FileNotFoundError) and folder and folder != str(Path.cwd()):
            error.hint = f"{error.hint} The run was started in {folder}, from where relative paths count.".lstrip()
        raise


def changed_code(config: Any, source: Source, run: Path | None = None, *, hint: str) -> RequestError:
    """The error for a file whose code is another one than a run was started with."""
    message = f"{source.path}: its code has changed since the run was started"
    return RequestError("\n".join([message, *changed_lines(run, source)]), hint=hint)


def _note(config: Any, source: Source, run: Path | None) -> str:
    if _code_hash_of(config) == source.code_hash:
        return f"{source.path} has changed since the run was started, in comments or layout only"
    lines = changed_lines(run, source)
    where = "; environment.json says in which lines" if lines else ""
    return "\n".join([f"{source.path} has changed since the run was started{where}", *lines])


def changed_lines(run: Path | None, source: Source) -> list[str]:
    """What has changed in the code since its copy in a run's folder, as the lines of a diff; empty where there is no
    copy."""
    if run is None:
        return []
    # Of a sweep, every run has a copy.
    copies = next((path for path in (run / COPIES, *sorted(run.glob(f"jobs/*/{COPIES}"))) if path.is_dir()), None)
    if copies is None:
        return []
    lines: list[str] = []
    for name, before, now in _pairs(copies, source.files):
        different = [
            line
            for line in difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=0)
            if not line.startswith(("---", "+++"))
        ]
        if different:
            lines += [f"  {name}:", *(f"    {shortened(printable(line), LONG_LINE)}" for line in different)]
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"    … ({len(lines) - _LINES} more lines)"]
    return lines


def keep_earlier_copies(run: Path, source: Source) -> None:
    """Rename the copies in the folder of a run that goes on, where its code is another text now: `code-1`, `code-2`, …
    are those that earlier epochs were trained with."""
    copies = run / COPIES
    if not copies.is_dir() or all(before == now for _, before, now in _pairs(copies, source.files)):
        return
    names = (run / f"{COPIES}-{number}" for number in itertools.count(1))
    copies.rename(next(name for name in names if not name.exists()))


def _pairs(copies: Path, files: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Files with their text in a run's folder and as it is now, empty for a file that is not there. The file itself may
    have another name now."""
    first, *_ = files
    own = sorted(path for path in copies.glob("*.py") if path.name not in files)
    for name, text in files.items():
        copy = copies / name
        if name == first and not copy.exists() and len(own) == 1:
            copy = own[0]
        try:
            yield name, copy.read_text(encoding="utf-8", errors="replace"), text
        except OSError:
            yield name, "", text
