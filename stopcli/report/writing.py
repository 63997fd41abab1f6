"""Writing a report into the folder that it speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stopcli.report.document import Document, Picture
from stopcli.report.markdown import to_markdown
from stopcli.runs.files import write_text


def write_report(folder: Path, document: Document) -> None:
    """Write a document as report.md into the folder that its pictures' paths are relative to."""
    write_text(folder / "report.md", to_markdown(document))


def plots_of(written: Iterable[Path]) -> list[Picture]:
    """The figures that were saved to a report's folder `plots/`."""
    return [Picture(f"plots/{path.stem}", path.stem.replace("_", " ")) for path in written]
