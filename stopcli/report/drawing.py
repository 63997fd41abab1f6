"""Drawing figures and writing them to a folder, the same bytes for the same figure on every machine.

A figure that fails is left out with a warning: what it shows is in the tables, and hours of training must not end in
the traceback of a figure.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stopcli.errors import in_a_line
from stopcli.report.alt_texts import alt_text
from stopcli.report.document import Picture
from stopcli.report.matplotlib_setup import own_defaults
from stopcli.runs.files import is_disk_fault, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110

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
