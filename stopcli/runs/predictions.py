"""predictions.npz: what a run's models predict for its test rows, so that two runs can be compared row by row."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.errors import RequestError
from stopcli.runs.files import replacing

Floats = NDArray[np.floating[Any]]

# In bytes, of all arrays together before they are compressed. Of more rows some are kept, evenly.
LARGEST = 64 << 20


@dataclass(frozen=True, eq=False)
class PredictedClasses:
    """The classes that a run's models predict for its test rows, in the rows' order.

    Attributes:
        rows: a hash of the test rows, inputs and targets in their order.
        target: the true classes, uint8 (uint16 for more than 256 classes), shape [rows].
        final, saved: as the final and as the saved model predict them; `saved` is None where no model was saved.
    """

    rows: str
    target: NDArray[np.unsignedinteger]
    final: NDArray[np.unsignedinteger]
    saved: NDArray[np.unsignedinteger] | None = None

    def right(self, model: str) -> NDArray[np.bool_] | None:
        """Whether each row was predicted right by the `final` or the `saved` model; None where there is none."""
        predicted = self.saved if model == "saved" else self.final
        return None if predicted is None else predicted == self.target


@dataclass(frozen=True, eq=False)
class PredictedValues:
    """What a run's models predict for its test rows, and what the metric that counts is a function of; every `step`-th
    row, in the rows' order.

    Attributes:
        rows: as of PredictedClasses.
        finish: how the metric is computed from the scores' means; of `stopcli.stats.bootstrap.FINISHES`. Empty where it
            is no function of means over rows, and there are no scores.
        final_value, saved_value: the metric, as it was measured on all test rows.
        final_scores, saved_scores: float32 [rows, k]: of the final and of the saved model.
        target, final, saved: float32 [rows, outputs], numbers or classes; None where the model predicts something else.
    """

    rows: str
    finish: str
    final_value: float
    saved_value: float | None = None
    final_scores: Floats | None = None
    saved_scores: Floats | None = None
    target: Floats | None = None
    final: Floats | None = None
    saved: Floats | None = None
    step: int = 1

    def scores(self, model: str) -> tuple[Floats, float] | None:
        """Of the `final` or the `saved` model, with its value; None where there are none."""
        scores, value = (
            (self.saved_scores, self.saved_value) if model == "saved" else (self.final_scores, self.final_value)
        )
        return None if scores is None or value is None else (scores, value)


Predictions = PredictedClasses | PredictedValues


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a predictions.npz, whole or not at all; of classes about a byte a row, of numbers at most LARGEST bytes.

    The same bytes for the same predictions.
    """
    arrays = {name: value for name, value in vars(predictions).items() if value is not None}
    if isinstance(predictions, PredictedValues):
        arrays |= _thinned(arrays)
    with replacing(path) as new:
        np.savez_compressed(new, **arrays)


def _thinned(arrays: Mapping[str, Any]) -> dict[str, Any]:
    by_row = {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}
    by_row = {name: value.astype(np.float32, copy=False) for name, value in by_row.items()}
    step = max(1, -(-sum(value.nbytes for value in by_row.values()) // LARGEST))
    return {**{name: value[::step] for name, value in by_row.items()}, "step": step}


def read_predictions(path: Path) -> Predictions | None:
    """The content of a predictions.npz; None where there is none, as in runs of older versions.

    Raises:
        RequestError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return _values(dict(content)) if "finish" in content else _classes(dict(content))
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RequestError(f"{path}: damaged ({error})") from None


def _classes(content: dict[str, Any]) -> PredictedClasses:
    predictions = PredictedClasses(**{**content, "rows": str(content["rows"])})
    for classes in (predictions.target, predictions.final, predictions.saved):
        if classes is None:
            continue
        if classes.ndim != 1 or classes.dtype.kind != "u" or len(classes) != len(predictions.target):
            raise ValueError("expected as many classes of every model as there are rows")
    return predictions


def _values(content: dict[str, Any]) -> PredictedValues:
    texts = {name: str(content.pop(name)) for name in ("rows", "finish")}
    numbers = {name: float(content.pop(name)) for name in ("final_value", "saved_value") if name in content}
    step = int(content.pop("step"))
    predictions = PredictedValues(**texts, **numbers, **content, step=step)  # type: ignore[arg-type]
    rows = {len(values) for values in content.values()}
    for values in content.values():
        if values.ndim != 2 or values.dtype.kind != "f" or len(rows) != 1:
            raise ValueError("expected as many numbers of every model as there are rows")
    return predictions
