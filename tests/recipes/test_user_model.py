"""What a compiled model of the user's is refused for, in sentences to its author."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples, Splits
from stopcli.errors import ConfigError, RequestError
from stopcli.recipes.user_model import check_model, headline_among

pytestmark = pytest.mark.usefixtures("tensorflow")

ROWS = 12
X = np.random.default_rng(0).random((ROWS, 4), dtype=np.float32)
COLUMN = X.sum(axis=1, keepdims=True)
CLASSES = np.arange(ROWS) % 3


@dataclass(frozen=True)
class Settings:
    file: str = "/somewhere/net.py"
    metric: str = ""
    mode: str = "auto"


def parts_of(y: Any, x: Any = X) -> Splits:
    rows = Examples(x, y)
    return Splits(rows.take(0, 8), rows.take(8, 10), rows.take(10, 12))


def dense(outputs: int = 1, activation: Any = None, loss: Any = "mse", metrics: Any = None, **options: Any) -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(outputs, activation)])
    model.compile("adam", loss, metrics=metrics, **options)
    return model


def two_outputs(**options: Any) -> Any:
    import keras

    rows = keras.Input((4,))
    outputs = {name: keras.layers.Dense(1, name=name)(rows) for name in ("price", "size")}
    model = keras.Model(rows, outputs)
    model.compile("adam", "mse", **options)
    return model


def subclass(of: Any = None, **methods: Any) -> Any:
    import keras

    def call(self: Any, x: Any) -> Any:
        return self.head(x)

    model = type("Net", (keras.Model,), {"call": call, **methods})()
    model.head = keras.layers.Dense(1)
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize(
    ("make", "y", "metrics", "headline"),
    [
        (lambda: dense(metrics=["mae", "mse"]), COLUMN, ("mae", "mse"), "mae"),
        # Keras gives either the other's last axis.
        (lambda: dense(), COLUMN[:, 0], (), "loss"),
        (
            lambda: dense(3, "softmax", "sparse_categorical_crossentropy", ["accuracy"]),
            CLASSES,
            ("accuracy",),
            "accuracy",
        ),
        (lambda: dense(3, "softmax", "sparse_categorical_crossentropy"), CLASSES[:, None], (), "loss"),
        (lambda: dense(3, "softmax", "crossentropy"), np.eye(3, dtype="float32")[CLASSES], (), "loss"),
        (lambda: dense(1, "sigmoid", "binary_crossentropy", ["AUC"]), CLASSES > 1, ("AUC",), "AUC"),
        (
            lambda: two_outputs(metrics={"price": ["mae"]}),
            {"price": COLUMN, "size": COLUMN},
            ("price_mae", "price_loss", "size_loss"),
            "price_mae",
        ),
        (lambda: two_outputs(), (COLUMN, COLUMN), ("price_loss", "size_loss"), "loss"),
        (lambda: subclass(), COLUMN, (), "loss"),
    ],
)
def test_a_model_says_what_it_measures(make: Callable[[], Any], y: Any, metrics: Any, headline: str) -> None:
    facts = check_model(make(), parts_of(y), Settings())
    assert facts.metrics == metrics
    assert facts.headline.name == headline


def test_a_model_is_as_it_was_after_its_check() -> None:
    model = dense(metrics=["mae"])
    check_model(model, parts_of(COLUMN), Settings())
    before = [variable.numpy() for variable in model.variables]
    check_model(model, parts_of(COLUMN), Settings())
    assert all(np.array_equal(variable.numpy(), value) for variable, value in zip(model.variables, before, strict=True))
    # It still has its own loss, and nothing is summed up.
    np.testing.assert_allclose(
        model.evaluate(X, COLUMN, verbose=0, return_dict=True)["loss"], np.mean((model(X) - COLUMN) ** 2), rtol=1e-5
    )


def with_twins() -> Any:
    import keras

    return dense(metrics=[keras.metrics.MeanSquaredError(name="error"), keras.metrics.MeanAbsoluteError(name="error")])


def with_shared_metric() -> Any:
    import keras

    metric = keras.metrics.MeanAbsoluteError(name="mae")
    return two_outputs(metrics={"price": [metric], "size": [metric]})


def with_f1() -> Any:
    import keras

    return dense(3, "softmax", "categorical_crossentropy", [keras.metrics.F1Score()])


def named(name: str) -> Any:
    import keras

    return dense(metrics=[keras.metrics.MeanAbsoluteError(name=name)])


def averaged() -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(use_ema=True), "mse")
    return model


def with_two_optimizers() -> Any:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.MultiOptimizer([("default", "adam")]), "mse")
    return model


def averaged_and_scaled() -> Any:
    import keras

    model = averaged()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(use_ema=True)), "mse")
    return model


def with_own_metric() -> Any:
    import keras

    model = subclass()
    model.own = keras.metrics.Mean(name="own")
    return model


def of_two_dtypes() -> Any:
    """Keras's `fit` fails on it too."""
    import keras

    hidden = keras.layers.Dense(4, dtype="mixed_bfloat16", activity_regularizer="l2")
    model = keras.Sequential([hidden, keras.layers.Dense(1, dtype="float32")])
    model.compile("sgd", "mse")
    return model


def uncompiled() -> Any:
    import keras

    return keras.Sequential([keras.layers.Dense(1)])


def train_step(self: Any, data: Any) -> Any:
    return {}


def failing_call(self: Any, x: Any) -> Any:
    return self.head(x) @ x


@pytest.mark.parametrize(
    ("make", "y", "message"),
    [
        (lambda: None, COLUMN, r"net\.py: build returned nothing \(None\)"),
        (lambda: 3, COLUMN, "build returned an int, expected a compiled keras.Model"),
        (uncompiled, COLUMN, "a model that is not compiled"),
        (lambda: dense(loss=None), COLUMN, "compiled without a loss"),
        (lambda: subclass(train_step=train_step), COLUMN, "Net has its own train_step"),
        (lambda: subclass(compute_loss=train_step), COLUMN, "Net has its own compute_loss"),
        (lambda: subclass(fit=train_step), COLUMN, "Net has its own fit"),
        (
            lambda: subclass(call=failing_call),
            COLUMN,
            r"cannot be called on 3 training rows: Matrix size-incompatible.*\n  line \d+, in failing_call",
        ),
        (lambda: dense(run_eagerly=True), COLUMN, "run_eagerly=True"),
        (lambda: dense(steps_per_execution=8), COLUMN, "steps_per_execution=8, expected 1"),
        (of_two_dtypes, COLUMN, "a layer adds a loss in bfloat16, which Keras cannot add to the model's in float32"),
        (with_two_optimizers, COLUMN, "its optimizer, MultiOptimizer, has no single learning rate"),
        (averaged, COLUMN, r"its optimizer keeps a moving average of the weights \(use_ema\)"),
        (averaged_and_scaled, COLUMN, r"its optimizer keeps a moving average of the weights \(use_ema\)"),
        (with_own_metric, COLUMN, "the model has metrics that it is not compiled with: own"),
        (lambda: dense(10), COLUMN, r"targets: shape \(n, 1\) against outputs \(n, 10\), which Keras would repeat"),
        (lambda: dense(10), COLUMN[:, 0], r"shape \(n,\) against outputs \(n, 10\)"),
        (lambda: dense(1), np.tile(COLUMN, 10), r"shape \(n, 10\) against outputs \(n, 1\)"),
        (lambda: dense(1, loss="binary_crossentropy"), CLASSES, "from 0 to 2, where binary_crossentropy takes 0 to 1"),
        (
            lambda: dense(2, loss="sparse_categorical_crossentropy"),
            CLASSES,
            "from 0 to 2, where the model has 2 outputs",
        ),
        (lambda: dense(3, loss="sparse_categorical_crossentropy"), CLASSES - 1, "class indices from -1 to 1"),
        (lambda: dense(3, loss="sparse_categorical_crossentropy"), CLASSES + 0.0, None),
        (lambda: dense(3, loss="sparse_categorical_crossentropy"), CLASSES / 2, "no whole numbers"),
        (lambda: dense(3, loss="sparse_categorical_crossentropy"), np.eye(3)[CLASSES], "one number for each class"),
        (
            lambda: dense(3, loss="categorical_crossentropy"),
            CLASSES,
            "class indices, .* takes one number for each class",
        ),
        (lambda: dense(1, loss="categorical_crossentropy"), COLUMN, "of a single output is always 0"),
        (lambda: two_outputs(), COLUMN, "y has 1 array, and the model 2 outputs"),
        (lambda: dense(), (COLUMN, COLUMN), "y has 2 arrays, and the model 1 output"),
        (lambda: two_outputs(), {"price": COLUMN, "sise": COLUMN}, "y has targets for sise, where .* are price, size"),
        (with_twins, COLUMN, "two metrics are called error"),
        (with_shared_metric, {"price": COLUMN, "size": COLUMN}, "one metric, mae, is compiled for two outputs"),
        (with_f1, np.eye(3, dtype="float32")[CLASSES], r"f1_score is an array \[3\], expected a single number"),
        (lambda: named("loss"), COLUMN, "called loss, as a column that stopcli writes"),
        (lambda: named("val_error"), COLUMN, "called val_error, which says of which rows it is"),
        (lambda: named("an error"), COLUMN, "without spaces and commas"),
    ],
)
def test_what_cannot_be_trained_as_it_is_compiled_is_refused(make: Any, y: Any, message: str | None) -> None:
    settings = Settings(file=__file__) if message and "line" in message else Settings()
    if message is None:
        check_model(make(), parts_of(y), settings)
        return
    with pytest.raises(RequestError, match=message):
        check_model(make(), parts_of(y), settings)


def test_a_metric_that_takes_no_short_outputs_is_refused_with_what_to_do() -> None:
    import keras

    def classes(dtype: str) -> Any:
        model = keras.Sequential([keras.layers.Dense(3, "softmax", dtype=dtype)])
        model.compile(
            "sgd", "sparse_categorical_crossentropy", metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2)]
        )
        return model

    with pytest.raises(RequestError, match="loss and metrics cannot be computed") as caught:
        check_model(classes("mixed_bfloat16"), parts_of(CLASSES), Settings())
    assert caught.value.hint.startswith('A last layer with dtype="float32"')

    def wrong(y: Any, predicted: Any) -> Any:
        raise ValueError("no number")

    model = classes("mixed_bfloat16")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[wrong])
    with pytest.raises(RequestError, match="no number") as caught:
        check_model(model, parts_of(CLASSES), Settings())
    assert caught.value.hint == ""
    check_model(classes("float32"), parts_of(CLASSES), Settings())


def test_targets_of_every_part_are_checked() -> None:
    y = CLASSES.copy()
    y[-1] = 7
    with pytest.raises(RequestError, match="the test targets: class indices from 1 to 7"):
        check_model(dense(3, loss="sparse_categorical_crossentropy"), parts_of(y), Settings())


def test_accuracy_of_logits_is_pointed_out() -> None:
    import keras

    model = dense(1, None, keras.losses.BinaryCrossentropy(from_logits=True), ["accuracy"])
    facts = check_model(model, parts_of(CLASSES > 1), Settings())
    assert facts.notes == ("accuracy compares the model's outputs with 0.5, and its loss takes them as logits",)


@pytest.mark.parametrize("name", ["CategoricalGeneralizedCrossEntropy", "Circle"])
def test_keras_s_other_losses_of_class_indices_are_taken(name: str) -> None:
    import keras

    loss = getattr(keras.losses, name)()
    assert check_model(dense(3, "softmax", loss), parts_of(CLASSES), Settings()).metrics == ()


def test_a_loss_of_pairs_of_rows_may_need_more_of_them_than_a_check_has() -> None:
    import tensorflow as tf

    def of_halves(y: Any, predicted: Any) -> Any:
        first, second = tf.split(predicted, 2)
        return tf.reduce_mean((first - second) ** 2)

    assert check_model(dense(loss=of_halves), parts_of(COLUMN), Settings()).metrics == ()


def test_a_check_draws_nothing() -> None:
    import keras

    model = keras.Sequential([keras.Input((4, 1)), keras.layers.LSTM(2, dropout=0.5), keras.layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=True)
    before = [variable.numpy() for variable in model.variables]
    facts = check_model(model, parts_of(COLUMN, X[..., None]), Settings())
    assert all(np.array_equal(variable.numpy(), value) for variable, value in zip(model.variables, before, strict=True))
    assert "jit_compile=True has no effect" in facts.notes[0]


def test_the_metric_that_counts() -> None:
    names = ("novelty", "mae", "auc")
    assert headline_among(names, Settings()).name == "mae"
    assert headline_among(names, Settings(metric="val_auc")).direction == "max"
    assert headline_among(names, Settings(metric="loss")).name == "loss"
    assert headline_among(("novelty",), Settings()).name == "loss"
    assert headline_among(names, Settings(metric="novelty", mode="max")).kind == "score"
    with pytest.raises(ConfigError, match="the name 'novelty' does not tell which is better"):
        headline_among(names, Settings(metric="novelty"))
    with pytest.raises(ConfigError, match="expected one that the model is compiled with: loss, novelty, mae, auc"):
        headline_among(names, Settings(metric="rmse"))


def test_a_check_does_not_draw_the_noise_of_training() -> None:
    """A recurrent layer draws that of its dropout also where it does not use it."""
    import keras

    model = keras.Sequential([keras.layers.SimpleRNN(2, dropout=0.5), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = [variable.numpy() for variable in model.variables]
    assert before
    check_model(model, parts_of(COLUMN, X[:, :, np.newaxis]), Settings())
    after = {variable.path: variable.numpy() for variable in model.variables if "seed" in variable.path}
    np.testing.assert_array_equal(list(after.values()), before)
