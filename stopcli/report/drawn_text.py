"""Names of the user's, such as those of classes, as a figure can show them."""

from __future__ import annotations

from functools import cache
from typing import Any

from stopcli.errors import printable

# The font that matplotlib includes and draws with.
_FONT = "DejaVu Sans"


def drawn_name(name: str, longest: int = 40) -> str:
    """A name for a figure: in one line, without formulas, letters that the font does not have escaped.

    Args:
        longest: letters that fit; a longer name loses its middle, because names differ at their ends.
    """
    text = "".join(
        letter if _font().get_char_index(ord(letter)) else letter.encode("unicode_escape").decode("ascii")
        for letter in printable(name)
    )
    if len(text) > longest:
        end = (longest - 1) // 2
        text = f"{text[: longest - 1 - end]}…{text[-end:]}"
    # Matplotlib leaves labels that begin with an underscore out of legends.
    start = "\N{ZERO WIDTH SPACE}" if text.startswith("_") else ""
    return start + text.replace("$", r"\$")


@cache
def _font() -> Any:
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont(_FONT))
