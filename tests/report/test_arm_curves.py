"""Curves of arms over each other, where metrics were not measured after every epoch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stopcli.report.drawing import own_defaults
from stopcli.runs.metrics import Columns

NAN = math.nan


def columns(*values: float) -> Columns:
    return {"epoch": np.arange(1.0, len(values) + 1), "val_loss": np.array(values)}


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ((1, 2, 3), (1, 2, 3)),
        # Validated after every second epoch: lines go from one value to the next, and level to the end.
        ((1, NAN, 3, NAN, 5, NAN), (1, 2, 3, 4, 5, 5)),
        ((NAN, 1, NAN, 2), (NAN, 1, 1.5, 2)),
        # The run ended with a loss that was NaN.
        ((1, 2, NAN), (1, 2, NAN)),
        ((NAN, NAN, NAN), (NAN, NAN, NAN)),
    ],
)
def test_a_curve_goes_on_over_epochs_without_a_value(values: tuple[float, ...], drawn: tuple[float, ...]) -> None:
    with own_defaults():
        from stopcli.report.arm_curves import overlaid_curves
        from stopcli.report.curves import RunGroup

        groups = [RunGroup("one", 0, [columns(*values)]), RunGroup("two", 1, [columns(*values), columns(*values)])]
        (axes,) = overlaid_curves(groups, {"val_loss": "validation loss"}, "curves").axes
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) > 1]
    # A run, two runs, and their median.
    assert len(lines) == 4
    for line in lines:
        np.testing.assert_array_equal(line, drawn)
