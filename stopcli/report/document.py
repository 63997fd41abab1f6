"""What a report says, apart from how it looks: Markdown and HTML are both made from a Document.

Texts are plain, but for `code` between backticks (report/inline.py). Nothing else in them is markup: whoever renders a
document escapes it.
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
    """A sentence that nobody should miss."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """Points that stand one below the other."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is.

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
        alt: what it shows, for those who do not see it.
    """

    path: str
    alt: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


Part = Paragraph | Warn | Bullets | Code | Picture | Table


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        lead: what stands before the first section, the answer first.
    """

    title: str
    lead: tuple[Part, ...]
    sections: tuple[Section, ...]
