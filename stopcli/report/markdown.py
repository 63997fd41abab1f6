"""A document as Markdown."""

from __future__ import annotations

import re

from stopcli.report.document import Bullets, Code, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.inline import markdown_text
from stopcli.report.tables import Table


def to_markdown(document: Document) -> str:
    """The text of a report.md, whose pictures are the PNG files beside it."""
    parts = [f"# {markdown_text(document.title)}", *map(_part, document.lead), *map(_section, document.sections)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {markdown_text(section.title)}", *map(_part, section.parts)]
    return "\n\n".join(part.strip("\n") for part in parts if part)


def _part(part: Part) -> str:
    if isinstance(part, Paragraph):
        return markdown_text(part.text)
    if isinstance(part, Warn):
        return f"> Warning: {markdown_text(part.text)}"
    if isinstance(part, Bullets):
        return "\n".join(f"- {markdown_text(item)}" for item in part.items)
    if isinstance(part, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", part.text)), default=0))
        return f"{fence}{part.language}\n{part.text.rstrip()}\n{fence}"
    if isinstance(part, Picture):
        alt = re.sub(r"([\[\]\\])", r"\\\1", markdown_text(part.alt))
        return f"![{alt}]({part.path}.png)"
    assert isinstance(part, Table)
    return part.markdown()
