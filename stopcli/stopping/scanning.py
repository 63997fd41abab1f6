"""What rules share that look at all epochs of a run at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.stopping.rule import Columns, Verdict, monitored, non_finite


def first_true(mask: NDArray[Any]) -> int | None:
    """The index of the first True, None where there is none."""
    index = int(mask.argmax()) if len(mask) else 0
    return index if len(mask) and mask[index] else None


def finite_part(columns: Columns, names: tuple[str, ...]) -> tuple[int, Verdict | None]:
    """How many epochs pass until one of some metrics is NaN or infinite, and the verdict that ends the run there.

    Raises:
        MetricError: a metric is missing.
    """
    values = [monitored(columns, name, 1) for name in names]
    broken = first_true(np.any(~np.isfinite(np.stack(values)), axis=0))
    if broken is None:
        return len(values[0]), None
    verdicts = (non_finite(broken + 1, name, float(column[broken])) for name, column in zip(names, values, strict=True))
    return broken, next(verdict for verdict in verdicts if verdict)
