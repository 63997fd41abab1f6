"""Twins of models: the same variables and the same numbers, with kernels that are faster than those of Keras."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from stopcli.models.fused_batch_norm import FusedBatchNorm, can_be_fused
from stopcli.models.wide_kernels import SHORT_PRECISIONS, WideKernel, is_wide

# Whether a layer can be replaced, and by what.
_Replacement = tuple[Callable[[Any], bool], Callable[[Any], keras.layers.Layer]]


def with_fast_kernels(model: keras.Model) -> keras.Model:
    """A twin with batch normalization by TensorFlow's fused kernel, and with `with_wide_kernels`."""
    return _twin(model, [(can_be_fused, FusedBatchNorm), (is_wide, WideKernel)])


def with_wide_kernels(model: keras.Model) -> keras.Model:
    """A twin of a functional or sequential model whose layers of 16-bit numbers are computed by float32 kernels, where
    the processor does not multiply such numbers.

    The twin shares every other layer with the model, so training it trains the model. The model is what is saved, and
    it does not know of the twin. A model without layers to replace, or with a `call` of its own, is its own twin.
    """
    return _twin(model, [(is_wide, WideKernel)])


def has_short_numbers(model: keras.Model) -> bool:
    """Whether a layer of a model computes in 16 bits."""
    return any(layer.compute_dtype in SHORT_PRECISIONS for layer in model._flatten_layers(include_self=False))


def _twin(model: keras.Model, replacements: Sequence[_Replacement]) -> keras.Model:
    if not _can_be_cloned(model):
        return model
    replaced = {id(layer): make for layer in model.layers for can, make in replacements if can(layer)}
    if not replaced:
        return model

    def twin_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        return replaced[id(layer)](layer) if id(layer) in replaced else layer

    # A clone of a compiled model is compiled from its config, which does not hold a loss or a metric of the user's own,
    # and has an optimizer that nobody needs.
    compiled, model.compiled = model.compiled, False
    try:
        return keras.models.clone_model(model, clone_function=twin_of)
    finally:
        model.compiled = compiled


def _can_be_cloned(model: keras.Model) -> bool:
    kind = type(model)
    if not (kind.__module__.startswith("keras.") and kind.__name__ in ("Sequential", "Functional")):
        return False
    # A function of `keras.ops` in a model does not tell how it was called.
    return all(isinstance(operation, keras.layers.Layer) for operation in getattr(model, "operations", ()))
