"""A document as Markdown."""

from __future__ import annotations

from stopcli.report.document import Bullets, Code, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.tables import Table


def to_markdown(document: Document) -> str:
    """The text of a report.md; its pictures are the PNG files beside it."""
    parts = [f"# {document.title}", *map(_part, document.lead), *map(_section, document.sections)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {section.title}", *map(_part, section.parts)]
    return "\n\n".join(part.strip("\n") for part in parts if part)


def _part(part: Part) -> str:
    if isinstance(part, Paragraph):
        return part.text
    if isinstance(part, Warn):
        return f"> Warning: {part.text}"
    if isinstance(part, Bullets):
        return "\n".join(f"- {item}" for item in part.items)
    if isinstance(part, Code):
        return f"```{part.language}\n{part.text.rstrip()}\n```"
    if isinstance(part, Picture):
        return f"![{part.alt}]({part.path}.png)"
    assert isinstance(part, Table)
    return part.markdown()
