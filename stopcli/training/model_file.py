"""The file of a trained model that a path means, and whether it is one: found out before Keras is started."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from stopcli.errors import RequestError, system_words
from stopcli.paths import check_is_text, check_path
from stopcli.text_files import UnusableFileError, check_json

_WEIGHTS = "model.weights.h5"
_CONFIG = "config.json"


def model_file(source: Path) -> Path:
    """The .keras file that a path means: itself, or a run's best model, or its final one.

    Raises:
        RequestError: there is none.
    """
    check_path(source)
    check_is_text(source)
    if source.is_file():
        return source
    candidates = [source / "checkpoints" / name for name in ("best.keras", "final.keras")]
    check_path(candidates[0])
    found = [path for path in candidates if path.is_file()]
    if not found:
        what = "neither a .keras file nor a run with a saved model" if source.exists() else "no such file or folder"
        raise RequestError(f"{source}: {what}")
    return found[0]


def check_model_file(path: Path) -> None:
    """Find out whether a file is what `Model.save` writes. What Keras makes of it is seen when it is loaded.

    Raises:
        RequestError: it is not, and what of it is missing or damaged.
    """
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
