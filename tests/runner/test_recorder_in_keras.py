"""`Recorder` as a callback of Keras, in a plain `model.fit`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from events import scalars_in
from program import status_of, summary_of
from recorded_commands import check_commands

from stopcli import Patience, Recorder
from stopcli.errors import MetricError, RequestError
from stopcli.runs.run import Run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopcli.runner.report.recorded_figures", lambda *arguments: {})


def small_model(**options: Any) -> Any:
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse", **options)
    return model


def fit(model: Any, callbacks: list[Any], **options: Any) -> dict[str, list[float]]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(24, 2)).astype(np.float32)
    y = (x[:, :1] * x[:, 1:] + 0.5 * draw.normal(size=(24, 1))).astype(np.float32)
    options = {"validation_data": (x[12:], y[12:]), "epochs": 60, "batch_size": 6, "verbose": 0, **options}
    history: dict[str, list[float]] = model.fit(x[:12], y[:12], callbacks=callbacks, **options).history
    return history


def test_it_stops_a_fit_where_early_stopping_of_keras_does_and_records_its_history(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import keras

    recorder = Recorder("runs", name="xor", seed=3, settings={"units": 8}, rule=Patience(4), tensorboard=True)
    metrics = ["mae"]
    history = fit(small_model(metrics=metrics), [recorder])
    theirs = fit(small_model(metrics=metrics), [keras.callbacks.EarlyStopping(patience=4)])
    assert len(history["loss"]) == len(theirs["loss"]) < 60
    verdict, summary = recorder.verdict, summary_of(recorder.path)
    assert verdict is not None
    assert verdict.epoch == len(history["loss"])
    assert recorder.best_epoch == int(np.argmin(history["val_loss"])) + 1
    assert (summary["state"], summary["max_epochs"], summary["headline"]["name"]) == ("finished", 60, "loss")
    assert (summary["steps"], summary["steps_per_epoch"]) == (2 * verdict.epoch, 2)
    assert 0 < summary["validation_seconds"] < summary["train_and_validation_seconds"]
    read = Run.read(recorder.path)
    assert {name: read.metrics[name].tolist() for name in history} == history
    assert read.metrics["step"].tolist() == [2 * epoch for epoch in read.metrics["epoch"].tolist()]
    assert read.settings["epochs"] == 60
    other = Recorder("runs", name="xor", seed=3, settings={"units": 16}, rule=Patience(4))
    fit(small_model(metrics=metrics), [other], epochs=2)
    check_commands(recorder, other, capsys)
    # With one verdict, another fit is another run.
    with pytest.raises(
        RequestError, match=r"has ended \(val_loss patience=4\); expected a new Recorder for another fit"
    ):
        fit(small_model(), [recorder])


def test_a_later_fit_continues_the_run_and_its_rule() -> None:
    model, recorder = small_model(), Recorder("runs", rule=Patience(10**6))
    first = fit(model, [recorder], epochs=3)
    assert Run.read(recorder.path).state == "finished"
    second = fit(model, [recorder], epochs=5, initial_epoch=3)
    third = fit(model, [recorder], epochs=2)
    assert Run.read(recorder.path).metrics["loss"].tolist() == first["loss"] + second["loss"] + third["loss"]
    summary = summary_of(recorder.path)
    assert (summary["state"], summary["epochs"], summary["max_epochs"]) == ("finished", 7, 7)
    # In a block, the run ends with the block.
    with Recorder("runs") as recorder:
        fit(model, [recorder], epochs=1)
        assert Run.read(recorder.path).state == "running"
        model.evaluate(np.zeros((2, 2)), np.zeros((2, 1)), callbacks=[recorder], verbose=0)
        model.predict(np.zeros((2, 2)), callbacks=[recorder], verbose=0)
        fit(model, [recorder], epochs=1)
    assert len(Run.read(recorder.path).metrics["loss"]) == 2


def test_epochs_that_are_not_validated_have_empty_cells() -> None:
    import keras

    recorder = Recorder("runs", rule=Patience(3), tensorboard=True)
    with pytest.warns(RuntimeWarning, match="epoch 1 has no val_loss, because it was not validated"):
        history = fit(small_model(), [recorder], validation_freq=2)
    with pytest.warns(UserWarning, match="Early stopping conditioned on metric `val_loss`"):
        theirs = fit(small_model(), [keras.callbacks.EarlyStopping(patience=3)], validation_freq=2)
    assert len(history["loss"]) == len(theirs["loss"]) < 60
    measured = Run.read(recorder.path).metrics["val_loss"].tolist()
    assert measured[1::2] == history["val_loss"]
    assert all(math.isnan(value) for value in measured[::2])
    assert list(scalars_in(recorder.path / "tensorboard/train")["epoch_loss"][0]) == [*range(1, len(measured) + 1)]
    steps, values = scalars_in(recorder.path / "tensorboard/validation")["epoch_loss"]
    assert steps == [*range(2, len(measured) + 1, 2)]
    np.testing.assert_array_equal(values, np.float32(history["val_loss"]))


def test_a_metric_that_will_not_come_ends_the_fit_at_its_first_epoch() -> None:
    recorder = Recorder("runs", rule=Patience(3, monitor="val_rmse"))
    with pytest.raises(MetricError, match="epoch 1 has no metric 'val_rmse'; recorded metrics: loss, val_loss"):
        fit(small_model(), [recorder])
    status = status_of(recorder.path)
    assert (status["state"], status["epoch"]) == ("failed", 0)
    assert not Path(recorder.path / "metrics.csv").exists()


def test_a_metric_of_several_values_is_left_out() -> None:
    import keras

    class PerClass(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            logs["f1"] = np.ones(3)

    recorder = Recorder("runs")
    with pytest.warns(RuntimeWarning, match=r"f1 has values of shape \(3,\), expected a single number"):
        fit(small_model(), [PerClass(), recorder], epochs=2)
    assert list(Run.read(recorder.path).metrics) == ["epoch", "step", "loss", "val_loss"]
    assert "f1 has values" in summary_of(recorder.path)["warnings"][0]
