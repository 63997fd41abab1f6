"""Model files: written whole, checked before Keras is started, loaded without running their code, and started from."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import CheckpointError, RequestError, shortened, system_words
from stopcli.paths import check_is_text, check_path
from stopcli.runs.files import UnusableFileError, check_json, replacing

if TYPE_CHECKING:
    import keras


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
        return keras.saving.load_model(path, safe_mode=True)
    except MemoryError:
        raise
    # A file that somebody has changed leads Keras to nearly any error.
    except Exception as error:
        reason = shortened(" ".join(str(error).split()) or type(error).__name__)
        raise CheckpointError(f"{path}: not a model that can be loaded ({reason})") from error


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
            return f"shape {_shape_text(saved)} where this run's have {_shape_text(shape)}"
    return f"{len(theirs)} parts where this run's have {len(ours)}"


def _shape_text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"
