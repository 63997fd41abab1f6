"""What a model of the user's is: its names, its fingerprint, and how it is written to a file and read again."""

from __future__ import annotations

import collections
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.training.model_files import NOT_KNOWN, is_lambda, load_model, load_weights, own_code_in

if TYPE_CHECKING:
    import keras

# Where Keras has how many objects of a kind were named.
_NAMES = "object_name_uids"


@contextmanager
def first_names() -> Iterator[None]:
    """Let Keras number the names of what the block makes (`dense`, `dense_1`, `auc`) as if it were the first in the
    process: a metric's column, and a variable in a saved file, must not depend on how many models were built before."""
    from keras.src.backend.common import global_state

    before = global_state.get_global_attribute(_NAMES)
    global_state.set_global_attribute(_NAMES, collections.defaultdict(int))
    try:
        yield
    finally:
        if before is not None:
            global_state.set_global_attribute(_NAMES, before)


def model_fingerprint(model: keras.Model) -> dict[str, str]:
    """Hashes of what a model is and of how it is compiled, for the fingerprint of a run. They are the same for two
    models that one `build` makes within `first_names`.

    Returns:
        `model`: of its layers with their settings; of one whose settings Keras cannot tell, of its class and its
        variables. `compile`: of optimizer, loss and metrics.
    """
    described, compiled = _description(model)
    return {"model": _hash(described), "compile": _hash(compiled)}


def uses_own_code(model: keras.Model) -> bool:
    """Whether a model computes with classes or functions that are not Keras's, so that another file would be another
    model. What Keras cannot describe is such a one."""
    return not _tells_settings(model) or bool(own_code_in(_description(model)))


def loop_key(model: keras.Model, arm: str) -> str | None:
    """What runs of a sweep have in common that can share a compiled loop, of which only the variables and the seed are
    set anew: the arm, with its settings, and the model. None for a model with code of the user's: it may hold what was
    drawn for one seed."""
    return None if uses_own_code(model) else json.dumps([arm, model_fingerprint(model)])


def make_savable(model: keras.Model) -> bool:
    """Let a model that cannot tell its settings, of its class or of one in it, be saved: its file then has its weights,
    and of the settings only that they are not known. Returns whether that was needed."""
    if _tells_settings(model):
        return False
    model.get_config = lambda: dict(NOT_KNOWN)
    model.get_compile_config = dict
    return True


def keep_loss_scaling(model: keras.Model) -> None:
    """Let a model's file name the optimizer that scales its loss. Under mixed_float16 Keras puts it around the one that
    the model is compiled with, and would write the state of the one and the settings of the other."""
    import keras

    compiled = getattr(model, "_compile_config", None)
    if compiled is not None and isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        compiled.config["optimizer"] = model.optimizer


def _tells_settings(model: keras.Model) -> bool:
    import keras

    # Which was made savable tells nothing of itself.
    if "get_config" in vars(model):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            json.dumps(keras.saving.serialize_keras_object(model))
        except (NotImplementedError, TypeError, ValueError):
            return False
    return True


def notes_on_file(model: keras.Model) -> tuple[str, ...]:
    """Why a model's file cannot be loaded as it is, with its author's code neither, a sentence without a full stop
    each; such a model has to be built anew."""
    if not _tells_settings(model):
        return ("the model has a class without get_config, so that stopcli predict cannot load its file",)
    if "lambda" in own_code_in(_description(model)):
        return ("the model has a lambda, so that stopcli predict does not load its file; a function can be loaded",)
    return ()


def saved_model_loader(
    model: keras.Model,
    build: Callable[[], keras.Model],
    whole: Callable[[keras.Model], keras.Model] = lambda model: model,
    core_of: Callable[[keras.Model], keras.Model] = lambda model: model,
) -> Callable[[Path], keras.Model]:
    """How a run's saved model is read from its file: by Keras, from nothing else; a model with code of the user's by
    building it anew and loading the weights, because Keras would have to run what the file says.

    Args:
        build: returns a model like `model`, compiled and built.
        whole: makes of such a model the one that the file holds.
        core_of: takes a model like `model` out of the one in the file, where it needs no code of the user's.
    """
    if not uses_own_code(model):
        return lambda path: core_of(load_model(path))

    def load(path: Path) -> keras.Model:
        fresh = build()
        load_weights(whole(fresh), path)
        return fresh

    return load


def _description(model: Any) -> tuple[Any, Any]:
    """A model and how it is compiled as Keras would write it into a file; of one that cannot be written, what tells it
    from others all the same."""
    import keras

    with warnings.catch_warnings():
        # Keras warns of what cannot be loaded again; this is only compared.
        warnings.simplefilter("ignore")
        try:
            if "get_config" in vars(model):
                raise NotImplementedError
            described = json.loads(model.to_json())
            return described, described.pop("compile_config", None)
        except (NotImplementedError, TypeError, ValueError):
            variables = [[variable.path, list(variable.shape), variable.dtype] for variable in model.variables]
            kind = {"class_name": type(model).__qualname__, "module": type(model).__module__}
            losses = [_name(loss) for loss in keras.tree.flatten(model.loss)]
            metrics = [metric.name for metric in model.metrics]
            return {**kind, "config": variables}, [_optimizer_of(model), losses, metrics]


def _optimizer_of(model: Any) -> Any:
    try:
        return [type(model.optimizer).__name__, model.optimizer.get_config()]
    except NotImplementedError:
        # Such as a schedule of the user's that has no get_config.
        return [type(model.optimizer).__name__]


def _name(loss: Any) -> str:
    return str(getattr(loss, "__name__", None) or getattr(loss, "name", loss))


def _without_lines(described: Any) -> Any:
    """The same without the compiled code of lambdas, which has their file and line. Their text is hashed with the
    file."""
    if isinstance(described, dict):
        return "lambda" if is_lambda(described) else {key: _without_lines(part) for key, part in described.items()}
    if isinstance(described, (list, tuple)):
        return [_without_lines(part) for part in described]
    return described


def _hash(described: Any) -> str:
    return hashlib.sha256(json.dumps(_without_lines(described), sort_keys=True, default=repr).encode()).hexdigest()
