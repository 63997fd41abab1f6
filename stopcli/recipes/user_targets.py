"""Whether targets are what the losses of a compiled model take.

Keras broadcasts a shape against another where NumPy would, and takes any number for a class; both train on something
else than was meant, without a word. What Keras refuses itself is said shorter here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stopcli.data.dataset import Splits
from stopcli.data.nest import leaves, named_leaves
from stopcli.errors import RequestError
from stopcli.quantities import counted

_SPARSE = (
    "sparse_categorical_crossentropy",
    "SparseCategoricalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "categorical_generalized_cross_entropy",
)
_ONE_HOT = (
    "categorical_crossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "categorical_focal_crossentropy",
)
_BINARY = ("binary_crossentropy", "BinaryCrossentropy", "BinaryFocalCrossentropy", "binary_focal_crossentropy")
# Take sequences of another length than the outputs', and classes beside embeddings.
_OTHER_SHAPES = ("CTC", "ctc", "Circle", "circle")


def check_targets(model: Any, outputs: Any, parts: Splits, file: Path) -> None:
    """Check that the targets fit the outputs, by the losses that the model is compiled with.

    Args:
        outputs: of the model, for a few rows: a tensor [few, …] or a nest of them.
        parts: all rows.

    Raises:
        RequestError: they do not.
    """
    _check_outputs(model, outputs, parts.train.y, file)
    named = {"training": parts.train, "validation": parts.validation}
    if parts.test_is_held_out:
        named["test"] = parts.test
    for part, rows in named.items():
        if rows.count:
            for name, loss, targets, predicted in _pairs(model, rows.y, outputs):
                where = f"{file.name}: the {part} targets{f' of {name}' if name else ''}"
                _check_pair(_loss_name(loss), loss, np.asarray(targets), np.asarray(predicted), where)


def _check_outputs(model: Any, outputs: Any, y: Any, file: Path) -> None:
    """Raise RequestError where there are not as many targets as outputs that have a loss, or others by their names."""
    import keras

    losses = keras.tree.flatten(model.loss)
    count = len(leaves(outputs))
    with_loss = count if len(losses) != count else sum(loss is not None for loss in losses)
    targets = named_leaves(y)
    if len(targets) not in (count, with_loss):
        raise RequestError(
            f"{file.name}: y has {counted(len(targets), 'array')}, and the model {counted(count, 'output')}",
            hint=f"Give y as a dict of arrays by the outputs' names: {', '.join(model.output_names)}."
            if count > 1 and getattr(model, "output_names", None)
            else "",
        )
    if isinstance(y, dict):
        names = set(outputs) if isinstance(outputs, dict) else set(getattr(model, "output_names", y))
        if unknown := sorted(set(map(str, y)) - set(map(str, names))):
            raise RequestError(
                f"{file.name}: y has targets for {', '.join(unknown)}, where the model's outputs are "
                f"{', '.join(sorted(map(str, names)))}"
            )


def _pairs(model: Any, y: Any, outputs: Any) -> list[tuple[str, Any, Any, Any]]:
    """What each loss of a model is computed from: the output's name (empty where there is one), the loss, targets and
    outputs. Keras's own code says which belong together; the losses are not computed."""
    import keras

    compiled = model._compile_loss
    pairs: list[tuple[str, Any, Any, Any]] = []

    def recorder(entry: Any) -> Any:
        def record(targets: Any, predicted: Any, sample_weight: Any = None) -> Any:
            pairs.append((str(entry.name), entry.loss, targets, predicted))
            return keras.ops.zeros(())

        return entry._replace(loss=record)

    build = compiled.build
    if not compiled.built:
        # It is built in a call, after which it knows its losses.
        def build_recorders(*nests: Any) -> None:
            build(*nests)
            losses.extend(compiled._flat_losses)
            compiled._flat_losses = [recorder(entry) for entry in losses]

        losses: list[Any] = []
        compiled.build = build_recorders
    else:
        losses = compiled._flat_losses
        compiled._flat_losses = [recorder(entry) for entry in losses]
    try:
        compiled(y, outputs)
    finally:
        compiled.build, compiled._flat_losses = build, losses
        for metric in compiled.metrics:
            metric.reset_state()
    if len(pairs) == 1:
        return [("", *pairs[0][1:])]
    return pairs


def _loss_name(loss: Any) -> str:
    """The name of a loss of Keras; empty for one that is not Keras's."""
    function = getattr(loss, "fn", None)
    owner = function if function is not None and type(loss).__name__ == "LossFunctionWrapper" else type(loss)
    module = getattr(owner, "__module__", "") or ""
    return str(getattr(owner, "__name__", "")) if module.startswith("keras.") else ""


def _check_pair(kind: str, loss: Any, targets: Any, predicted: Any, where: str) -> None:
    if not kind or kind in _OTHER_SHAPES:
        return
    shapes = f"{_shape(targets)} against outputs {_shape(predicted)}"
    if kind in _SPARSE:
        _check_classes(kind, loss, targets, predicted, where, shapes)
        return
    if kind in _ONE_HOT:
        if predicted.shape[-1] == 1:
            raise RequestError(
                f"{where}: {kind} of a single output is always 0", hint="One output is for binary_crossentropy."
            )
        if targets.ndim == predicted.ndim - 1 or targets.shape[1:] == (*predicted.shape[1:-1], 1):
            raise RequestError(
                f"{where}: class indices, {shapes}, where {kind} takes one number for each class",
                hint="sparse_categorical_crossentropy takes class indices.",
            )
    if _squeezed(targets) != _squeezed(predicted) or not _same_rank(targets, predicted):
        raise RequestError(f"{where}: shape {shapes}, which Keras would repeat to fit, or fail on")
    if kind in _BINARY and targets.size and (targets.min() < 0 or targets.max() > 1):
        low, high = targets.min(), targets.max()
        raise RequestError(f"{where}: from {low:g} to {high:g}, where {kind} takes 0 to 1", hint=_more_classes(targets))


def _more_classes(targets: Any) -> str:
    whole = bool(np.all(targets == np.floor(targets)))
    return "sparse_categorical_crossentropy takes class indices; the model needs an output for each." if whole else ""


def _same_rank(targets: Any, predicted: Any) -> bool:
    """Whether Keras makes the ranks equal: it adds or drops one last axis of size 1."""
    return bool(abs(targets.ndim - predicted.ndim) <= 1)


def _squeezed(array: Any) -> tuple[int, ...]:
    """The shape of a row without a last axis of size 1."""
    shape = tuple(array.shape[1:])
    return shape[:-1] if shape[-1:] == (1,) else shape


def _shape(array: Any) -> str:
    """The shape of an array as one writes it, rows as n."""
    return f"({', '.join(['n', *map(str, array.shape[1:])])}{',' if array.ndim == 1 else ''})"


def _check_classes(kind: str, loss: Any, targets: Any, predicted: Any, where: str, shapes: str) -> None:
    """The targets of a loss that takes class indices."""
    classes = predicted.shape[-1]
    if classes == 1:
        raise RequestError(
            f"{where}: {kind} of a single output is always 0", hint="One output is for binary_crossentropy."
        )
    if targets.shape[1:] == predicted.shape[1:]:
        raise RequestError(
            f"{where}: one number for each class, {shapes}, where {kind} takes class indices",
            hint="categorical_crossentropy takes one number for each class.",
        )
    if targets.shape[1:] not in (predicted.shape[1:-1], (*predicted.shape[1:-1], 1)):
        expected = f"(n{''.join(f', {size}' for size in predicted.shape[1:-1])}{',' if predicted.ndim == 2 else ''})"
        raise RequestError(f"{where}: shape {shapes}, expected class indices {expected}")
    ignored = getattr(loss, "ignore_class", None)
    indices = targets if ignored is None else targets[targets != ignored]
    if indices.size and (indices.min() < 0 or indices.max() >= classes):
        raise RequestError(
            f"{where}: class indices from {indices.min():g} to {indices.max():g}, where the model has {classes} "
            f"outputs, for classes 0 to {classes - 1}"
        )
    if indices.dtype.kind == "f" and np.any(indices != np.floor(indices)):
        raise RequestError(f"{where}: class indices that are no whole numbers, which Keras would round down")
