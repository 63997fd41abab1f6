"""A headless browser, and what every report has to stand in it."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

_SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
# Of every text that is shown: its contrast to what it stands on, by WCAG 2's formula; those below 4.5.
_FAINT = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb(text).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((rgb(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walk.nextNode()) {
    const of = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || ["SCRIPT", "STYLE"].includes(of.tagName)) continue;
    const [a, b] = [light(getComputedStyle(of).color), light(ground(of))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    seen += 1;
    if (ratio < 4.5) found.push([walk.currentNode.data.trim().slice(0, 40), ratio]);
  }
  return seen ? found : ["no text at all"];
}"""


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A browser of this machine; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on this machine")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=executable, args=list(_SWITCHES))
        yield running
        running.close()


@contextlib.contextmanager
def opened(within: Any, file: Path, *, width: int = 1280, scheme: str = "light", script: bool = True) -> Iterator[Any]:
    """A page with a file in it, without network. Fails where the page complains, or asks for anything but itself."""
    context = within.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True, java_script_enabled=script
    )
    page = context.new_page()
    console: list[str] = []
    page.on("console", lambda message: console.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("data:") else console.append(request.url))
    address = file.resolve().as_uri()
    page.goto(address)
    yield page
    context.close()
    assert console == [address]


# Of every figure the size of its smallest letters as they are shown, in pixels; of every other text its own.
_LETTERS = """() => {
  const sizes = [...document.images].filter((image) => image.src.startsWith("data:image/svg")).map((image) => {
    const svg = new TextDecoder().decode(Uint8Array.from(atob(image.src.split(",")[1]), (c) => c.charCodeAt(0)));
    const width = Number(/viewBox="0 0 ([\\d.]+) /.exec(svg)?.[1]);
    const letters = [...svg.matchAll(/font(?:-size)?: (?:[a-z]+ )*([\\d.]+)px/g)].map((match) => Number(match[1]));
    return (Math.min(...letters) * image.getBoundingClientRect().width) / width;
  });
  const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const of = walk.currentNode.parentElement;
    if (walk.currentNode.data.trim()) sizes.push(Number.parseFloat(getComputedStyle(of).fontSize));
  }
  return sizes.filter((size) => size);
}"""
# What scrolls sideways, or is cut off: tables and figures.
_CUT_OFF = """() => [...document.querySelectorAll(".wide, figure, h1, h2, p, li, label")]
  .filter((of) => of.scrollWidth > of.clientWidth + 1).map((of) => of.innerText.slice(0, 60))"""


def check_report(within: Any, file: Path, figures: int, *, whole: bool = False) -> None:
    """Hold what every report has to be, in light and dark, on a desk and on a phone.

    Args:
        figures: how many it shows.
        whole: whether none of its tables and figures may be wider than the page, as hostile names make them.
    """
    for width, scheme in itertools.product((1280, 390), ("light", "dark")):
        with opened(within, file, width=width, scheme=scheme) as page:
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert min(page.evaluate(_LETTERS)) > 8.9
            assert not whole or page.evaluate(_CUT_OFF) == []
            assert page.evaluate(_FAINT) == [], scheme
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert (sum(ground) > 600) == (scheme == "light")
            if (width, scheme) == (1280, "light"):
                _check_structure(page, figures)


def _check_structure(page: Any, figures: int) -> None:
    images = page.evaluate("[...document.images].map((i) => [i.complete, i.naturalWidth, i.width, i.alt])")
    assert len(images) == figures
    for complete, natural, shown, alt in images:
        assert complete
        assert natural > 0
        assert shown > 100
        assert len(alt.split()) > 3
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((h) => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    tables = page.evaluate(
        "[...document.querySelectorAll('table')].map((t) => [t.caption?.textContent, "
        "[...t.querySelectorAll('th')].every((h) => h.scope)])"
    )
    assert all(caption and scoped for caption, scoped in tables)


# Of the words of a figure those that leave it, and those that cover others. Slanted ones are compared with none: the
# box around them is larger than they are.
_MISPLACED = """() => {
  const svg = document.querySelector("svg"), room = svg.getBoundingClientRect();
  const words = [...svg.querySelectorAll("text")].map((text) => [text.textContent.trim(), text.getBoundingClientRect(),
    /rotate\\(-?(45|315)/.test(text.getAttribute("transform") ?? "")]).filter(([text]) => text);
  const outside = words.filter(([, box]) => box.left < room.left - 1 || box.right > room.right + 1
    || box.top < room.top - 1 || box.bottom > room.bottom + 1).map(([text]) => `${text} is cut off`);
  const upright = words.filter(([, , slanted]) => !slanted);
  const shared = (a, b) => [Math.min(a.right, b.right) - Math.max(a.left, b.left),
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
  const covers = (a, b) => shared(a, b)[0] > 1 && shared(a, b)[1] > 2;
  const over = upright.flatMap(([one, a], i) => upright.slice(i + 1).filter(([, b]) => covers(a, b))
    .map(([other]) => `${one} covers ${other}`));
  return [...outside, ...over];
}"""


def check_figures(within: Any, figures: Iterable[Path]) -> None:
    """Hold that the words of figures, SVG files, stand inside them and apart."""
    page = within.new_page()
    misplaced = {}
    for figure in figures:
        svg = figure.read_text(encoding="utf-8")
        page.set_content(svg[svg.index("<svg") :])
        misplaced[f"{figure.parent.parent.name}/{figure.name}"] = page.evaluate(_MISPLACED)
    page.close()
    assert misplaced
    assert {name: words for name, words in misplaced.items() if words} == {}
