"""What a report says, apart from how it looks: Markdown and HTML are both made from a Document.

Texts are plain except for `code` between backticks; whatever else looks like markup is escaped when a document is
rendered.
"""

from __future__ import annotations

from dataclasses import dataclass

from stopcli.report.tables import Table


@dataclass(frozen=True)
class Paragraph:
    """One sentence or more."""

    text: str


@dataclass(frozen=True)
class Warn:
    """A warning."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of points."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Preformatted text.

    Attributes:
        language: such as `toml` or `sh`.
    """

    text: str
    language: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure that lies beside the report as NAME.png and NAME.svg.

    Attributes:
        path: relative to the report, without its ending, such as `plots/curves`.
        alt: what it shows, for readers who do not see it.
    """

    path: str
    alt: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


Part = Paragraph | Warn | Bullets | Code | Picture | Table


@dataclass(frozen=True)
class Section:
    """A heading and what is below it."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        lead: what comes before the first section, the answer first.
    """

    title: str
    lead: tuple[Part, ...]
    sections: tuple[Section, ...]
