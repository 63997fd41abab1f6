"""Words in a figure cover neither each other nor the points that they belong to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from stopcli.report.frontier import Label, place_labels


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_crowded_points_keep_apart(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    # Half of them close together.
    points = [(float(x), float(y)) for x, y in np.concatenate([drawn.random((8, 2)), 0.5 + drawn.random((8, 2)) / 20])]
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(*zip(*points, strict=True))
    place_labels(axes, [Label(x, y, f"patience:{i}") for i, (x, y) in enumerate(points)], points, [])
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    # The words' own extents, without the lines that lead to their points.
    boxes = [Bbox(super(type(text), text).get_window_extent(renderer).get_points()) for text in axes.texts]
    assert len(boxes) == len(points)
    room = axes.get_window_extent(renderer).padded(1)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert not any(box.contains(*axes.transData.transform(point)) for point in points)
        assert room.x0 <= box.x0
        assert box.x1 <= room.x1
        assert room.y0 <= box.y0
        assert box.y1 <= room.y1
