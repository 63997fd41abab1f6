"""A figure as a data URI for an HTML page: its SVG, in the colours of light and dark pages, or its PNG."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from stopcli.report.document import Picture

# In bytes, after shrinking; a larger SVG gives way to its PNG where that is smaller.
LARGEST_SVG = 300_000

# Colours of the figures, ours and matplotlib's own, with those on a dark page. Others stay as they are.
_ON_DARK = {
    "#ffffff": "#15181c",
    "#000000": "#e4e7eb",
    "#b0b0b0": "#8b949e",
    "#cccccc": "#3b424b",
    "#666666": "#a3abb5",
    "#f1eee6": "#23272d",
    "#0072b2": "#4aa8e0",
    "#d55e00": "#f08b45",
    "#009e73": "#35c79c",
    "#cc79a7": "#dd92bb",
    "#e69f00": "#efb53a",
    "#56b4e9": "#7cc8f2",
}
# Elements that show values as colours, which must not change on a dark page.
_COLOURED = re.compile(r'<image\b|id="(QuadContourSet|QuadMesh)')
_LEFT_OUT = re.compile(r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<metadata>.*?</metadata>\s*", re.DOTALL)
_COORDINATES = re.compile(r'(?<= d=")[^"]*')
_HUNDREDTHS = re.compile(r"(\.\d\d)\d+")
_STYLE = re.compile(r'(?<= style=")[^"]*')
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class PictureData:
    """A figure.

    Attributes:
        uri: its bytes.
        light: whether its background is light on a dark page too.
    """

    uri: str
    light: bool


def picture_data(folder: Path, picture: Picture) -> PictureData | None:
    """A picture of a folder; None where it is missing or cannot be read."""
    svg, png = (_read(folder / f"{picture.path}.{ending}") for ending in ("svg", "png"))
    if svg is not None:
        text = svg.decode("utf-8", "replace")
        light = bool(_COLOURED.search(text))
        text = _shrunk(text) if light else _in_both_schemes(_shrunk(text))
        if png is None or len(text) <= max(LARGEST_SVG, len(png)):
            return PictureData(_uri("image/svg+xml", text.encode()), light)
    return None if png is None else PictureData(_uri("image/png", png), light=True)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _shrunk(svg: str) -> str:
    """Without metadata, and with coordinates to a hundredth of a point."""
    # Splitting and joining takes a quarter of the time of replacing; a figure may have tens of thousands of numbers.
    return _COORDINATES.sub(lambda numbers: "".join(_HUNDREDTHS.split(numbers[0])), _LEFT_OUT.sub("", svg))


def _in_both_schemes(svg: str) -> str:
    """With colours that follow the reader's colour scheme, as the page around it does."""
    used: set[str] = set()

    def colour(match: re.Match[str]) -> str:
        if match[0] not in _ON_DARK:
            return match[0]
        used.add(match[0])
        return f"var(--{match[0][1:]})"

    svg = _STYLE.sub(lambda style: _COLOUR.sub(colour, style[0]), svg)
    used |= {"#000000"}
    light, dark = (
        "".join(f"--{name[1:]}:{value(name)};" for name in sorted(used)) for value in (str, _ON_DARK.__getitem__)
    )
    style = f":root{{{light}}}svg{{fill:var(--000000)}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"
    head, tag, rest = svg.partition("<svg")
    opened, end, content = rest.partition(">")
    return f"{head}{tag}{opened}{end}<style>{style}</style>{content}"
