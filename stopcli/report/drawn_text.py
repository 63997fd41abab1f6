"""Names from outside, such as those of classes, as a figure can show them."""

from __future__ import annotations

from functools import cache
from typing import Any

from stopcli.errors import printable

# What matplotlib brings along and draws with.
_FONT = "DejaVu Sans"


def drawn_name(name: str, longest: int = 40) -> str:
    """A name for a figure: in one line, nothing of it taken for a formula, letters that the font does not have escaped.

    Args:
        longest: letters that there is room for; of a longer name the middle is left out, because ends tell names apart.
    """
    text = "".join(
        letter if _font().get_char_index(ord(letter)) else letter.encode("unicode_escape").decode("ascii")
        for letter in printable(name)
    )
    if len(text) > longest:
        end = (longest - 1) // 2
        text = f"{text[: longest - 1 - end]}…{text[-end:]}"
    # A legend leaves out what begins with an underscore.
    start = "\N{ZERO WIDTH SPACE}" if text.startswith("_") else ""
    return start + text.replace("$", r"\$")


@cache
def _font() -> Any:
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont(_FONT))
