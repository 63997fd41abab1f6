"""Drawing figures and writing them to a folder, the same bytes for the same figure, whoever draws it.

A picture that fails is left out and told of: what it shows is in the tables, and a training of hours must not end in
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
    """What became of some figures.

    Attributes:
        pictures: those that lie in the folder's `plots/`.
        warnings: what the user should know, a sentence without a full stop each.
        tracebacks: of those that failed, for a log; empty where none did.
    """

    pictures: list[Picture] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tracebacks: str = ""

    def failed(self, what: str, error: Exception) -> None:
        """Note a failure that is being handled."""
        self.warnings.append(f"{what} could not be drawn, and the report is without ({in_a_line(error)})")
        self.tracebacks += f"{what} could not be drawn:\n{traceback.format_exc()}"


def draw(figures: Callable[[], Figures], folder: Path) -> Drawn:
    """Draw figures and write each as NAME.png and NAME.svg to a folder's `plots/`.

    Args:
        figures: imports what draws; called once, when matplotlib is set.

    Raises:
        OSError: the disk is full or broken, or may not be written; any other failure leaves a figure out.
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
        drawn.failed("the figures", error)
    return drawn


def _save(name: str, draw_one: Draw, plots: Path, drawn: Drawn) -> None:
    png, svg = plots / f"{name}.png", plots / f"{name}.svg"
    try:
        figure = draw_one()
        with replacing(png) as new:
            figure.savefig(new, dpi=DPI)
        # Laid out by now; a second time would take as long and come to the same.
        figure.set_layout_engine("none")
        with replacing(svg) as new:
            figure.savefig(new, metadata={"Date": None})
        drawn.pictures.append(Picture(f"plots/{name}", alt_text(name)))
    except Exception as error:
        if is_disk_fault(error):
            raise
        drawn.failed(f"the figure {name}", error)
        # What an earlier session has drawn is not of this one.
        for path in (png, svg):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
