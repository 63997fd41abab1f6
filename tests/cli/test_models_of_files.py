"""Models that have code of their file: saved, read again, started from, and resumed to the same bits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from program import run, summary_of

import stopcli
from stopcli.errors import CheckpointError
from stopcli.runner.verify import compare, fingerprint_of

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]

# A layer of its own, noise, two outputs with weights of their losses, a metric with much state.
FILE = """
import keras
import numpy as np

class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor

def data(*, rows=400):
    x = np.random.default_rng(0).random((rows, 6), dtype="float32")
    total = x.sum(axis=1, keepdims=True)
    return x, {"size": total, "large": (total > 3).astype("float32")}

def build(x, y, *, units=8):
    rows = keras.Input((6,))
    hidden = keras.layers.Dense(units, "relu")(Scale()(rows))
    hidden = keras.layers.Dropout(0.1)(hidden)
    outputs = {
        "size": keras.layers.Dense(1, name="size")(hidden),
        "large": keras.layers.Dense(1, "sigmoid", name="large")(hidden),
    }
    model = keras.Model(rows, outputs)
    model.compile(
        "rmsprop",
        {"size": "mse", "large": "binary_crossentropy"},
        loss_weights={"size": 0.5, "large": 1.0},
        metrics={"size": ["mae"], "large": [keras.metrics.AUC(name="auc")]},
    )
    return model
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "net.py"
    path.write_text(FILE)
    return str(path)


def test_a_saved_model_needs_its_file_and_can_be_started_from(file: str) -> None:
    options = ("--epochs", "3", "--xla", "no", "--quiet")
    assert run("fit", file, *options, "--run-dir", "first") == 0
    summary = summary_of("first")
    assert summary["exact"] is True
    assert summary["warnings"] == []
    # What was saved is what was measured within training.
    metrics = np.genfromtxt("first/metrics.csv", delimiter=",", names=True)
    best = summary["best"]
    assert best["val"]["large_auc"] == pytest.approx(metrics["val_large_auc"][best["epoch"] - 1], rel=1e-5)

    first = stopcli.open("first")
    assert isinstance(first, stopcli.Run)
    with pytest.raises(CheckpointError, match=r"best\.keras: the model has code of net\.py \(Scale\)") as caught:
        first.model()
    assert "model.load_weights(" in caught.value.hint

    assert run("fit", file, *options, "--init-from", "first", "--run-dir", "second") == 0
    second = np.genfromtxt("second/metrics.csv", delimiter=",", names=True)
    assert second["loss"][0] < metrics["loss"][0]
    assert json.loads(Path("second/environment.json").read_text())["init_from"]["path"].endswith("best.keras")
    assert run("fit", file, *options, "--set", "units=9", "--init-from", "first", "--run-dir", "third") == 2
    assert not Path("third").exists()


def test_what_layers_add_of_their_activations_belongs_to_no_row() -> None:
    import keras

    Path("net.py").write_text(
        """
import keras
import numpy as np

def data():
    x = np.random.default_rng(0).random((90, 2), dtype="float32")
    y = x.sum(axis=1)
    return {"train": (x[:40], y[:40]), "validation": (x[40:60], y[40:60]), "test": (x[60:], y[60:])}

def build(x, y):
    hidden = keras.layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l2")
    model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model
"""
    )
    for headline in ("mae", "loss"):
        words = ("--metric", headline, "--epochs", "2", "--xla", "no", "--quiet", "--run-dir", headline)
        assert run("fit", "net.py", *words) == 0
    summary = summary_of("mae")
    x = np.random.default_rng(0).random((90, 2), dtype="float32")
    saved = keras.saving.load_model("mae/checkpoints/best.keras")
    loss, error = saved.evaluate(x[60:], x[60:].sum(axis=1), batch_size=30, verbose=0)
    assert summary["best"]["test"] == pytest.approx({"loss": loss, "mae": error}, rel=1e-5)
    low, high = (summary["test_interval"]["best"][end] for end in ("low", "high"))
    assert low < error < high
    interval = summary_of("loss")["test_interval"]
    assert interval["best"] is None
    assert "is no mean over rows that can be computed again" in str(interval)


ADAPTED = """
import keras
import numpy as np

def data(*, shift=0.0):
    x = np.random.default_rng(0).normal(shift, 2.0, size=(90, 2)).astype("float32")
    return x, x.sum(axis=1)

def build(x, y):
    normalization = keras.layers.Normalization()
    normalization.adapt(x)
    model = keras.Sequential([keras.Input((2,)), normalization, keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model
"""


def test_what_build_adapts_stays_where_weights_come_from_another_run() -> None:
    Path("net.py").write_text(ADAPTED)
    options = ("--xla", "no", "--quiet")
    assert run("fit", "net.py", *options, "--epochs", "2", "--run-dir", "old") == 0
    words = ("fit", "net.py", *options, "--set", "shift=5.0", "--init-from", "old", "--epochs", "10000")
    assert run(*words, "--run-dir", "new") == 0
    # The file computes what was trained.
    metrics = np.genfromtxt("new/metrics.csv", delimiter=",", names=True)
    best = summary_of("new")["best"]
    assert best["val"]["mae"] == pytest.approx(metrics["val_mae"][best["epoch"] - 1], rel=1e-5)
    assert run(*words, "--time-budget", "0.01s", "--run-dir", "paused") == 0
    assert summary_of("paused")["state"] == "paused"
    assert run("resume", "paused", "--quiet") == 0
    assert compare(fingerprint_of(Path("new")), fingerprint_of(Path("paused"))) == []


def test_layers_that_all_models_share_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    shared = ADAPTED.replace("def data", "dense = keras.layers.Dense(1)\n\ndef data").replace(
        "keras.layers.Dense(1)]", "dense]"
    )
    Path("net.py").write_text(shared)
    assert run("fit", "net.py", "--epochs", "1", "--run-dir", "a") == 2
    said = capsys.readouterr().err
    assert re.search(r"build returned a model with weights of the one before it \(\S*dense\S*/kernel\)", said)
    assert not Path("a").exists()


def test_kills_change_no_bit(file: str) -> None:
    options = ["--epochs", "250", "--loop", "steps", "--xla", "no", "--save-every", "0.1s"]
    words = [sys.executable, "-m", "stopcli", "verify-resume", "--kills", "2", "--seed", "3", "fit", file, *options]
    verified = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "every result is identical to the bit" in verified.stdout


def test_a_model_that_is_not_exact_says_so_and_is_recorded_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noise.py"
    # Noise of TensorFlow's own generator, whose state no run can save.
    path.write_text(
        FILE.replace("import numpy as np", "import numpy as np\nimport tensorflow as tf", 1)
        + "\ndef augment(x, y, seed):\n    return x + tf.random.normal(tf.shape(x), stddev=0.01), y\n"
    )
    assert run("fit", str(path), "--epochs", "2", "--xla", "no", "--run-dir", "noise") == 0
    assert "gave other numbers the second time" in capsys.readouterr().err
    summary = summary_of("noise")
    assert (summary["exact"], summary["state"]) == (False, "finished")
    assert 'loop = "steps"' in Path("noise/config.toml").read_text()
    assert "gave other numbers the second time" in " ".join(Path("noise/report.md").read_text().split())
