"""The items of a list in one text, such as `2,4` or `"size, m²",price`."""

import re
from collections.abc import Iterable

# An item in quotes with all around it until the next one.
_QUOTED = re.compile(r"""\s*(?:"((?:[^"]|"")*)"|'([^']*)')\s*(?:,|$)""")


def list_items(text: str) -> list[str]:
    """The items between the commas of a text that are not empty, without the blanks and quotes around them. A comma
    counts neither in parentheses nor in quotes around an item, in which a double quotation mark is written twice."""
    items: list[str] = []
    while text:
        quoted = _QUOTED.match(text)
        if quoted is not None:
            item = (quoted[1] or "").replace('""', '"') or quoted[2] or ""
            text = text[quoted.end() :]
        else:
            item, text = _until_comma(text)
            item = item.strip()
        if item:
            items.append(item)
    return items


def list_words(items: Iterable[str]) -> list[str]:
    """Words of a command line, of each of which `list_items` reads one item."""
    return [item if list_items(item) == [item] else '"' + item.replace('"', '""') + '"' for item in items]


def _until_comma(text: str) -> tuple[str, str]:
    """The beginning of a text until its first comma that no parentheses enclose, and what follows it."""
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth <= 0:
            return text[:position], text[position + 1 :]
    return text, ""
