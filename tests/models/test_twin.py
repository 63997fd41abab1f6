"""Twins of models: the numbers of Keras's own layers, from the same variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

PRECISIONS = ["mixed_bfloat16", "mixed_float16"]


@pytest.fixture(autouse=True)
def no_short_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies no numbers of 16 bits, wherever this runs."""
    from stopcli.models import wide_kernels

    monkeypatch.setattr(wide_kernels, "computes_in", lambda precision: precision == "float32")


def small_model(precision: str, **options: Any) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 5, 3)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", dtype=precision, name="conv", **options),
            layers.Flatten(dtype=precision),
            layers.Dense(3, dtype=precision, name="dense", **options),
            layers.Dense(2, activation="softmax", dtype="float32", name="classes"),
        ]
    )


def twin_of(model: Any) -> Any:
    from stopcli.models.twin import with_wide_kernels

    return with_wide_kernels(model)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 6, 5, 3)).astype(np.float32)


def gradients_of(model: Any, x: np.ndarray, weights: Any) -> list[np.ndarray]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True)[:, 0] - 1))
    return [gradient.numpy() for gradient in tape.gradient(loss, weights)]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_layers_of_16_bits_are_computed_by_wide_kernels(precision: str, *, use_bias: bool) -> None:
    """Predictions and gradients are those of Keras's layers but for the order in which products are rounded."""
    import tensorflow as tf

    model = small_model(precision, use_bias=use_bias)
    twin = twin_of(model)
    assert [layer.name for layer in twin.layers if layer.name.endswith("_wide")] == ["conv_wide", "dense_wide"]
    assert [id(weight) for weight in twin.trainable_weights] == [id(weight) for weight in model.trainable_weights]
    x = rows(8)
    assert twin.layers[0](x).dtype == tf.as_dtype(precision.removeprefix("mixed_"))
    short = float(np.finfo(np.float16).eps if precision == "mixed_float16" else 2**-7)
    np.testing.assert_allclose(twin(x), model(x), atol=2 * short)
    for ours, theirs in zip(
        gradients_of(twin, x, model.trainable_weights), gradients_of(model, x, model.trainable_weights), strict=True
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=4 * short * np.abs(theirs).max())


def test_products_of_rounded_numbers_are_added_up_in_float32_and_rounded_once() -> None:
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(1, dtype="mixed_bfloat16")])
    kernel, bias = model.layers[0].weights
    x = np.random.default_rng(1).random((4, 1000)).astype(np.float32)

    def rounded(values: Any) -> np.ndarray:
        return tf.cast(tf.cast(values, tf.bfloat16), tf.float32).numpy().astype(np.float64)

    exact = rounded(x) @ rounded(kernel.value) + rounded(bias.value)
    np.testing.assert_array_equal(tf.cast(twin_of(model)(x), tf.float32), rounded(exact.astype(np.float32)))


def test_a_model_of_float32_or_with_a_call_of_its_own_is_its_own_twin() -> None:
    import keras

    model = small_model("float32")
    assert twin_of(model) is model
    inputs = keras.Input((4,))
    outputs = keras.ops.relu(keras.layers.Dense(2, dtype="mixed_bfloat16")(inputs))
    model = keras.Model(inputs, outputs)
    assert twin_of(model) is model


def test_layers_stay_where_the_processor_multiplies_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    from stopcli.models import wide_kernels

    monkeypatch.setattr(wide_kernels, "computes_in", lambda precision: True)
    model = small_model("mixed_bfloat16")
    assert twin_of(model) is model


def test_a_layer_that_is_called_twice_stays() -> None:
    import keras

    layer = keras.layers.Dense(4, dtype="mixed_bfloat16")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(layer(inputs)))
    assert twin_of(model) is model


def test_a_mask_goes_through_a_layer_that_is_replaced() -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(5, 3, mask_zero=True, dtype="mixed_bfloat16"),
            layers.Dense(4, dtype="mixed_bfloat16"),
            layers.GlobalAveragePooling1D(dtype="float32"),
        ]
    )
    twin = twin_of(model)
    assert twin is not model
    words = np.array([[1, 2, 0, 0], [3, 0, 0, 0]], np.int32)
    # A mean over the words that are there, without the padding.
    np.testing.assert_allclose(twin(words).numpy(), model(words).numpy(), rtol=1e-2)


def test_a_model_with_a_loss_and_a_metric_of_its_own_has_a_twin() -> None:
    """Keras cannot make them from a config; and the model is compiled afterwards, as it was."""
    import keras

    def distance(y: Any, predictions: Any) -> Any:
        return keras.ops.mean(keras.ops.square(y - predictions))

    model = small_model("mixed_bfloat16")
    model.compile(keras.optimizers.SGD(0.1), loss=distance, metrics=[lambda y, predictions: distance(y, predictions)])
    twin = twin_of(model)
    assert twin is not model
    assert (model.compiled, twin.compiled) == (True, False)


def test_a_resnet_in_bfloat16_loses_the_same_within_2_percent() -> None:
    """Against float32, on the same batch and weights; and each statistic of the batch is the same within 1 %."""
    import keras
    import tensorflow as tf

    from stopcli.models.resnet import resnet_v1
    from stopcli.models.twin import with_fast_kernels

    draw = np.random.default_rng(0)
    x, y = draw.random((32, 16, 16, 3)).astype(np.float32), draw.integers(0, 10, 32)
    losses, statistics = [], []
    for policy in ("float32", "mixed_bfloat16"):
        model = resnet_v1(8, (16, 16, 3), 10, 0, precision=policy)
        predictions = with_fast_kernels(model)(x, training=True)
        losses.append(float(keras.losses.SparseCategoricalCrossentropy()(y, predictions)))
        moving = [weight for weight in model.non_trainable_weights if "moving" in weight.path]
        # Without what they were before, of which 99 % is left: a mean of 0 and a variance of 1.
        statistics.append([weight.numpy() - 0.99 * ("variance" in weight.path) for weight in moving])
        assert {weight.dtype for weight in model.weights} == {"float32"}
        assert predictions.dtype == tf.float32
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    for reference, measured in zip(*statistics, strict=True):
        assert np.linalg.norm(measured - reference) <= 1e-2 * np.linalg.norm(reference)
