from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from stopcli.errors import MetricError
from stopcli.stopping import AnyOf, AtCycleEnds, BestEpoch, NonFinite, Patience, Threshold, Verdict

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


def fit(model: Any, rows: tuple[np.ndarray, np.ndarray], callbacks: list[Any], epochs: int = 40, **options: Any) -> Any:
    x, y = rows
    options = {"validation_data": (x[12:], y[12:]), "epochs": epochs, "verbose": 0, "shuffle": False, **options}
    return model.fit(x[:12], y[:12], callbacks=callbacks, **options)


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

    with pytest.raises(MetricError, match="no metric 'val_los'; recorded metrics: loss, val_loss"):
        fit(small_model(), rows, [StopOnRule(Patience(3, "val_los", mode="min"))])


def classes(average: str | None, of: int = 3) -> tuple[Any, np.ndarray, np.ndarray]:
    """A model with an F1 score, and its rows."""
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(of, activation="sigmoid")])
    model.compile("sgd", "mse", metrics=[keras.metrics.F1Score(average=average, name="f1")])
    x = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
    return model, x, np.eye(of, dtype=np.float32)[np.arange(24) % of]


def test_metrics_that_are_not_monitored_may_have_any_shape() -> None:
    from stopcli import StopOnRule

    model, x, y = classes(average=None)
    stop = StopOnRule(Patience(1000), restore_best=BestEpoch("loss"))
    history = model.fit(x, y, validation_data=(x, y), epochs=2, callbacks=[stop], verbose=0).history
    assert np.shape(history["val_f1"][0]) == (3,)


def test_a_monitored_metric_has_to_be_a_single_number() -> None:
    from stopcli import StopOnRule

    model, x, y = classes(average=None)
    for stop in (StopOnRule(Patience(2, "val_f1")), StopOnRule(Patience(2), restore_best=BestEpoch("val_f1"))):
        with pytest.raises(MetricError, match=r"epoch 1: val_f1 has values of shape \(3,\), expected a single number"):
            model.fit(x, y, validation_data=(x, y), epochs=2, callbacks=[stop], verbose=0)
    # One of a single class is one; so is a mean over classes.
    for average, of in ((None, 1), ("macro", 3)):
        model, x, y = classes(average, of)
        stop = StopOnRule(Threshold(0.0, "val_f1"))
        model.fit(x, y, validation_data=(x, y), epochs=2, callbacks=[stop], verbose=0)
        assert stop.verdict is not None
        assert stop.verdict.epoch == 1


@pytest.mark.filterwarnings("ignore:Early stopping conditioned on metric:UserWarning")
@pytest.mark.parametrize(
    ("frequency", "options"),
    [(2, {"patience": 2}), ([1, 2, 4, 5, 8, 9, 11, 15, 16, 20, 21, 25, 30], {"patience": 3, "start_from_epoch": 4})],
)
def test_epochs_that_are_not_validated_do_not_count_as_in_keras(
    rows: tuple[np.ndarray, np.ndarray], frequency: Any, options: dict[str, Any]
) -> None:
    import keras

    from stopcli import StopOnRule

    ours = StopOnRule(Patience(**options), restore_best=BestEpoch("val_loss"))
    theirs = keras.callbacks.EarlyStopping(**options)
    with (
        pytest.warns(UserWarning, match="epoch 1 has no val_loss, because it was not validated")
        if frequency == 2
        else contextlib.nullcontext()
    ):
        history = fit(small_model(), rows, [ours], 60, validation_freq=frequency).history
    epochs = len(history["loss"])
    assert epochs == len(fit(small_model(), rows, [theirs], 60, validation_freq=frequency).history["loss"])
    assert ours.verdict is not None
    assert ours.verdict.epoch == epochs < 40
    # The epochs of fit, not of validations.
    assert ours.verdict.best_epoch == theirs.best_epoch + 1


@pytest.mark.filterwarnings("ignore:epoch 1 has no val_loss:UserWarning")
def test_each_rule_is_asked_where_it_has_its_metrics(rows: tuple[np.ndarray, np.ndarray]) -> None:
    from stopcli import StopOnRule

    def verdict_of(rule: Any, **options: Any) -> Verdict | None:
        stop = StopOnRule(rule)
        fit(small_model(**options), rows, [stop], 12, validation_freq=4)
        return stop.verdict

    # The loss is there in each epoch, also where nothing is validated.
    broken = verdict_of(AnyOf((NonFinite(("loss",)), AnyOf((Patience(1000),)))), learning_rate=1e38)
    assert broken is not None
    assert broken.epoch < 4
    # A cycle of 3 epochs ends in a validated one at 12.
    reached = verdict_of(AtCycleEnds(Threshold(1e6), 3, 1))
    assert reached is not None
    assert reached.epoch == 12


def test_a_misspelt_metric_of_validation_is_an_error_in_the_first_epoch_that_is_validated(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    from stopcli import StopOnRule

    misspelt = StopOnRule(AnyOf((Patience(3), Patience(3, "val_los", mode="min"))))
    with (
        pytest.warns(UserWarning, match="epoch 1 has no val_loss"),
        pytest.raises(MetricError, match="epoch 2 has no metric 'val_los'; recorded metrics: loss, val_loss"),
    ):
        fit(small_model(), rows, [misspelt], validation_freq=2)
    best = StopOnRule(Patience(3), restore_best=BestEpoch("los", "min"))
    with pytest.raises(MetricError, match="epoch 1 has no metric 'los'"):
        fit(small_model(), rows, [best], validation_freq=2)


@pytest.mark.filterwarnings("ignore:epoch 1 has no val_loss:UserWarning")
def test_training_without_any_validation_is_an_error_unless_something_else_stopped_it(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    import keras

    from stopcli import StopOnRule

    with pytest.raises(MetricError, match="no epoch has a metric 'val_loss', because none was validated"):
        fit(small_model(), rows, [StopOnRule(Patience(3))], epochs=2, validation_data=None)
    broken = small_model(learning_rate=1e38)
    never = StopOnRule(Patience(3))
    fit(broken, rows, [keras.callbacks.TerminateOnNaN(), never], validation_freq=40)
    assert never.verdict is None
