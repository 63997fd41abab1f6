"""A network and the Keras model that prepares its rows, as one model that takes raw rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stopcli.recipes.keras_policy import dtype_policy
from stopcli.recipes.model_identity import first_names
from stopcli.training.model_files import without_name_warnings

if TYPE_CHECKING:
    import keras

# Where a network keeps the whole model that was made of it last. Keras writes no attribute that begins so into a file.
_WHOLE = "__whole_model"
# What Keras calls the operation that makes an array of columns of numbers.
_STACK = "stack"
# What a model has of its own once it is compiled.
_COMPILED = ("optimizer", "_compile_config", "_compile_loss", "_compile_metrics", "_loss_tracker", _WHOLE)


def whole_model(encoder: keras.Model, core: keras.Model, inputs: Mapping[str, str]) -> keras.Model:
    """A model of an encoder and a network behind it, with the network's variables and its optimizer.

    Args:
        encoder: takes a list: the inputs of numbers as one array, float32 [rows, numbers], where there are any, and
            each of the others, [rows]; without variables.
        core: compiled; takes what the encoder returns.
        inputs: the inputs' names, which may be any texts, and their dtypes, in the encoder's order; numbers are
            `float32`.

    Returns:
        A model that takes {name: array [rows]}, compiled like `core`; the one from before, where neither model has
        changed.
    """
    import keras

    before = vars(core).get(_WHOLE)
    if before is not None and before[0] is encoder and before[1] is core._compile_config:
        whole: keras.Model = before[2]
        whole.optimizer = core.optimizer
        return whole
    inner = _uncompiled(core)
    reserved = (encoder.name, _STACK)
    inner.name = _name_of(core, reserved)
    with dtype_policy("float32"), first_names():
        names = _layer_names(inputs, (*reserved, inner.name))
        tensors = {name: keras.Input((), name=names[name], dtype=dtype) for name, dtype in inputs.items()}
        numbers = [tensors[name] for name, dtype in inputs.items() if dtype == "float32"]
        others = [tensors[name] for name, dtype in inputs.items() if dtype != "float32"]
        encoded = encoder([*([keras.ops.stack(numbers, axis=1)] if numbers else []), *others])
    with without_name_warnings():
        whole = keras.Model(tensors, inner(encoded), name="table_model")
    _compile_like(core, whole, has_texts="string" in inputs.values())
    vars(core)[_WHOLE] = (encoder, core._compile_config, whole)
    return whole


def core_of(whole: keras.Model) -> keras.Model:
    """The network in a whole model, compiled like it, with its optimizer."""
    import keras

    core: Any = keras.tree.flatten(whole.output)[0]._keras_history.operation
    _compile_like(whole, core)
    return core


def _uncompiled(core: keras.Model) -> Any:
    """The same model, of the same layers and variables, that is not compiled: a file would hold its compile twice."""
    inner = object.__new__(type(core))
    own = vars(inner)
    own.update({name: value for name, value in vars(core).items() if name not in _COMPILED})
    # Where it is called does not concern the other one.
    own.update(compiled=False, _inbound_nodes=[], _outbound_nodes=[])
    return inner


def _name_of(core: Any, reserved: Sequence[str]) -> str:
    """What a network is called in a whole model, in which that is the name of its output: by its own output, where its
    compile names that."""
    outputs: Sequence[str] = getattr(core, "output_names", None) or ()
    name = outputs[0] if len(outputs) == 1 and isinstance(core.loss, dict) else str(core.name)
    return f"{name}_core" if name in reserved else name


def _compile_like(model: Any, other: Any, *, has_texts: bool = False) -> None:
    """Compile a model like another one, and let it have its optimizer.

    Args:
        has_texts: whether it takes texts, of which XLA knows nothing.
    """
    # Not the optimizer that it was compiled with, which Keras or a schedule may have replaced.
    settings = {**model._compile_config.config, "optimizer": model.optimizer}
    if has_texts:
        settings["jit_compile"] = False
    other.compile(**settings)
    # Keras may have put another one around it.
    other.optimizer = model.optimizer


def _layer_names(inputs: Mapping[str, str], others: tuple[str, ...]) -> dict[str, str]:
    """What Keras can call the input of each name: the name itself, where it is none of the others and has letters that
    Keras allows."""
    used, names = set(others), {}
    for name in sorted(inputs, key=lambda name: "/" in name):
        allowed = name.replace("/", "_") or "column"
        while allowed in used:
            allowed += "_"
        used.add(allowed)
        names[name] = allowed
    return names
