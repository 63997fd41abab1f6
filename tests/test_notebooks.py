"""Runs in a real notebook, and the guide to it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from forked import finished

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
    report, sweep, unfinished, listed, frame, figure = executed(
        "import stopcli\nrun = stopcli.open('moons')\nrun",
        "stopcli.open('moons-seeds')",
        "stopcli.open('unfinished')",
        "stopcli.list_runs()",
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
    assert "<td>15</td>" in html_of(frame)
    # The backend is the notebook's, although stopcli has drawn a figure before.
    assert [output.output_type for output in figure] == ["display_data"]
    assert "image/png" in figure[0].data


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
