"""What a text of a report may hold within a line: `code` between backticks. All else in it is plain."""

from __future__ import annotations

import re
from collections.abc import Iterator

# As many backticks behind it as before it, and no others beside them.
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# What would begin a tag, a comment, an image or a link of Markdown.
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=!)\[|\[(?=[^\[\]]*\]\()")


def code(text: str) -> str:
    """A text as code within another, whatever is in it."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{room}{text}{room}{ticks}"


def pieces(text: str) -> Iterator[tuple[bool, str]]:
    """A text in pieces, each with whether it is code.

    >>> list(pieces("see `a` and ``b`c``"))
    [(False, 'see '), (True, 'a'), (False, ' and '), (True, 'b`c')]
    """
    end = 0
    for found in _CODE.finditer(text):
        if found.start() > end:
            yield False, text[end : found.start()]
        yield True, found[2].strip(" ") or found[2]
        end = found.end()
    if end < len(text):
        yield False, text[end:]


def markdown_text(text: str) -> str:
    """A text for Markdown, in one line, in which nothing is a tag, an image or a link, and code is code."""
    flat = " ".join(text.splitlines())
    return "".join(code(piece) if is_code else _escaped(piece) for is_code, piece in pieces(flat))


def markdown_cell(text: str) -> str:
    """A plain text for a cell of a table."""
    return _escaped(" ".join(text.splitlines())).replace("|", "\\|").replace("`", "\\`")


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text)
