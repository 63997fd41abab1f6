"""Model files: written whole, checked before Keras is started, loaded without running their code, and started from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import CheckpointError, RequestError, shortened, system_words
from stopcli.paths import check_is_text, check_path
from stopcli.runs.files import UnusableFileError, check_json, replacing

if TYPE_CHECKING:
    import keras

NOT_KNOWN = {"settings": "not known: the class has no get_config"}
"""The settings of a model in its file where Keras cannot tell them."""

# Keras names what it makes, and draws its seeds, by what the whole process has: threads make and load models in turn.
ONE_AT_A_TIME = threading.RLock()


def save_model(model: keras.Model, path: Path) -> None:
    """Write a model with its optimizer's state to a .keras file, atomically.

    Args:
        model: compiled, so that the file holds the optimizer.
        path: ends in .keras; what was there is replaced when the new file is complete.

    Raises:
        OSError: it could not be written; what was there before is untouched.
    """
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as new:
        model.save(new)


def load_model(path: Path) -> Any:
    """The model in a .keras file. A file that carries code (a lambda, a foreign class) is refused by Keras's safe mode.
    Raises CheckpointError where the file is missing, damaged, or carries code."""
    import keras

    try:
        with ONE_AT_A_TIME, without_name_warnings():
            return keras.saving.load_model(path, safe_mode=True)
    except MemoryError:
        raise
    # A file that somebody has changed leads Keras to nearly any error.
    except Exception as error:
        raise CheckpointError(f"{path}: not a model that can be loaded ({_reason(error)})") from error


@contextlib.contextmanager
def without_name_warnings() -> Iterator[None]:
    """Without Keras's warning of inputs that are called otherwise than their keys: columns of a table have names that
    layers cannot have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="When providing `inputs` as a dict", category=UserWarning)
        yield


def _reason(error: Exception) -> str:
    return shortened(" ".join(str(error).split()) or type(error).__name__)


_WEIGHTS = "model.weights.h5"
_CONFIG = "config.json"


def model_file(source: Path) -> Path:
    """The .keras file that a path means: itself, or a run's best model, or its final one. Raises RequestError where
    there is none."""
    check_path(source)
    check_is_text(source)
    if source.is_file():
        return source
    candidates = [source / "checkpoints" / name for name in ("best.keras", "final.keras")]
    check_path(candidates[0])
    files = [path for path in candidates if path.is_file()]
    if not files:
        what = "neither a .keras file nor a run with a saved model" if source.exists() else "no such file or folder"
        raise RequestError(f"{source}: {what}")
    return files[0]


def check_model_file(path: Path) -> None:
    """Find out whether a file is what `Model.save` writes. What Keras makes of it is seen when it is loaded. Raises
    RequestError where it is not, and what of it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [name for name in (_CONFIG, _WEIGHTS) if name not in archive.namelist()]
            if missing:
                raise RequestError(f"{path}: not a .keras file: it has no {missing[0]} in it")
            check_json(archive.read(_CONFIG))
            with archive.open(_WEIGHTS) as weights:
                # The signature of HDF5.
                if weights.read(8) != b"\x89HDF\r\n\x1a\n":
                    raise RequestError(f"{path}: not a .keras file: its {_WEIGHTS} is not HDF5")
    except UnusableFileError as error:
        raise RequestError(f"{path}: not a .keras file: its {_CONFIG} is {error}") from None
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({system_words(error)})") from None
    # A damaged archive leads its reader to nearly any error: of zip, of zlib, of sizes, encryption or text.
    except (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise RequestError(f"{path}: not a .keras file ({error})") from None


def own_code_in(described: Any) -> list[str]:
    """The classes and functions in what Keras has serialized (a config.json, a compile's settings) that are neither
    Keras's nor stopcli's, by their names; `lambda` for one that has none."""
    if isinstance(described, (list, tuple)):
        return [name for part in described for name in own_code_in(part)]
    if not isinstance(described, dict):
        return []
    if is_lambda(described):
        return ["lambda"]
    names = [name for part in described.values() for name in own_code_in(part)]
    kind, module = described.get("class_name"), described.get("module")
    # `__keras_tensor__`, `__numpy__` and their like are values, not classes.
    if kind is None or str(kind).startswith("__"):
        return names
    if kind == "function":
        # Keras's own functions have its module.
        own = not str(module).startswith("keras.")
        kind = described.get("config")
    else:
        own = module != "keras" and not str(module).startswith(("keras.", "builtins"))
        own &= not str(described.get("registered_name")).startswith("stopcli>")
    if not own and described.get("config") == NOT_KNOWN:
        kind, own = "a class without get_config", True
    return [str(kind), *names] if own else names


def is_lambda(described: dict[str, Any]) -> bool:
    """Whether Keras has written a function without a name, as its compiled code, which differs with its line."""
    code = described.get("value")
    return described.get("class_name") == "__lambda__" or (
        set(described) == {"value"} and isinstance(code, list) and len(code) == 3 and isinstance(code[0], str)
    )


def own_code_of(path: Path) -> list[str]:
    """The classes and functions that a .keras file needs and does not have, by their names; as `own_code_in`. Nothing
    of it is loaded. Raises RequestError as `check_model_file`."""
    check_model_file(path)
    with zipfile.ZipFile(path) as archive:
        return list(dict.fromkeys(own_code_in(json.loads(archive.read(_CONFIG)))))


def load_weights(model: keras.Model, path: Path, *, with_optimizer: bool = False) -> None:
    """Give a model the weights in the .keras file of a model like it, by their place in it. Nothing else of the file is
    loaded, and no code.

    Args:
        model: built and compiled.
        with_optimizer: whether its optimizer gets the state of the other one as well, but for its learning rate.

    Raises:
        CheckpointError: the file is damaged, or holds another model; the model is as it was.
    """
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    variables, state = [*model.variables, *optimizer.variables], []
    state = [variable.numpy() for variable in variables]
    complete = False
    try:
        _check_arrays(model, path, with_optimizer=with_optimizer)
        model.load_weights(path)
        complete = True
    except (CheckpointError, MemoryError):
        raise
    # A file that somebody has changed leads Keras to nearly any error.
    except Exception as error:
        raise CheckpointError(f"{path}: its weights cannot be loaded into this model ({_reason(error)})") from error
    finally:
        rate = getattr(optimizer, "_learning_rate", None)
        for variable, value in zip(variables, state, strict=True):
            of_optimizer = any(variable is own for own in optimizer.variables)
            if not complete or (of_optimizer and (not with_optimizer or variable is rate)):
                variable.assign(value)


def _check_arrays(model: keras.Model, path: Path, *, with_optimizer: bool) -> None:
    """Raise CheckpointError where a file holds more or fewer arrays than Keras would look for in it: it ignores those
    that it has no place for."""
    import h5py

    arrays: dict[str, tuple[int, ...]] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item.shape

    with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as weights, h5py.File(weights, "r") as file:
        file.visititems(add)
    saved = [shape for name, shape in arrays.items() if name.startswith("optimizer/")]
    # Keras writes no state of random generators.
    own = [variable for variable in model.variables if variable.name != "seed_generator_state"]
    if len(arrays) - len(saved) != len(own):
        raise CheckpointError(
            f"{path}: its weights have {len(arrays) - len(saved)} parts where this run's have {len(own)}"
        )
    if with_optimizer and sorted(saved) != sorted(tuple(variable.shape) for variable in model.optimizer.variables):
        raise CheckpointError(f"{path}: its optimizer has another state than {type(model.optimizer).__name__}")


def start_from(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, source: Path, *, with_optimizer: bool
) -> dict[str, Any]:
    """Give a model the weights, and on request its optimizer the state, of a saved model.

    Returns:
        The ancestry: which file, with its hash.

    Raises:
        RequestError: the file is no model, or its shapes do not fit; the model is as it was.
    """
    with _adapted_layers_left(model):
        ancestry = _start_from(model, optimizer, source, with_optimizer=with_optimizer)
        if not with_optimizer:
            _begin_with_weights(optimizer)
    return ancestry


def _begin_with_weights(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer that keeps weights of its own begin with those that the model has by now: Keras's
    ScheduleFreeAdamW copies them when it is built, and its first update would take the model back to them."""
    inner: Any = getattr(optimizer, "inner_optimizer", optimizer)
    if type(inner).__name__ == "ScheduleFreeAdamW" and inner.built:
        for momentum, weight in zip(inner._momentums, inner._trainable_variables, strict=True):
            momentum.assign(weight)


@contextlib.contextmanager
def _adapted_layers_left(model: keras.Model) -> Iterator[None]:
    """Around what assigns to a model's variables: those of layers that `build` adapts to its rows, such as Keras's
    Normalization, stay what they were. Such a layer computes by tensors that it derives from them, which a graph keeps:
    a resumed run, whose model is built and adapted again, would compute otherwise."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if hasattr(layer, "finalize_state")]
    before = [(layer, [variable.numpy() for variable in layer.variables]) for layer in layers if layer.variables]
    yield
    for layer, values in before:
        for variable, value in zip(layer.variables, values, strict=True):
            variable.assign(value)
        layer.finalize_state()


def _start_from(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, source: Path, *, with_optimizer: bool
) -> dict[str, Any]:
    path = model_file(source)
    ancestry = {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "optimizer": with_optimizer}
    try:
        if own_code_of(path):
            # Classes of the user's: this model, which has them, says where its weights are in the file.
            load_weights(model, path, with_optimizer=with_optimizer)
            return ancestry
        saved = load_model(path)
    except CheckpointError as error:
        raise RequestError(error.message, hint=error.hint) from error
    _assign(model.variables, saved.variables, path, "weights")
    if with_optimizer:
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        old = getattr(saved, "optimizer", None)
        if old is None or type(old) is not type(optimizer):
            has = "no optimizer" if old is None else f"an optimizer of type {type(old).__name__}"
            raise RequestError(f"{path}: holds {has}, expected {type(optimizer).__name__}")
        # The learning rate is a setting of this run, not a memory of the other one. That of a schedule is no variable.
        rate = optimizer.learning_rate.numpy()
        _assign(optimizer.variables, old.variables, path, "optimizer")
        if any(optimizer.learning_rate is variable for variable in optimizer.variables):
            optimizer.learning_rate.assign(rate)
    return ancestry


def _assign(ours: list[Any], theirs: list[Any], path: Path, what: str) -> None:
    shapes, saved_shapes = ([tuple(variable.shape) for variable in group] for group in (ours, theirs))
    if shapes != saved_shapes:
        raise RequestError(
            f"{path}: its {what} have {_difference(saved_shapes, shapes)}",
            hint="Choose settings that make the same model, or another file.",
        )
    for variable, saved in zip(ours, theirs, strict=True):
        # What is drawn follows from this run's seed.
        if not variable.path.endswith("seed_generator_state"):
            variable.assign(saved.value)


def _difference(theirs: list[tuple[int, ...]], ours: list[tuple[int, ...]]) -> str:
    """The first shape that differs, or how many there are: a network has hundreds."""
    for saved, shape in zip(theirs, ours, strict=False):
        if saved != shape:
            return f"shape {_shape_text(saved)} where this run's have {_shape_text(shape)}"
    return f"{len(theirs)} parts where this run's have {len(ours)}"


def _shape_text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
