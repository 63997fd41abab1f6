from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stopcli.errors import MetricError
from stopcli.stopping import AnyOf, BestEpoch, NonFinite, Patience, Threshold

pytestmark = pytest.mark.usefixtures("tensorflow")


def small_model(learning_rate: float = 0.05) -> Any:
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="mse")
    return model


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(24, 2)).astype(np.float32)
    return x, (x[:, :1] * x[:, 1:] + 0.5 * draw.normal(size=(24, 1))).astype(np.float32)


def fit(model: Any, rows: tuple[np.ndarray, np.ndarray], callbacks: list[Any], epochs: int = 40) -> Any:
    x, y = rows
    return model.fit(
        x[:12], y[:12], validation_data=(x[12:], y[12:]), epochs=epochs, callbacks=callbacks, verbose=0, shuffle=False
    )


def test_stops_a_plain_fit_where_keras_s_own_callback_does(rows: tuple[np.ndarray, np.ndarray]) -> None:
    import keras

    from stopcli import StopOnRule

    ours, theirs = StopOnRule(Patience(3)), keras.callbacks.EarlyStopping(patience=3)
    epochs = len(fit(small_model(), rows, [ours]).history["loss"])
    assert epochs == len(fit(small_model(), rows, [theirs]).history["loss"])
    assert 1 < epochs < 40
    assert ours.verdict is not None
    assert (ours.verdict.epoch, ours.verdict.reason) == (epochs, "patience")


def test_any_rule_runs_and_none_means_no_verdict(rows: tuple[np.ndarray, np.ndarray]) -> None:
    from stopcli import StopOnRule

    never = StopOnRule(AnyOf((Patience(1000), Threshold(-1.0))))
    fit(small_model(), rows, [never], epochs=3)
    assert never.verdict is None
    diverges = StopOnRule(NonFinite(("loss", "val_loss")))
    fit(small_model(learning_rate=1e38), rows, [diverges], epochs=10)
    assert diverges.verdict is not None
    assert diverges.verdict.reason == "non_finite"


def test_restores_weights_and_optimizer_of_the_best_epoch(rows: tuple[np.ndarray, np.ndarray]) -> None:
    from stopcli import StopOnRule

    stop = StopOnRule(Patience(5), restore_best=BestEpoch("val_loss"))
    model = small_model()
    history = fit(model, rows, [stop]).history["val_loss"]
    best = int(np.argmin(history)) + 1
    assert stop.verdict is not None
    assert best == stop.verdict.best_epoch < stop.verdict.epoch
    x, y = rows
    assert model.evaluate(x[12:], y[12:], verbose=0) == pytest.approx(min(history), rel=1e-6)
    # A step a batch, one batch an epoch: the optimizer is at the best epoch too.
    assert int(model.optimizer.iterations) == best


def test_a_misspelt_monitor_is_an_error_in_the_first_epoch(rows: tuple[np.ndarray, np.ndarray]) -> None:
    from stopcli import StopOnRule

    with pytest.raises(MetricError, match="no metric 'val_los'; there are: loss, val_loss"):
        fit(small_model(), rows, [StopOnRule(Patience(3, "val_los", mode="min"))])
