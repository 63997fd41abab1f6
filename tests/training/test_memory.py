"""Large data are parted, trained on and evaluated without a second copy of them in the process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# In a process of its own, whose peak is not that of other tests. The first training is of few rows, so that what
# TensorFlow takes by itself is in the peak before.
PROGRAM = """
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from stopcli.training.tf_setup import start_tensorflow

start_tensorflow()
import keras

from stopcli.data import row_view
from stopcli.recipes.user_data import read_parts
from stopcli.training import row_source
from stopcli.training.state_file import hash_of_rows
from stopcli.training.step import RMSE, RowsStep
from stopcli.training.steps_loop import StepsLoop

row_view.LARGE_BYTES, row_view.CHUNK_BYTES, row_source.CHUNK_BYTES = 1 << 22, 1 << 20, 1 << 20
SETTINGS = SimpleNamespace(validation="split", validation_share=None, test_share=None, data_seed=0)


def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def train(count):
    x = np.zeros((count, 20), np.float32)
    x[:, 0] = np.arange(count) % 7
    parts = read_parts((x, x[:, :1].copy()), SETTINGS).parts
    del x
    hash_of_rows(parts.train, parts.validation, parts.test)
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    step = RowsStep(model, keras.optimizers.Adam(), keras.losses.MeanSquaredError(), [RMSE])
    loop = StepsLoop(step, train=parts.train, evaluated=parts.evaluated(), batch_size=4096)
    loop.compile()
    epochs = 0
    while epochs < 2:
        epochs += loop.advance(epochs + 1, 2) is not None
    return parts.train.is_large


# More than LARGE_BYTES, so that the same functions are compiled.
assert train(60_000)
before = peak()
assert train(2_000_000)
print(json.dumps({"data": 2_000_000 * 21 * 4, "more": peak() - before}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_training_takes_little_more_memory_than_the_data() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    # A second copy of the training rows alone would be 1.64 times.
    assert measured["more"] <= 1.3 * measured["data"]
