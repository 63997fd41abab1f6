"""What a compiled model was trained for, as far as its loss, its outputs and its targets tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.data.nest import Nest, leaves

Array = NDArray[Any]
Kind = Literal["regression", "classes", "scores", "other"]
"""Numbers that are to be met; a class of several, or of two; numbers that only have to tell two kinds of rows apart,
such as the similarity of pairs; and whatever else, such as several outputs or sequences of classes."""

# Losses by the letters of their names, of Keras's functions and classes alike.
_CLASS_INDEX = ("sparsecategoricalcrossentropy",)
_ONE_HOT = ("categoricalcrossentropy", "categoricalfocalcrossentropy", "kld", "kldivergence", "categoricalhinge")
_ONE_OF_TWO = ("binarycrossentropy", "binaryfocalcrossentropy", "bce")
_NUMBERS = (
    *("mse", "meansquarederror", "mae", "meanabsoluteerror", "mape", "meanabsolutepercentageerror", "msle"),
    *("meansquaredlogarithmicerror", "huber", "logcosh", "poisson"),
)
_SIMILARITIES = ("cosinesimilarity", "hinge", "squaredhinge")


@dataclass(frozen=True, eq=False)
class Task:
    """What was predicted for some rows.

    Attributes:
        true: of `regression` the targets, float32 [rows, outputs]; of `classes` their indices, int [rows]; of `scores`
            the two values that targets have, float32 [rows, 1]; of `other` nothing, [0].
        predicted: of `regression` and `scores` as `true`; of `classes` probabilities, float32 [rows, classes].
    """

    kind: Kind
    true: Array
    predicted: Array

    @property
    def predicted_classes(self) -> NDArray[np.intp]:
        """Of `classes`, the likeliest one of each row."""
        classes: NDArray[np.intp] = np.argmax(self.predicted, axis=1)
        return classes


_OTHER = Task("other", np.empty(0), np.empty(0))


def task_of(loss: Any, y: Nest, predictions: Nest) -> Task:
    """What a model was trained for, with what it predicts for some rows.

    Args:
        loss: that the model was compiled with: a name, a function, an object, or one for each output.
        y: targets, [rows, …].
        predictions: for the same rows.
    """
    targets, outputs = leaves(y), leaves(predictions)
    if len(targets) != 1 or len(outputs) != 1 or not len(targets[0]):
        return _OTHER
    true, predicted = np.asarray(targets[0]), np.asarray(outputs[0])
    if len(true) != len(predicted) or not _are_numbers(true, predicted):
        return _OTHER
    name, is_flat = _name_of(loss), max(true.ndim, predicted.ndim) < 3
    # One value a row has an axis of its own, or not; of an image or a series all values are outputs.
    true, predicted = true.reshape(len(true), -1), predicted.reshape(len(predicted), -1)
    as_classes = _as_classes(name, loss, true, predicted) if is_flat else None
    if as_classes is not None:
        return as_classes
    known = name in (*_CLASS_INDEX, *_ONE_HOT) or (not is_flat and name not in _NUMBERS and true.dtype.kind != "f")
    if true.shape != predicted.shape or known:
        return _OTHER
    numbers = true.astype(np.float32), predicted.astype(np.float32)
    if true.shape[1] == 1 and len(np.unique(true[:, 0])) <= 2 and len(true) > 2:
        return Task("scores", *numbers)
    return (
        _OTHER if name in _SIMILARITIES or (true.shape[1] > 1 and name in _ONE_OF_TWO) else Task("regression", *numbers)
    )


def _as_classes(name: str, loss: Any, true: Array, predicted: Array) -> Task | None:
    """As classes where the loss says so, or where it is the author's own, what is predicted does."""
    several, known = predicted.shape[1] > 1, name in (*_NUMBERS, *_SIMILARITIES)
    shares = not known and _are_shares(predicted)
    if several and true.shape[1] == 1 and (name in _CLASS_INDEX or (shares and true.dtype.kind in "iu")):
        classes = true[:, 0].astype(np.int64)
        if classes.min() >= 0 and classes.max() < predicted.shape[1] and (classes == true[:, 0]).all():
            return Task("classes", classes, _probabilities(loss, predicted))
    if several and true.shape == predicted.shape and (name in _ONE_HOT or shares) and _is_one_hot(true):
        return Task("classes", np.argmax(true, axis=1), _probabilities(loss, predicted))
    of_two = name in _ONE_OF_TWO or (not known and predicted.min() >= 0 and predicted.max() <= 1)
    if not several and true.shape[1] == 1 and of_two and np.isin(true, (0, 1)).all():
        second = _logistic(predicted) if from_logits(loss) else predicted.astype(np.float32)
        return Task("classes", true[:, 0].astype(np.int64), np.hstack([1 - second, second]))
    return None


def _are_numbers(*arrays: Array) -> bool:
    return all(array.dtype.kind in "biuf" and bool(np.isfinite(array).all()) for array in arrays)


def _are_shares(predicted: Array) -> bool:
    return bool(predicted.min() >= 0 and np.allclose(predicted.sum(axis=1), 1, atol=1e-3))


def _is_one_hot(true: Array) -> bool:
    return bool(np.isin(true, (0, 1)).all() and (true.sum(axis=1) == 1).all())


def _name_of(loss: Any) -> str:
    """A loss's name in letters: `SparseCategoricalCrossentropy()` and its name are the same."""
    if isinstance(loss, (list, tuple)) and len(loss) == 1:
        return _name_of(loss[0])
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", "") or type(loss).__name__
    return re.sub(r"[^a-z]", "", name.lower())


def from_logits(loss: Any) -> bool:
    """Whether a loss takes a model's outputs for logits, and not for probabilities."""
    return bool(getattr(loss, "_fn_kwargs", {}).get("from_logits", getattr(loss, "from_logits", False)))


def _probabilities(loss: Any, predicted: Array) -> Array:
    if not from_logits(loss):
        return predicted.astype(np.float32)
    powers = np.exp(predicted - predicted.max(axis=1, keepdims=True))
    shares: Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _logistic(predicted: Array) -> Array:
    shares: Array = (1 / (1 + np.exp(-predicted.astype(float)))).astype(np.float32)
    return shares
