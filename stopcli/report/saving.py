"""Writing figures to a folder, the same bytes for the same figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from stopcli.runs.files import replacing

DPI = 110


def save_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write each figure as NAME.png and NAME.svg into a folder. Returns the PNG files."""
    folder.mkdir(exist_ok=True)
    written = []
    # Without a fixed salt and date, every run of the same config would write other SVG files.
    with matplotlib.rc_context({"svg.hashsalt": "stopcli", "svg.fonttype": "none"}):
        for name, figure in figures.items():
            png = folder / f"{name}.png"
            with replacing(png) as new:
                figure.savefig(new, dpi=DPI)
            # Laid out by now; a second time would take as long and come to the same.
            figure.set_layout_engine("none")
            with replacing(folder / f"{name}.svg") as new:
                figure.savefig(new, metadata={"Date": None})
            written.append(png)
    return written
