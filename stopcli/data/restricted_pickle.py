"""Reading pickles that hold arrays and plain values, and refusing all others.

A pickle can name any function to be called when it is read. This reader admits what a pickled dictionary of NumPy
arrays needs, and nothing else.
"""

from __future__ import annotations

import _codecs
import importlib
import pickle
from typing import IO, Any

import numpy as np

_multiarray = importlib.import_module("numpy._core.multiarray")
# As NumPy 1 and NumPy 2 name them.
_ADMITTED: dict[tuple[str, str], Any] = {
    **{
        (f"numpy.{core}.multiarray", name): getattr(_multiarray, name)
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _codecs.encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no data file needs") from None


def read_pickle(file: IO[bytes]) -> Any:
    """The value in a pickle, texts of Python 2 as bytes.

    Raises:
        pickle.UnpicklingError: it holds anything but arrays and plain values.
        Exception: whatever else damaged bytes lead a pickle reader to.
    """
    return _Reader(file, encoding="bytes").load()
