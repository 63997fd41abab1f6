"""Figures that are made, but not rendered: laying them out and writing them takes as long as a small run.

Every kind of figure is rendered where a test is about figures (`tests/report`, `tests/recipes`, those marked
`rendered`), and by programs that are processes of their own.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import pytest

from stopcli.report import drawing
from stopcli.report.document import Picture, alt_text

_RENDER = drawing._save


@functools.cache
def _empty_picture(kind: str) -> bytes:
    from matplotlib.figure import Figure

    file = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(file, format=kind)
    return file.getvalue()


def _make(name: str, draw_one: drawing.Draw, plots: Path, drawn: drawing.Drawn) -> None:
    try:
        draw_one()
    except Exception as error:
        drawn.add_failure(f"the figure {name}", error)
        return
    for kind in ("png", "svg"):
        (plots / f"{name}.{kind}").write_bytes(_empty_picture(kind))
    drawn.pictures.append(Picture(f"plots/{name}", alt_text(name)))


def rendered() -> AbstractContextManager[object]:
    """Within the block, figures are rendered: for fixtures."""
    return mock.patch.object(drawing, "_save", _RENDER)


@pytest.fixture(scope="module", autouse=True)
def _unrendered_in_a_module() -> Iterator[None]:
    """Fixtures of a module come before those of its tests."""
    with mock.patch.object(drawing, "_save", _make):
        yield


@pytest.fixture(autouse=True)
def _rendered_where_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    marked = request.node.get_closest_marker("rendered") is not None
    with rendered() if marked else contextlib.nullcontext():
        yield
