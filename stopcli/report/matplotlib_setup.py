"""How matplotlib is imported and set: as it comes, whatever the user's matplotlibrc, style or MPLBACKEND says.

Else pictures would differ from one user to the next, and a setting that only a screen needs (LaTeX, a window system)
could end a run. Nothing else in stopcli may import matplotlib before this has.
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
    """Within the block, matplotlib has its own defaults. Gives what the user should know of it, a sentence each.

    Raises:
        Exception: whatever the import of a damaged installation leads to.
    """
    log = logging.getLogger("matplotlib")
    level = log.level
    # It tells of fonts and folders that it finds or not; what matters of that is a note.
    log.setLevel(logging.ERROR)
    try:
        notes = _import()
        import matplotlib

        # The backend is the process's, and not drawn with: figures know how to write themselves.
        settings: dict[Any, Any] = {name: matplotlib.rcParamsDefault[name] for name in matplotlib.rcParamsDefault}
        del settings["backend"]
        with matplotlib.rc_context():
            with warnings.catch_warnings():
                # That some of them will go.
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

    # It reads the first matplotlibrc that it finds while it is imported, that of the working folder before any that a
    # variable names, and is not imported where it cannot; colour maps and the locale depend on it for good. So it opens
    # its own, whichever it has found; with the variables it does not look into folders of the user's either.
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
    """Let it do without its list of fonts where that cannot be kept. Returns what the user should know."""
    named = os.environ.get("MPLCONFIGDIR")
    cache = user_cache()
    problem = why_unusable(Path(named) if named else cache and cache / "matplotlib")
    if not problem or not sys.platform.startswith("linux"):
        return []
    # It would make a temporary folder, for which there may be no place either, and raise an error then. The list cannot
    # be written to a path below a file that is no folder, which it takes for a list that is not kept.
    module.get_cachedir = lambda: os.path.join(os.devnull, "matplotlib")  # noqa: PTH118
    return [f"matplotlib cannot keep its list of fonts, which is made each time ({problem})"]
