"""How much memory training on large data takes, as a multiple of the data: `stopcli fit`, and Keras's `fit` beside it.

Each is a process of its own, whose largest resident memory the system reports; subtracted is that of the same process
on a thousandth of the rows, which is Python, TensorFlow and the model. stopcli then trains as many updates on them, so
that it measures the same ways to compute: XLA's compiler alone takes more than 100 MB.

Usage: python benchmarks/memory.py [--rows N]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS, BATCH, EPOCHS = 20, 1024, 2

FILE = f"""
import numpy as np


def data(*, rows=1000):
    x, y = np.empty((rows, {COLUMNS}), np.float32), np.empty((rows, 1), np.float32)
    draw = np.random.default_rng(0)
    # So that drawing the numbers does not take more memory than they do.
    for start in range(0, rows, 50_000):
        part = x[start : start + 50_000]
        part[:] = draw.standard_normal(part.shape, np.float32)
        y[start : start + 50_000, 0] = part.sum(axis=1)
    return x, y


def build(x, y):
    import keras

    layers = [keras.Input((x.shape[1],)), keras.layers.Dense(64, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse", metrics=["mae"])
    return model
"""

KERAS = f"""
import sys
from rows import build, data

x, y = data(rows=int(sys.argv[1]))
model = build(x, y)
model.fit(x, y, batch_size={BATCH}, epochs={EPOCHS}, validation_split=0.2, verbose=0)
"""


def peak(argv: list[str], folder: str) -> tuple[int, float]:
    """The largest resident memory of a process, in bytes, and the seconds that it took."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    start = time.perf_counter()
    process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)}: exit status {process.returncode}\n{errors}")
    # In kilobytes on Linux, in bytes on macOS.
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    size = rows * (COLUMNS + 1) * 4
    print(f"{rows:,} rows of {COLUMNS} float32 and a target: {size / 1e9:.2f} GB, two epochs, batch {BATCH:,}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "rows.py").write_text(FILE, encoding="utf-8")

        def stopcli(count: int) -> list[str]:
            epochs = EPOCHS * rows // count
            settings = ["--set", f"rows={count}", "--epochs", str(epochs), "--batch-size", str(BATCH)]
            return [sys.executable, "-m", "stopcli", "fit", "rows.py", *settings, "--loop", "steps", "--quiet"]

        def keras(count: int) -> list[str]:
            return [sys.executable, "-c", KERAS, str(count)]

        for name, argv in (("stopcli fit", stopcli), ("Keras fit", keras)):
            small, _ = peak(argv(rows // 1000), folder)
            large, seconds = peak(argv(rows), folder)
            multiple = (large - small) / size
            print(
                f"{name}: {large / 1e9:.2f} GB, {small / 1e9:.2f} of them without data: {multiple:.2f} × the data, "
                f"{seconds:.0f} s in all"
            )


if __name__ == "__main__":
    main()
