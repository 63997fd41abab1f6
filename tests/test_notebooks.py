"""Runs in a real notebook, and the guide to it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from browser import browser, opened
from forked import finished

from stopcli.report.document import Code, Document, Paragraph, Picture, Section, Table, Warn
from stopcli.report.html import to_notebook_html

PROJECT = Path(__file__).parent.parent
RUNS = PROJECT / "tests" / "fixtures" / "runs"


def executed(*cells: str) -> list[Any]:
    """The outputs of a notebook's cells, executed by Jupyter."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return [cell.outputs for cell in notebook.cells]


def html_of(outputs: list[Any]) -> str:
    (output,) = outputs
    assert output.output_type == "execute_result"
    html: str = output.data["text/html"]
    return html


@pytest.mark.slow
def test_a_notebook_shows_runs_and_keeps_its_own_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])))
    for name in ("moons", "moons-seeds"):
        shutil.copytree(RUNS / name, Path("runs") / name)
    # It has no results yet, so that its curves are drawn.
    shutil.copytree(RUNS / "moons", "runs/unfinished")
    Path("runs/unfinished/summary.json").unlink()
    record = """
with stopcli.Recorder("runs", name="rooms", headline="rmse", unit="°C") as recorder:
    for rmse in (0.3, 0.1, 0.2):
        recorder.epoch(rmse=rmse, val_rmse=rmse)
stopcli.open("last")"""
    report, sweep, unfinished, listed, recorded, frame, figure = executed(
        "import stopcli\nrun = stopcli.open('moons')\nrun",
        "stopcli.open('moons-seeds')",
        "stopcli.open('unfinished')",
        "stopcli.list_runs()",
        record,
        "run.frame()",
        "_ = run.frame().plot(x='epoch', y=['loss', 'val_loss'])",
    )
    page = html_of(report)
    assert "Stopped at epoch 15 of 100" in page
    # What it is without HTML, as in a terminal.
    assert report[0].data["text/plain"].startswith("<Run 'runs/moons': finished, 15/100 epochs")
    assert "3 of 3 runs finished" in html_of(sweep)
    assert "data:image/svg+xml;base64," in html_of(unfinished)
    assert re.findall(r'<th scope="row">([\w-]+)</th>', html_of(listed)) == ["moons", "unfinished", "moons-seeds"]
    assert "The lowest validation RMSE is 0.1000 °C, at epoch 2." in html_of(recorded)
    assert "accuracy" not in re.sub("<style>.*</style>", "", html_of(recorded), flags=re.DOTALL)
    assert "<td>15</td>" in html_of(frame)
    # The backend is the notebook's, although stopcli has drawn a figure before.
    assert [output.output_type for output in figure] == ["display_data"]
    assert "image/png" in figure[0].data


# What JupyterLab says of tables and code in any output, and its dark theme.
_NOTEBOOK = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><style>
body { color: #111; font-size: 14px; } [data-jp-theme-light="false"] { background: #111; color: #fff; }
.rendered table { margin: 0 auto 1em; border: none; font-size: 12px; } .rendered td, .rendered th { text-align: right; }
.rendered tbody tr:nth-child(odd) { background: rgb(1, 2, 3); } .rendered pre { word-break: break-all; }
</style><body data-jp-theme-light="%s"><div class="rendered">%s<table id="own"><tbody><tr><td>1</td></tr></table>
<p id="text">Text</p></div>"""
_LOOK = """() => ["#own", "#own td", "#text", "body"].map((one) => document.querySelector(one)).map((element) => {
  const { margin, fontSize, textAlign, backgroundColor, color, maxWidth } = getComputedStyle(element);
  return [margin, fontSize, textAlign, backgroundColor, color, maxWidth]; })"""
# The first pixel of a figure: that of its ground.
_GROUND = """() => { const canvas = document.createElement("canvas").getContext("2d");
  canvas.drawImage(document.images[0], 0, 0); return [...canvas.getImageData(2, 2, 1, 1).data]; }"""
_STYLES = """() => ["tbody th", "tbody tr", "h3", ".warn"].map((one) => {
  const { textAlign, backgroundColor, color } = getComputedStyle(document.querySelector(`.stopcli-report ${one}`));
  return [textAlign, backgroundColor, color]; })"""
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60" viewBox="0 0 90 60">
<rect width="90" height="60" style="fill: #ffffff"/></svg>"""


@pytest.mark.slow
def test_in_a_notebook_the_report_follows_the_theme_and_the_notebook_keeps_its_look() -> None:
    Path("plots").mkdir()
    Path("plots/curves.svg").write_text(_SVG)
    table = Table("Values", ("name", "value"), (("a", "1"), ("b", "2")))
    document = Document("A report", (Paragraph("Text"), Warn("careful")), (Section("Results", (table, Code("a b"),
        Picture("plots/curves", "Curves"))),))  # fmt: skip
    html = to_notebook_html(document, Path())
    with browser() as running:
        for light in ("true", "false"):
            Path("page.html").write_text(_NOTEBOOK % (light, html))
            Path("without.html").write_text(_NOTEBOOK % (light, ""))
            # The reader's own scheme is the other one.
            scheme = "dark" if light == "true" else "light"
            with opened(running, Path("without.html"), scheme=scheme, width=390) as page:
                look = page.evaluate(_LOOK)
            with opened(running, Path("page.html"), scheme=scheme, width=390) as page:
                assert page.evaluate(_LOOK) == look
                assert page.evaluate("document.documentElement.scrollWidth") <= 390
                styles = page.evaluate(_STYLES)
                assert (styles[0][0], styles[1][1]) == ("left", "rgba(0, 0, 0, 0)")
                assert {style[2] for style in styles} == {
                    "rgb(17, 17, 17)" if light == "true" else "rgb(255, 255, 255)"
                }
                ground = page.evaluate(_GROUND)
                assert (sum(ground[:3]) > 600) == (light == "true")


@pytest.mark.slow
def test_the_guide_s_python_runs() -> None:
    text = (PROJECT / "docs" / "guides" / "notebooks.md").read_text(encoding="utf-8")
    first, model, sweep, listed = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shutil.copytree(RUNS / "moons", "runs/moons")
    assert "patience 15\n10\n0.4505723" in finished(first)
    assert re.match(r"1 \[\[0\.\d+\]\]", finished(model))
    shutil.copytree(RUNS / "moons-seeds", "runs/seeds")
    assert re.match(r"patience-5 \[[^,]+, [^,]+, [^,]+\]\n.* saved_test_accuracy\ncount", finished(sweep))
    assert finished(listed).startswith("<2 runs: moons, seeds>")
