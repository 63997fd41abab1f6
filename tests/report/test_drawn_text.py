"""Names that people give their classes, in figures: drawn without a word of matplotlib's, and told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stopcli.report.drawing import draw, drawn_name
from stopcli.report.images import Mistake, confusion, image_sheet, worst_images


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("automobile", "automobile"),
        ("Säugetier – klein", "Säugetier – klein"),
        ("a\tb\nc", r"a\tb\nc"),
        ("cost $x^$", r"cost \$x^\$"),
        ("猫 cat", r"\u732b cat"),
        ("caf\udce9", r"caf\xe9"),
        # matplotlib takes no line with a hidden name into a legend.
        ("_hidden_", "\N{ZERO WIDTH SPACE}_hidden_"),
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
    image = np.zeros((8, 8, 3))
    figures = {
        "confusion": lambda: confusion(np.eye(2, dtype=int), classes, "title"),
        "augmented": lambda: image_sheet([np.stack([image] * 2)], ["as it is"], classes, "title"),
        "worst": lambda: worst_images([Mistake(image, *classes, 0.5)] * 2, "title"),
    }
    # Warnings are errors here, and what fails is warned of.
    drawn = draw(lambda: figures, tmp_path)
    assert (drawn.warnings, drawn.tracebacks) == ([], "")
    for name in figures:
        shown = (tmp_path / "plots" / f"{name}.svg").read_text()
        for class_name in classes:
            letters = drawn_name(class_name, 14).replace(r"\$", "$")
            assert letters in shown
