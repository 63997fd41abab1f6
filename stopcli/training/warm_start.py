"""Beginning from a trained model's weights instead of drawn ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras

from stopcli.errors import CheckpointError, RequestError
from stopcli.training.checkpoint import load_model
from stopcli.training.model_file import model_file


def start_from(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, source: Path, *, with_optimizer: bool
) -> dict[str, Any]:
    """Give a model the weights, and on request its optimizer the state, of a saved model.

    Returns:
        The ancestry: which file, with its hash.

    Raises:
        RequestError: the file is no model, or its shapes do not fit; the model is as it was.
    """
    path = model_file(source)
    try:
        saved = load_model(path)
    except CheckpointError as error:
        raise RequestError(error.message) from error
    _assign(model.variables, saved.variables, path, "weights")
    if with_optimizer:
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        old = getattr(saved, "optimizer", None)
        if old is None or type(old) is not type(optimizer):
            has = "no optimizer" if old is None else f"an optimizer of type {type(old).__name__}"
            raise RequestError(f"{path}: holds {has}, expected {type(optimizer).__name__}")
        # The learning rate is a setting of this run, not a memory of the other one.
        rate = optimizer.learning_rate.numpy()
        _assign(optimizer.variables, old.variables, path, "optimizer")
        optimizer.learning_rate.assign(rate)
    return {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "optimizer": with_optimizer,
    }


def _assign(ours: list[Any], theirs: list[Any], path: Path, what: str) -> None:
    shapes, saved_shapes = ([tuple(variable.shape) for variable in group] for group in (ours, theirs))
    if shapes != saved_shapes:
        raise RequestError(
            f"{path}: its {what} have {_difference(saved_shapes, shapes)}",
            hint="Choose settings that make the same model, or another file.",
        )
    for variable, saved in zip(ours, theirs, strict=True):
        variable.assign(saved.value)


def _difference(theirs: list[tuple[int, ...]], ours: list[tuple[int, ...]]) -> str:
    """The first shape that differs, or how many there are: a network has hundreds."""
    for saved, shape in zip(theirs, ours, strict=False):
        if saved != shape:
            return f"shape {_words(saved)} where this run's have {_words(shape)}"
    return f"{len(theirs)} parts where this run's have {len(ours)}"


def _words(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
