"""Writing a report into the folder that it speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stopcli.report.alt_texts import alt_text
from stopcli.report.document import Document, Picture
from stopcli.report.html import to_html
from stopcli.report.markdown import to_markdown
from stopcli.runs.files import write_text


def write_report(folder: Path, document: Document, name: str = "report") -> list[Path]:
    """Write a document as NAME.md and NAME.html into the folder that its pictures' paths are relative to."""
    texts = {f"{name}.md": to_markdown(document), f"{name}.html": to_html(document, folder)}
    for file, text in texts.items():
        # A command line or a name may hold bytes that are no text; they are shown as what they are.
        write_text(folder / file, text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return [folder / file for file in texts]


def plots_of(written: Iterable[Path]) -> list[Picture]:
    """The figures that were saved to a report's folder `plots/`."""
    return [Picture(f"plots/{path.stem}", alt_text(path.stem)) for path in written]
