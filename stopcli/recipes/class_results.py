"""How well a model tells classes apart: the table by class, and its confusions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.report.document import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def classes_table(
    true: NDArray[Any], predicted: NDArray[Any], classes: Sequence[str], model: str, rows: str = "test images"
) -> Table:
    """Precision, recall and F1 by class, and their means.

    Args:
        true, predicted: indices of classes, shape [rows].
        classes: names.
        model: which one, in words.
        rows: what was classified; its last word is above the column of their counts.
    """
    from sklearn.metrics import precision_recall_fscore_support

    by_class = precision_recall_fscore_support(true, predicted, labels=range(len(classes)), zero_division=0.0)
    cells = [
        *zip(classes, *(values.tolist() for values in by_class), strict=True),
        ("mean", *(float(np.mean(values)) for values in by_class[:3]), int(np.sum(by_class[3]))),
    ]
    columns = ("class", "precision", "recall", "F1", rows.split()[-1])
    return Table.of_shares(f"By class ({model}, {rows})", columns, cells, sums=1)


def confusion_figure(
    true: NDArray[Any], predicted: NDArray[Any], classes: Sequence[str], model: str, rows: str = "test images"
) -> Figure:
    """How often each class was predicted as each other; arguments as for `classes_table`."""
    from sklearn.metrics import confusion_matrix

    from stopcli.report.images import confusion

    matrix = confusion_matrix(true, predicted, labels=range(len(classes)))
    accuracy = np.trace(matrix) / matrix.sum()
    return confusion(matrix, classes, f"{model}: {accuracy:.3f} of the {rows} right")
