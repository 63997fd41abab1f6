"""Reports as HTML and Markdown, without a browser."""

from __future__ import annotations

import ast
import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stopcli
from stopcli.report.document import (
    ALT_TEXTS,
    Bullets,
    Code,
    Document,
    Paragraph,
    Part,
    Picture,
    Section,
    Table,
    Warn,
    alt_text,
    code,
    markdown_cell,
    pieces,
    to_markdown,
)
from stopcli.report.html import LARGEST_SVG, picture_data, to_html, to_notebook_html

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M 1.23456 2.5 \nL 0.129 3" style="fill: #ffffff"/>{}</svg>'


def page_of(*parts: Part, folder: Path = Path()) -> str:
    return to_html(Document("Title", (), (Section("Section", parts),)), folder)


class Texts(HTMLParser):
    """The texts of a page between its tags, and the tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_text_stands_in_the_page_as_it_is(text: str) -> None:
    table = Table(text, (text,), ((text,), (text,)))
    page = page_of(Warn(code(text)), table, Code(text), Bullets((code(text),)))
    plain = page_of(Warn(code("x")), Table("x", ("x",), (("x",), ("x",))), Code("x"), Bullets((code("x"),)))
    page_texts = Texts(page)
    # The caption, the header, two cells, and the code.
    assert page_texts.texts.count(text) >= 5
    assert page_texts.tags == Texts(plain).tags


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_text_stands_in_a_notebook_as_it_is(text: str) -> None:
    def tags(words: str) -> list[str]:
        table = Table(words, (words,), ((words,),))
        parts = (Warn(code(words)), table, Code(words), Picture("gone", words))
        return Texts(to_notebook_html(Document(words, parts, (Section(words, parts),)), Path())).tags

    assert tags(text) == tags("x")


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_text_can_be_code(text: str) -> None:
    assert list(pieces(f"see {code(text)}.")) == [(False, "see "), (True, text.strip(" ") or text), (False, ".")]


def test_texts_hold_code_between_backticks() -> None:
    assert '<p>run <code class="unbroken">a &lt;b&gt;</code>, c</p>' in page_of(Paragraph("run `a <b>`, c"))
    assert "<p>a lone ` tick</p>" in page_of(Paragraph("a lone ` tick"))


def test_markdown_keeps_its_rows_and_no_markup_gets_in() -> None:
    assert markdown_cell("[a](javascript:b) [0, 1] (c)") == "\\[a](javascript:b) [0, 1] (c)"
    assert markdown_cell("a|b\n<script> `x` ![y](z) 1 < 2") == "a\\|b \\<script> \\`x\\` !\\[y](z) 1 < 2"
    text = to_markdown(
        Document(
            "T <b>\n# U",
            (Paragraph("`<kept>` <img src=x>"), Warn("two\nlines")),
            (Section("S", (Code("```\nx"), Picture("plots/x", "alt [text]"))),),
        )
    )
    assert text.splitlines()[0] == "# T \\<b> # U"
    assert "`<kept>` \\<img src=x>" in text
    assert "> Warning: two lines" in text
    assert "````\n```\nx\n````" in text
    assert "![alt \\[text\\]](plots/x.png)" in text


def test_what_sums_up_is_the_foot_and_numbers_stand_to_the_right() -> None:
    table = Table("T", ("name", "n"), (("a", "1,000"), ("b", "–"), ("mean", "1 … 2")), sums=1)
    page = page_of(table)
    assert '<th scope="col" class="number">n</th>' in page
    assert re.search(r'<tfoot>\s*<tr><th scope="row">mean</th><td class="number">1 … 2</td></tr>\s*</tfoot>', page)
    assert "<table data-sortable" in page
    # One row, or none, is nothing to sort.
    assert "<table data-sortable" not in page_of(Table("T", ("n",), (("1",),)))
    assert "<tbody>" not in page_of(Table("T", ("n",), ()))
    assert Table.from_summary(table.for_summary()) == table


def test_long_code_is_folded() -> None:
    assert "<details>" in page_of(Code("a = 1\n" * 20, "toml"))
    assert "<details>" not in page_of(Code("a = 1\n" * 3, "toml"))


def test_a_missing_figure_is_told(tmp_path: Path) -> None:
    page = page_of(Picture("plots/gone", "what it was"), folder=tmp_path)
    assert "Missing figure." in page
    assert "plots/gone" in page
    assert "what it was" in page
    assert "<img" not in page


def test_the_policy_names_the_very_style_and_script() -> None:
    page = page_of()
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in page.split("<title>")[0]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert "default-src &#39;none&#39;; img-src data:;" in policy[1]


def decoded(folder: Path) -> str:
    data = picture_data(folder, Picture("x", "x"))
    assert data is not None
    return base64.b64decode(data.uri.split(",")[1]).decode(errors="replace")


def test_figures_get_both_schemes_and_lose_needless_digits(tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text(SVG.format("<text>0.12345 #ffffff</text>"))
    svg = decoded(tmp_path)
    assert 'd="M 1.23 2.5 \nL 0.12 3" style="fill: var(--ffffff)"' in svg
    # Words are no coordinates, and no colours.
    assert "<text>0.12345 #ffffff</text>" in svg
    assert "prefers-color-scheme: dark" in svg


def test_figures_whose_colours_are_values_keep_them_on_a_light_ground(tmp_path: Path) -> None:
    for coloured in ("<image/>", '<g id="QuadContourSet_1"/>', '<g id="QuadMesh_1"/>'):
        (tmp_path / "x.svg").write_text(SVG.format(coloured))
        data = picture_data(tmp_path, Picture("x", "x"))
        assert data is not None
        assert data.light
        assert "fill: #ffffff" in decoded(tmp_path)


@pytest.mark.parametrize(("size", "kind"), [(LARGEST_SVG // 2, "svg+xml"), (2 * LARGEST_SVG, "png")])
def test_a_large_svg_gives_way_to_its_png(size: int, kind: str, tmp_path: Path) -> None:
    (tmp_path / "x.svg").write_text(SVG.format("<!-- -->" * (size // 8)))
    (tmp_path / "x.png").write_bytes(b"png")
    data = picture_data(tmp_path, Picture("x", "x"))
    assert data is not None
    assert data.uri.startswith(f"data:image/{kind}")
    (tmp_path / "x.png").unlink()
    data = picture_data(tmp_path, Picture("x", "x"))
    assert data is not None
    assert data.uri.startswith("data:image/svg+xml")


def drawn() -> set[str]:
    """The names of all figures: keys of what functions return whose result is figures by name."""
    names = set()
    for path in Path(stopcli.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or function.returns is None:
                continue
            if ast.unparse(function.returns) == "Figures":
                names |= _keys(function)
    return names


def _keys(function: ast.FunctionDef) -> set[str]:
    """The constant keys of the dict that a function returns: as it is written, or put in one by one."""
    nodes = list(ast.walk(function))
    returned = [node.value for node in nodes if isinstance(node, ast.Return)]
    names = {value.id for value in returned if isinstance(value, ast.Name)}
    keys = [key for value in returned if isinstance(value, ast.Dict) for key in value.keys]
    for node in nodes:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id in names:
                keys.append(target.slice)
            elif isinstance(target, ast.Name) and target.id in names and isinstance(node.value, ast.Dict):
                keys += node.value.keys
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def test_every_figure_that_is_drawn_has_an_alternative_in_words() -> None:
    names = drawn()
    assert {"curves", "moons", "range", "augmented", "cost", "stop_epochs"} <= names
    assert names - ALT_TEXTS.keys() == set()
    for name, text in ALT_TEXTS.items():
        assert len(text.split()) >= 6, name
        assert text.endswith("."), name
    assert alt_text("some_other") == "Figure: some other."
