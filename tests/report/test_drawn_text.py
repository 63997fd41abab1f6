"""Names that people give their classes, in figures: drawn without a word of matplotlib's, and told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stopcli.report.drawn_text import drawn_name
from stopcli.report.image_figures import Mistake, confusion, image_sheet, worst_images
from stopcli.report.saving import save_figures


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("automobile", "automobile"),
        ("Säugetier – klein", "Säugetier – klein"),
        ("a\tb\nc", r"a\tb\nc"),
        ("cost $x^$", r"cost \$x^\$"),
        ("猫 cat", r"\u732b cat"),
        ("caf\udce9", r"caf\xe9"),
        ("n" * 250 + "7", "n" * 20 + "…" + "n" * 18 + "7"),
    ],
)
def test_a_name_is_drawn_in_a_line_that_says_it(name: str, drawn: str) -> None:
    assert drawn_name(name) == drawn


def test_names_are_told_apart_by_their_ends() -> None:
    names = {drawn_name(f"{'species' * 30} {i}", 14) for i in range(100)}
    assert len(names) == 100
    assert {len(name) for name in names} == {14}


@pytest.mark.parametrize(
    "classes",
    [("a\tb", "c\td"), ("x" * 250, "y" * 250), ("$x^$", "a$b$c"), ("猫", "犬")],
    ids=["tabs", "long", "formulas", "other scripts"],
)
def test_figures_of_images_are_drawn_whatever_classes_are_called(classes: tuple[str, str], tmp_path: Path) -> None:
    # Warnings are errors here.
    image = np.zeros((8, 8, 3))
    figures = {
        "confusion": confusion(np.eye(2, dtype=int), classes, "title"),
        "augmented": image_sheet([np.stack([image] * 2)], ["as it is"], classes, "title"),
        "worst": worst_images([Mistake(image, *classes, 0.5)] * 2, "title"),
    }
    assert [path.name for path in save_figures(figures, tmp_path)] == ["confusion.png", "augmented.png", "worst.png"]
    (ticks,) = {tuple(label.get_text() for label in axes.get_xticklabels()) for axes in figures["confusion"].axes[:1]}
    assert ticks == tuple(drawn_name(name, 24) for name in classes)
