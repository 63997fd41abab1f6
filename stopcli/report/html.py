"""A document as one self-contained HTML file: it needs no network and no other file, and no script to be complete.

Texts are escaped by the template engine; figures are images, in which no script runs and whose ids are their own; and
a Content-Security-Policy allows only the one style sheet and the one script that are written here.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

import jinja2

from stopcli.report.document import Document, Part
from stopcli.report.inline import pieces
from stopcli.report.picture_data import picture_data
from stopcli.report.tables import Table

_TEMPLATES = Path(__file__).parent / "templates"
# Longer code is folded.
LINES_UNFOLDED = 6
# With fewer sections there is no table of contents.
SECTIONS_LISTED = 4
# Characters: longer cells, and longer code within a text, are wrapped.
UNWRAPPED = 32
_NUMBER = re.compile(r"[+\-−]?(\d[\d,]*\.?\d*|\.\d+)(e[+\-]?\d+)?( ?(%|s|×))?")
_NOTHING = ("", "–", "—")


def to_html(document: Document, folder: Path) -> str:
    """The text of a report.html.

    Args:
        folder: what the paths of the document's pictures are relative to. Their data are put into the file; where one
            is missing, the file says so.
    """
    engine = _engine()
    style, script = (engine.loader.get_source(engine, name)[0] for name in ("report.css", "report.js"))  # type: ignore[union-attr]
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return engine.get_template("report.html").render(
        document=document,
        picture=functools.partial(picture_data, folder),
        policy=policy,
        style=style,
        script=script,
        sections_listed=SECTIONS_LISTED,
        lines_unfolded=LINES_UNFOLDED,
        unbroken=UNWRAPPED,
    )


@functools.cache
def _engine() -> jinja2.Environment:
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    engine.filters.update(kind=_kind, pieces=pieces, looks=_looks)
    return engine


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _kind(part: Part) -> str:
    return type(part).__name__


def _looks(table: Table) -> list[str]:
    """For each column, `number` where each row holds one (aligned right), `prose` where cells are long."""

    def look(column: int) -> str:
        if any(len(row[column]) > UNWRAPPED for row in table.rows):
            return "prose"
        cells = [row[column] for row in table.body if row[column] not in _NOTHING]
        return "number" if cells and all(_NUMBER.fullmatch(cell) for cell in cells) else ""

    return [look(column) for column in range(len(table.columns))]
