"""Importing matplotlib with its own defaults, whatever the user's matplotlibrc, style or MPLBACKEND says.

Otherwise pictures would differ between users, and a setting that only a screen needs (LaTeX, a window system) could end
a run. Nothing else in stopcli may import matplotlib first.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stopcli.runs.environment import variables_set
from stopcli.user_cache import user_cache, why_unusable

# Without a fixed salt and date, every run of the same config would write other SVG files.
_OURS: dict[Any, Any] = {"svg.hashsalt": "stopcli", "svg.fonttype": "none"}


@contextlib.contextmanager
def own_defaults() -> Iterator[list[str]]:
    """Within the block, matplotlib has its own defaults. Yields what the user should know, a sentence each.

    Raises:
        Exception: whatever a damaged installation raises on import.
    """
    log = logging.getLogger("matplotlib")
    level = log.level
    # It logs which fonts and folders it finds; what matters of that is yielded.
    log.setLevel(logging.ERROR)
    try:
        notes = _import()
        import matplotlib

        # The backend belongs to the process, and is not used: figures know how to write themselves.
        settings: dict[Any, Any] = {name: matplotlib.rcParamsDefault[name] for name in matplotlib.rcParamsDefault}
        del settings["backend"]
        with matplotlib.rc_context():
            with warnings.catch_warnings():
                # Some of them are deprecated.
                warnings.simplefilter("ignore")
                matplotlib.rcParams.update(settings | _OURS)
            yield notes
    finally:
        log.setLevel(level)


def _import() -> list[str]:
    """Import matplotlib where it is not imported yet. Returns what the user should know."""
    if "matplotlib" in sys.modules:
        return []
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.loader is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib is not installed")
    module = importlib.util.module_from_spec(spec)
    settings = Path(spec.origin).with_name("mpl-data") / "matplotlibrc"

    def own(file: object, *args: Any, **words: Any) -> Any:
        return open(settings, *args, **words)  # noqa: PTH123, it stands for the built-in one

    # While it is imported it reads the first matplotlibrc that it finds, that of the working folder before one that a
    # variable names, and fails where it cannot; colour maps and the locale depend on it for good. Whatever it finds, it
    # opens its own; with the variables it does not look into the user's folders either.
    module.open = own  # type: ignore[attr-defined]
    sys.modules["matplotlib"] = module
    try:
        with variables_set(MATPLOTLIBRC=str(settings), MPLBACKEND="agg"):
            spec.loader.exec_module(module)
    except BaseException:
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]
        raise
    del module.open
    return _without_cache(module)


def _without_cache(module: Any) -> list[str]:
    """Let it do without its font list where that cannot be saved. Returns what the user should know."""
    named = os.environ.get("MPLCONFIGDIR")
    cache = user_cache()
    problem = why_unusable(Path(named) if named else cache and cache / "matplotlib")
    if not problem or not sys.platform.startswith("linux"):
        return []
    # It would make a temporary folder, and fail where there is no place for that either. Below a file that is no folder
    # the list cannot be written, which it accepts.
    module.get_cachedir = lambda: os.path.join(os.devnull, "matplotlib")  # noqa: PTH118
    return [f"matplotlib cannot save its font list, which is made anew each time ({problem})"]
