"""How the target is distributed by part: every value is in its bin, every class has its share, whatever there is."""

import numpy as np
import pytest

from stopcli.report.drawing import own_defaults
from stopcli.report.table_figures import MOST_CLASSES, target_classes, target_numbers


def drawn(figure, *arguments):
    with own_defaults():
        made = figure(*arguments)
        made.draw_without_rendering()
    return made, made.axes[0]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def shares_of(patch):
    """The heights of an outline's bins, whose corners follow each other."""
    x, y = patch.get_xy().T
    return [
        low for low, high, left, right in zip(y[1:], y[2:], x[1:], x[2:], strict=False) if right > left and low == high
    ]


def test_each_part_has_its_shares_of_numbers():
    draw = np.random.default_rng(0)
    parts = {"train": draw.normal(5, 2, 900), "validation": draw.normal(5, 2, 90), "test": draw.normal(8, 1, 300)}
    figure, axes = drawn(target_numbers, parts, "price", "price by part")
    assert legend_of(figure) == ["train (900 rows)", "validation (90 rows)", "test (300 rows)"]
    assert axes.get_xlabel() == "price"
    low, high = axes.get_xlim()
    assert low < min(values.min() for values in parts.values())
    assert high > max(values.max() for values in parts.values())
    for patch in axes.patches:
        assert sum(shares_of(patch)) == pytest.approx(1)


def test_a_few_values_far_off_do_not_squeeze_the_others():
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 500), [1e6, -1e6]])
    _, axes = drawn(target_numbers, {"train": values}, "y", "y")
    assert max(map(abs, axes.get_xlim())) < 10
    assert axes.get_title(loc="right").startswith("cut off: ")
    beyond = int(axes.get_title(loc="right").split()[2])
    assert sum(shares_of(axes.patches[0])) == pytest.approx(1 - beyond / 502)


@pytest.mark.parametrize("values", [[3.0] * 20, [np.nan, 1.0, np.inf], [0.0], [1e30, -1e30, 5.0]])
def test_constant_missing_and_huge_targets_can_be_drawn(values):
    drawn(target_numbers, {"train": np.array(values, np.float32), "test": np.array(values[:1])}, "$y$", "y by part")


def test_classes_have_bars_of_their_shares():
    parts = {"train": np.array([0, 0, 0, 1]), "test": np.array([1, 1])}
    figure, axes = drawn(target_classes, parts, ("no", "yes"), "class by part")
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.25, 0, 1]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["no", "yes"]
    assert legend_of(figure) == ["train (4 rows)", "test (2 rows)"]


def test_of_many_classes_the_rarest_share_a_bar():
    counts = np.arange(1, 31)
    rows = np.repeat(np.arange(30), counts)
    _, axes = drawn(target_classes, {"train": rows}, tuple(f"class number {i} of many" for i in range(30)), "c")
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert len(labels) == MOST_CLASSES
    assert labels[-1] == "19 others"
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(1)
    assert axes.patches[-1].get_width() == pytest.approx(counts[:19].sum() / counts.sum())
