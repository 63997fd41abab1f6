"""The only markup within the texts of a report: `code` between backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator

# As many backticks after it as before it, and no others beside them.
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# What would begin a tag, a comment, an image or a link of Markdown.
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=!)\[|\[(?=[^\[\]]*\]\()")


def code(text: str) -> str:
    """Any text as code within another."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{room}{text}{room}{ticks}"


def pieces(text: str) -> Iterator[tuple[bool, str]]:
    """A text in pieces, each with whether it is code.

    >>> list(pieces("see `a` and ``b`c``"))
    [(False, 'see '), (True, 'a'), (False, ' and '), (True, 'b`c')]
    """
    end = 0
    for match in _CODE.finditer(text):
        if match.start() > end:
            yield False, text[end : match.start()]
        yield True, match[2].strip(" ") or match[2]
        end = match.end()
    if end < len(text):
        yield False, text[end:]


def markdown_text(text: str) -> str:
    """A text for Markdown, in one line, in which code is code and nothing is a tag, an image or a link."""
    flat = " ".join(text.splitlines())
    return "".join(code(piece) if is_code else _escaped(piece) for is_code, piece in pieces(flat))


def markdown_cell(text: str) -> str:
    """A plain text for a cell of a table."""
    return _escaped(" ".join(text.splitlines())).replace("|", "\\|").replace("`", "\\`")


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda match: f"\\{match[0]}", text)
