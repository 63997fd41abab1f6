"""Model files: written whole, holding weights and optimizer state of one epoch, read back without running any code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from stopcli.errors import CheckpointError, shortened
from stopcli.runs.files import replacing


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

    Raises:
        CheckpointError: the file is missing, damaged, or carries code.
    """
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except MemoryError:
        raise
    # A file that somebody has changed leads Keras to nearly any error.
    except Exception as error:
        told = shortened(" ".join(str(error).split()) or type(error).__name__)
        raise CheckpointError(f"{path}: not a model that can be loaded ({told})") from error
