"""A headless browser, and what every report has to stand in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
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
def opened(within: Any, file: Path, *, width: int = 1200, scheme: str = "light") -> Iterator[Any]:
    """A page with a file in it, without network. Fails where the page complains, or asks for anything but itself."""
    context = within.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
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


def check_report(within: Any, file: Path, figures: int) -> None:
    """Hold what every report has to be, in light and dark, on a desk and on a phone.

    Args:
        figures: how many it shows.
    """
    for scheme in ("light", "dark"):
        with opened(within, file, scheme=scheme) as page:
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            images = page.evaluate("[...document.images].map((i) => [i.complete, i.naturalWidth, i.width, i.alt])")
            assert len(images) == figures
            for complete, natural, shown, alt in images:
                assert complete
                assert natural > 0
                assert shown > 100
                assert len(alt.split()) > 3
            assert page.evaluate(_FAINT) == [], scheme
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert (sum(ground) > 600) == (scheme == "light")
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
    with opened(within, file, width=360) as page:
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
