"""A figure of lines, and one of a colour map, which depends on settings while matplotlib is imported."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

PROGRAM = """
import json, sys
from pathlib import Path
from two_figures import figures, hashes
from stopcli.report.drawing import draw
if "keras" in sys.argv:
    from stopcli.training.tf_setup import import_tensorflow
    import_tensorflow()
drawn = draw(figures, Path(sys.argv[1]))
print(json.dumps([drawn.warnings, hashes(Path(sys.argv[1]))]))
"""


def figures() -> dict[str, Any]:
    from stopcli.report.curves import Marks, learning_curves
    from stopcli.report.images import confusion

    t = np.arange(1, 31, dtype=float)
    values = {name: np.exp(-t / 9) for name in ("loss", "val_loss", "accuracy", "val_accuracy")}
    return {
        "curves": lambda: learning_curves({"epoch": t, **values}, "test", Marks(30, "end", 12, "best"), "A title"),
        "confusion": lambda: confusion(np.arange(16).reshape(4, 4), ["a", "b", "c", "d"], "Another"),
    }


def hashes(folder: Path) -> dict[str, str]:
    """Of every file of a folder's figures."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "plots").iterdir())}


def drawn_elsewhere(to: Path, *argv: str, **environment: str | None) -> tuple[list[str], dict[str, str], str]:
    """Warnings, hashes and talk of a process of its own, which imports matplotlib anew.

    Args:
        words: `keras`, to import that before.
        environment: variables; None for one that is not set.
    """
    to.mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "PYTHONPATH": path, **environment}
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(to), *argv],
        capture_output=True,
        text=True,
        env={name: value for name, value in variables.items() if value is not None},
        timeout=180,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    warnings, file_hashes = json.loads(completed.stdout.splitlines()[-1])
    return warnings, file_hashes, completed.stderr
