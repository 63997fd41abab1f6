"""Drawing figures and writing them to a folder, the same bytes for the same figure on every machine.

A figure that fails is left out with a warning: what it shows is in the tables, and hours of training must not end in
the traceback of a figure.

Matplotlib is imported here with its own defaults, whatever the user's matplotlibrc, style or MPLBACKEND says. Otherwise
pictures would differ between users, and a setting that only a screen needs (LaTeX, a window system) could end a run.
Nothing else in stopcli may import matplotlib first, except where the process is the user's (`import_for_the_user`).
"""

import contextlib
import importlib.util
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import in_a_line, printable
from stopcli.paths import user_cache, why_unusable
from stopcli.report.document import Picture, Section, alt_text
from stopcli.runs.files import is_disk_fault, replacing, variables_set
from stopcli.runs.headline import Headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150

Draw = Callable[[], "Figure"]
Figures = Mapping[str, Draw]
"""How each figure is drawn, by its name."""


@dataclass
class Drawn:
    """The figures that were drawn, and why others were not.

    Attributes:
        pictures: those that lie in the folder's `plots/`.
        warnings: a sentence without a full stop each.
        tracebacks: of figures that failed, for a log; empty where none did.
    """

    pictures: list[Picture] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tracebacks: str = ""

    def add_failure(self, what: str, error: Exception) -> None:
        """Record an exception that is being handled."""
        self.warnings.append(f"the report lacks {what}, which could not be drawn ({in_a_line(error)})")
        self.tracebacks += f"{what} could not be drawn:\n{traceback.format_exc()}"


def figures_section(drawn: Drawn, headline: Headline) -> list[Section]:
    """The figures that were drawn of a run, for a report; no section where there are none."""
    pictures = tuple(Picture(picture.path, alt_text(picture.name, headline)) for picture in drawn.pictures)
    return [Section("Figures", pictures)] if pictures else []


def draw(figures: Callable[[], Figures], folder: Path) -> Drawn:
    """Draw figures and write each as NAME.png and NAME.svg to a folder's `plots/`.

    Args:
        figures: imports what draws; called once, when matplotlib is set up.

    Raises:
        OSError: the disk is full, broken or read-only. Any other failure leaves a figure out.
    """
    drawn, plots = Drawn(), folder / "plots"
    try:
        with own_defaults() as notes:
            drawn.warnings += notes
            plots.mkdir(exist_ok=True)
            for name, draw_one in figures().items():
                _save(name, draw_one, plots, drawn)
    except Exception as error:
        if is_disk_fault(error):
            raise
        drawn.add_failure("the figures", error)
    return drawn


def _save(name: str, draw_one: Draw, plots: Path, drawn: Drawn) -> None:
    png, svg = plots / f"{name}.png", plots / f"{name}.svg"
    try:
        figure = draw_one()
        with replacing(png) as new:
            figure.savefig(new, dpi=DPI)
        # Laid out by now; doing it again would take as long and change nothing.
        figure.set_layout_engine("none")
        with replacing(svg) as new:
            figure.savefig(new, metadata={"Date": None})
        drawn.pictures.append(Picture(f"plots/{name}", alt_text(name)))
    except Exception as error:
        if is_disk_fault(error):
            raise
        drawn.add_failure(f"the figure {name}", error)
        # An earlier session may have drawn other results.
        for path in (png, svg):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


# Without a fixed salt and date, every run of the same config would write other SVG files.
_OURS: dict[Any, Any] = {
    "svg.hashsalt": "stopcli",
    "svg.fonttype": "none",
    # Nothing is written smaller than 10 points, its default (see `stopcli.report.curves.WIDTH`).
    "figure.titlesize": 11,
    "axes.titlesize": 10,
}


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


def import_for_the_user() -> None:
    """Import matplotlib as the user has set it up: in a process of theirs, such as a notebook, it is not for stopcli to
    choose the backend, which stays that of the first import."""
    # What is wrong with it is met again, and reported, where figures are drawn.
    with contextlib.suppress(Exception):
        import matplotlib  # noqa: F401


def _import() -> list[str]:
    """Import matplotlib where it is not imported yet. Returns what the user should know."""
    if "matplotlib" in sys.modules:
        return []
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.loader is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib is not installed")
    module = importlib.util.module_from_spec(spec)
    settings = Path(spec.origin).with_name("mpl-data") / "matplotlibrc"

    def own(file: object, *args: Any, **options: Any) -> Any:
        return open(settings, *args, **options)  # noqa: PTH123, it stands for the built-in one

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
    if not sys.platform.startswith("linux"):
        return []
    named = os.environ.get("MPLCONFIGDIR")
    problem = why_unusable(Path(named) if named else user_cache("matplotlib"))
    if not problem:
        return []
    # It would make a temporary folder, and fail where there is no place for that either. Below a file that is no folder
    # the list cannot be written, which it accepts.
    module.get_cachedir = lambda: os.path.join(os.devnull, "matplotlib")  # noqa: PTH118
    return [f"matplotlib cannot save its font list, which is built again each time ({problem})"]


# The font that matplotlib includes and draws with.
_FONT = "DejaVu Sans"


def drawn_name(name: str, longest: int = 40) -> str:
    """A name for a figure: in one line, without formulas, letters that the font does not have escaped.

    Args:
        longest: letters that fit; a longer name loses its middle, because names differ at their ends.
    """
    text = "".join(
        letter if _font().get_char_index(ord(letter)) else letter.encode("unicode_escape").decode("ascii")
        for letter in printable(name)
    )
    if len(text) > longest:
        end = (longest - 1) // 2
        text = f"{text[: longest - 1 - end]}…{text[-end:]}"
    # Matplotlib leaves labels that begin with an underscore out of legends.
    start = "\N{ZERO WIDTH SPACE}" if text.startswith("_") else ""
    return start + text.replace("$", r"\$")


@cache
def _font() -> Any:
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont(_FONT))
