"""`--init-from`: a run that begins with the weights of another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from program import run

from stopcli.runner.verify import model_arrays


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_warm_start_begins_with_the_saved_weights_on_more_data(finished_moons: Path) -> None:
    """The incremental scenario: trained on some data, then further on a grown data set."""
    words = ["--hidden", "50", "--batch-size", "8", "--epochs", "1", "--learning-rate", "1e-12", "--quiet"]
    assert run("moons", "--samples", "200", *words, "--init-from", str(finished_moons), "--run-dir", "a") == 0
    saved = model_arrays(finished_moons / "checkpoints/best.keras")
    kept = model_arrays(Path("a/checkpoints/final.keras"))
    names = [name for name in saved if name.startswith("layers/")]
    assert names
    for name in names:
        one, other = (np.frombuffer(arrays[name], dtype=np.float32) for arrays in (saved, kept))
        np.testing.assert_allclose(one, other, atol=1e-9)
    environment = json.loads(Path("a/environment.json").read_text())
    assert environment["init_from"]["path"].endswith("moons/checkpoints/best.keras")
    assert not environment["init_from"]["optimizer"]

    assert run("moons", *words, "--init-from", str(finished_moons), "--init-optimizer", "--run-dir", "b") == 0
    import keras

    before = keras.saving.load_model(finished_moons / "checkpoints/best.keras").optimizer
    after = keras.saving.load_model("b/checkpoints/final.keras").optimizer
    assert int(after.iterations) == int(before.iterations) + 4
    assert float(after.learning_rate) == pytest.approx(1e-12)
