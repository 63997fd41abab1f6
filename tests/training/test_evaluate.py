"""What is reported of a run that was ended early: the metrics of the very epoch that the final model is of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

HEADER = "epoch,step,loss,accuracy,val_loss,val_accuracy,test_loss,test_accuracy,learning_rate"
# Fractions of two: exact as float32 too.
ROWS = [
    "1,9,0.875,0.125,0.75,0.25,0.625,0.375,0.001",
    "2,18,0.5,0.25,0.625,0.5,0.375,0.75,0.001",
    "3,27,0.25,0.75,1.5,0.125,0.5,0.0625,0.001",
]


def recorded(epoch: int, *, held_out: bool) -> Any:
    from stopcli.training.evaluate import _recorded

    Path("metrics.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    rows = SimpleNamespace(count=4)
    parts = SimpleNamespace(test_is_held_out=held_out, validation=rows, test=rows)
    experiment = SimpleNamespace(parts=parts, columns=("loss", "accuracy"))
    return _recorded(SimpleNamespace(metrics=Path("metrics.csv")), experiment, epoch)  # type: ignore[arg-type]


def test_a_restored_model_is_reported_with_its_own_epochs_metrics() -> None:
    # The best epoch, which --restore-best went back to, and not the last.
    assert recorded(2, held_out=True) == {
        "train": {"loss": 0.5, "accuracy": 0.25},
        "test": {"loss": 0.375, "accuracy": 0.75},
        "val": {"loss": 0.625, "accuracy": 0.5},
    }
    assert recorded(3, held_out=False)["test"] == {"loss": 1.5, "accuracy": 0.125}


def test_before_the_first_epoch_is_complete_there_are_no_metrics() -> None:
    assert recorded(0, held_out=True) == {"train": {}, "test": {}, "val": {}}


def test_what_the_models_predict_for_the_test_rows_is_kept() -> None:
    from stopcli.data.dataset import Examples
    from stopcli.runs.predictions import read_predictions
    from stopcli.training.evaluate import _keep_predictions
    from stopcli.training.state_file import hash_of_rows

    test = Examples(np.arange(8, dtype=np.uint8).reshape(4, 2), np.array([2, 0, 1, 1], np.int32))
    experiment: Any = SimpleNamespace(parts=SimpleNamespace(test=test), metrics=[SimpleNamespace(name="accuracy")])
    folder: Any = SimpleNamespace(predictions=Path("predictions.npz"))
    final, saved = np.eye(3)[[2, 0, 1, 0]], np.eye(3)[[2, 1, 1, 1]]
    _keep_predictions(experiment, folder, final, saved)
    content = Path("predictions.npz").read_bytes()
    predictions = read_predictions(Path("predictions.npz"))
    assert predictions is not None
    assert predictions.saved is not None
    assert (predictions.saved.tolist(), predictions.saved.dtype) == ([2, 1, 1, 1], np.uint8)
    assert predictions.right("final").tolist() == [True, True, True, False]  # type: ignore[union-attr]
    assert predictions.rows == hash_of_rows(test) != hash_of_rows(test.at(np.array([1, 0, 2, 3])))
    _keep_predictions(experiment, folder, final, saved)
    assert Path("predictions.npz").read_bytes() == content
    # Of one probability; and without a saved model.
    points: Any = SimpleNamespace(
        parts=SimpleNamespace(test=Examples(test.x, np.array([[1], [0], [1], [1]]))), metrics=experiment.metrics
    )
    _keep_predictions(points, folder, np.array([[0.9], [0.5], [0.4], [0.6]]), None)
    predictions = read_predictions(Path("predictions.npz"))
    assert predictions is not None
    assert (predictions.final.tolist(), predictions.right("saved")) == ([1, 0, 0, 1], None)
