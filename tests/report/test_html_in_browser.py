"""Reports in a real browser: readable by everybody, complete by themselves, and deaf to what names try to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import browser, check_figures, check_report, opened
from report_pages import write_pages

from stopcli.report.curves import Marks, learning_curves
from stopcli.report.document import Bullets, Code, Document, Paragraph, Picture, Section, Table, Warn, code
from stopcli.report.drawing import draw
from stopcli.report.html import write_report
from stopcli.report.images import Points, decision_boundary, grid_around

pytestmark = pytest.mark.slow

HOSTILE = (
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 2">',
    "</code></title></style><script>window.hacked = 3</script>",
    "<!-- ]]> {{ 7 * 7 }} {% raw %} &lt;",
    "`` `tick` ```",
    "\u202eright to left \u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627",
    "\U0001f469\u200d\U0001f680 \U0001f1e9\U0001f1ea e\u0301",
    "javascript:window.hacked=4",
    "x" * 300,
)
HOSTILE_SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="300"
 height="200" onload="parent.hacked = 5"><script>parent.hacked = 6; fetch("http://127.0.0.1:9/")</script>
<style>@import "http://127.0.0.1:9/style.css";</style>
<image xlink:href="http://127.0.0.1:9/a.png" width="9" height="9"/><rect id="section-1" width="300" height="200"/></svg>
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every kind of part, figures of both kinds, and hostile words wherever there are words."""
    folder = tmp_path_factory.mktemp("report")
    t = np.arange(1, 201, dtype=float)
    values = {"epoch": t, "loss": 1 / t, "val_loss": 2 / t, "accuracy": 1 - 1 / t, "val_accuracy": 1 - 2 / t}
    x = np.random.default_rng(0).normal(size=(30, 2))
    grid = grid_around(x)
    figures = {
        "curves": lambda: learning_curves(values, "test", Marks(200, "end", 100, "best"), HOSTILE[0]),
        "moons": lambda: decision_boundary(
            grid, 1 / (1 + np.exp(-grid[0])), [Points("p", x, x[:, 0] > 0, "o")], "boundary"
        ),
    }
    draw(lambda: figures, folder)
    (folder / "plots" / "hostile.svg").write_text(HOSTILE_SVG)
    numbers = Table(
        "Numbers",
        ("name", "value", "time"),
        (
            ("b", "10.5", "2m05s"),
            ("a", "−2", "30.0s"),
            ("c", "–", "1h00m00s"),
            ("d", "1e-3", "9.5s"),
            ("mean", "3", "–"),
        ),
        sums=1,
    )
    names = Table(HOSTILE[0], HOSTILE[:3], tuple((*HOSTILE[i : i + 3],) for i in (0, 3, 6)))
    document = Document(
        HOSTILE[2],
        (Paragraph(f"Asked for {code(HOSTILE[0])} and {code(HOSTILE[4])}."), Warn(HOSTILE[1]), Bullets(HOSTILE)),
        (
            Section("Numbers", (numbers, Paragraph("A paragraph."))),
            Section(HOSTILE[1], (names, Code("\n".join(HOSTILE), "toml"), Code(HOSTILE[1]))),
            Section("Figures", (
                Picture("plots/curves", f"A figure of curves {HOSTILE[1]}"),
                Picture("plots/moons", f"A figure of moons {HOSTILE[0]}"),
                Picture("plots/hostile", "A figure that is hostile"),
                Picture("plots/gone", f"A figure that was deleted {HOSTILE[1]}"),
            )),
            Section("Last", (Paragraph("The end."),)),
        ),
    )  # fmt: skip
    write_report(folder, document)
    return folder / "report.html"


def test_a_report_is_readable_in_light_and_dark_on_a_desk_and_on_a_phone(chromium: Any, report: Path) -> None:
    check_report(chromium, report, figures=3)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_pages(tmp_path_factory.mktemp("pages"))


def test_reports_of_every_kind_are_readable_on_a_desk_and_on_a_phone(chromium: Any, pages: dict[str, Path]) -> None:
    for file in pages.values():
        check_report(chromium, file, figures=len(list(file.parent.glob("plots/*.svg"))), whole=True)


def test_words_in_figures_stand_inside_and_apart(chromium: Any, pages: dict[str, Path]) -> None:
    check_figures(chromium, [figure for file in pages.values() for figure in file.parent.glob("plots/*.svg")])


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("case-study", "test accuracy"),
        ("moons", "its test acc."),
        ("cutout-sweep", "error at the end"),
        ("replay", "regret"),
        ("recommend", "regret"),
    ],
)
def test_the_column_that_matters_is_in_sight_and_the_others_are_a_tap_away(
    name: str, column: str, chromium: Any, pages: dict[str, Path]
) -> None:
    for width in (1280, 390):
        with opened(chromium, pages[name], width=width, script=False) as page:
            table = page.locator(".table").first
            cells = table.locator("thead th")
            header = cells.filter(has_text=column).first
            box = header.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            shown = [cell for cell in cells.all() if cell.is_visible()]
            assert (len(shown) < cells.count()) == (width == 390)
            if width == 390:
                table.get_by_role("checkbox").press("Space")
                assert all(cell.is_visible() for cell in cells.all())
                assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_figures_are_enlarged_by_mouse_and_by_keyboard(chromium: Any, pages: dict[str, Path]) -> None:
    for width in (1280, 390):
        with opened(chromium, pages["case-study"], width=width) as page:
            button, enlarged = (
                page.get_by_role("button", name="A point for each seed").first,
                page.locator("dialog img"),
            )
            small = button.locator("img").bounding_box()
            button.click()
            large = enlarged.bounding_box()
            assert large["width"] > 1.2 * small["width"]
            assert enlarged.get_attribute("alt") == button.locator("img").get_attribute("alt")
            page.keyboard.press("Escape")
            assert not enlarged.is_visible()
            # The focus is where it was.
            page.keyboard.press("Enter")
            assert enlarged.is_visible()
            page.get_by_role("button", name="Close").click()
            assert not enlarged.is_visible()


def test_hostile_names_are_text(chromium: Any, report: Path) -> None:
    with opened(chromium, report) as page:
        page.wait_for_timeout(200)
        assert page.evaluate("window.hacked") is None
        assert page.title() == HOSTILE[2]
        shown = page.evaluate("[...document.querySelectorAll('tbody th, tbody td')].map((cell) => cell.textContent)")
        assert set(HOSTILE) <= set(shown)
        assert page.evaluate("document.querySelector('main pre code').textContent") == "\n".join(HOSTILE)
        codes = page.evaluate("[...document.querySelectorAll('.lead > p code')].map((each) => each.textContent)")
        assert codes == [HOSTILE[0], HOSTILE[4]]
        assert page.evaluate("document.images[0].alt") == f"A figure of curves {HOSTILE[1]}"
        assert page.evaluate("document.scripts.length") == 1
        assert page.evaluate("document.querySelectorAll('#section-1').length") == 1
        missing = page.locator("p.warn", has_text="Missing figure").text_content()
        assert "plots/gone" in missing


def test_a_script_that_got_in_all_the_same_is_refused(chromium: Any, report: Path) -> None:
    page = chromium.new_page(offline=True)
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.goto(report.as_uri())
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'hacked = 7'}))")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"hacked = 8\">')")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert "Content Security Policy" in console[0]
    page.close()


def test_tables_are_sorted_by_their_headers(chromium: Any, report: Path) -> None:
    with opened(chromium, report) as page:
        table = page.locator("table").first

        def first_column() -> list[str]:
            cells: list[str] = table.locator("tr > :first-child").all_text_contents()
            return cells[1:]

        assert first_column() == ["b", "a", "c", "d", "mean"]
        table.get_by_role("button", name="value").click()
        assert first_column() == ["a", "d", "b", "c", "mean"]
        assert table.get_by_role("columnheader", name="value").get_attribute("aria-sort") == "ascending"
        table.get_by_role("button", name="value").click()
        # What is not there stays last, and what sums the others up below them.
        assert first_column() == ["b", "d", "a", "c", "mean"]
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert first_column() == ["d", "a", "b", "c", "mean"]
        assert page.locator("[aria-sort]").count() == 1
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Space")
        assert first_column() == ["a", "b", "c", "d", "mean"]


def test_figures_follow_the_scheme(chromium: Any, report: Path) -> None:
    corner = """async () => {
      const image = document.images[0], canvas = document.createElement("canvas");
      canvas.width = canvas.height = 4;
      canvas.getContext("2d").drawImage(image, 0, 0, 4, 4, 0, 0, 4, 4);
      return [...canvas.getContext("2d").getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    for scheme in ("light", "dark"):
        with opened(chromium, report, scheme=scheme) as page:
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert page.evaluate(corner) == pytest.approx(ground, abs=2)
