"""Vectors in place of single variables: the updates of Keras's optimizers, and what can be a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def small_model(precision: str = "float32", **options: Any) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(1e-2), dtype=precision),
            layers.BatchNormalization(dtype=precision),
            layers.Flatten(dtype=precision),
            layers.Dropout(0.5, seed=1, dtype=precision),
            layers.Dense(5, kernel_regularizer=keras.regularizers.L2(1e-3), dtype=precision),
            layers.Dense(3, activation="softmax", dtype="float32", **options),
        ]
    )


def optimizer_of(name: str) -> Any:
    from stopcli.models.layers import make_optimizer

    return make_optimizer(name, 0.01, 0.9 if name == "sgd" else 0.0, nesterov=name == "sgd")


def batch() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.random((16, 8, 8, 3)).astype(np.float32), draw.integers(0, 3, 16).astype(np.int32)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_an_update_is_that_of_keras_within_a_millionth(name: str) -> None:
    """Of every weight and slot, for gradients of all sizes, over some updates."""
    import tensorflow as tf

    from stopcli.models.twin import with_fast_kernels
    from stopcli.training.flat_weights import FlatWeights, Pass

    model, other = small_model(), small_model()
    optimizer, reference = optimizer_of(name), optimizer_of(name)
    optimizer.build(model.trainable_variables)
    reference.build(other.trainable_variables)
    flat = FlatWeights(with_fast_kernels(model), optimizer)
    flat.load()
    draw = np.random.default_rng(1)
    for _ in range(5):
        given = [
            draw.normal(size=weight.shape, scale=10.0 ** draw.uniform(-4, 1)) for weight in other.trainable_weights
        ]
        gradient = tf.constant(np.concatenate([array.ravel() for array in given]), tf.float32)
        flat.apply(Pass(tf.zeros([]), None, gradient, flat._statistics.value()), None)
        reference.apply([tf.constant(array, tf.float32) for array in given])
    before = [weight.numpy() for weight in model.weights]
    flat.store()
    assert any(np.any(a != b.numpy()) for a, b in zip(before, model.weights, strict=True))
    for ours, theirs in zip(
        [*model.weights, *optimizer.variables], [*other.weights, *reference.variables], strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-6, err_msg=theirs.path)


def test_a_gradient_with_penalties_is_that_of_keras_within_a_millionth() -> None:
    import keras
    import tensorflow as tf

    from stopcli.models.twin import with_fast_kernels
    from stopcli.training.flat_weights import FlatWeights

    model, other = small_model(), small_model()
    optimizer = optimizer_of("sgd")
    optimizer.build(model.trainable_variables)
    flat = FlatWeights(with_fast_kernels(model), optimizer)
    flat.load()
    x, y = map(tf.constant, batch())
    loss = keras.losses.SparseCategoricalCrossentropy()
    done = flat.forward_and_back(x, lambda predictions: loss(y, predictions))
    called = with_fast_kernels(other)
    with tf.GradientTape() as tape:
        data_loss = loss(y, called(x, training=True))
        total = tf.add_n([data_loss, *called.losses])
    assert len(called.losses) > 1
    assert float(total) > float(data_loss) * (1 + 1e-4), "the penalties count"
    expected = np.concatenate([part.numpy().ravel() for part in tape.gradient(total, called.trainable_weights)])
    np.testing.assert_allclose(done.gradient, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(done.loss, total, rtol=1e-6)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_steps_by_vectors_are_steps_by_variables(name: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, averages, seed generators, slots; loss with its penalties; a momentum and a rate for each update."""
    import keras
    import tensorflow as tf

    from stopcli.training import step as step_module
    from stopcli.training.step import CLASS_ACCURACY, RowsStep

    x, y = batch()
    results = []
    for vectors in (True, False):
        model, optimizer = small_model(precision), optimizer_of(name)
        optimizer.build(model.trainable_variables)
        schedule = keras.optimizers.schedules.PolynomialDecay(0.02, 10)
        momentum = keras.optimizers.schedules.PolynomialDecay(0.9, 10, 0.5) if name == "sgd" else None
        loss = keras.losses.SparseCategoricalCrossentropy()
        step = RowsStep(model, optimizer, loss, [CLASS_ACCURACY], schedule=schedule, momentum=momentum, fused=True)
        monkeypatch.setattr(step_module, "can_be_flat", lambda *arguments, vectors=vectors: vectors)
        step.load()

        @tf.function(autograph=False)
        def train(update: Any, step: Any = step) -> Any:
            carry, loss, rate = step.train((tf.constant(x), tf.constant(y)), update, tf.constant(0), step.initial)
            return carry[0], loss, rate

        measured = [train(tf.constant(i)) for i in range(3)]
        step.store()
        variables = [*model.variables, *optimizer.variables]
        results.append(([value.numpy() for row in measured for value in row], variables))
    (ours, our_variables), (theirs, their_variables) = results
    tolerance = 1e-5 if precision == "float32" else 2e-2
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    # RMSprop and Adam divide a gradient by its own size: one of rounding alone moves a weight as far as any other. A
    # bias before a batch normalization has such a gradient.
    compared = [
        (a, b)
        for a, b in zip(our_variables, their_variables, strict=True)
        if not (a.path.endswith("bias") and "conv" in a.path) and (name == "sgd" or "_bias_" not in a.path)
    ]
    assert len(compared) > 12
    if precision == "float32":
        for a, b in compared:
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=2e-5, err_msg=b.path)
    assert {variable.dtype for variable in our_variables} <= {"float32", "uint32", "int64", "int32"}


def test_a_statistic_follows_the_batches_as_kerass_does() -> None:
    import keras
    import tensorflow as tf

    from stopcli.models.twin import with_fast_kernels
    from stopcli.training.flat_weights import FlatWeights

    x, y = batch()
    model, reference = small_model(), small_model()
    optimizer = optimizer_of("sgd")
    optimizer.build(model.trainable_variables)
    flat = FlatWeights(with_fast_kernels(model), optimizer)
    flat.load()
    loss = keras.losses.SparseCategoricalCrossentropy()
    done = flat.forward_and_back(tf.constant(x), lambda predictions: loss(y, predictions))
    flat.apply(done, None)
    flat.store()
    reference(x, training=True)
    for path in ("moving_mean", "moving_variance"):
        ours, theirs = (
            next(weight.numpy() for weight in of.weights if weight.path.endswith(path)) for of in (model, reference)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def options(**changed: Any) -> Any:
    import keras

    return keras.optimizers.SGD(0.1, **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"clipnorm": 1.0},
        {"global_clipnorm": 1.0},
        {"weight_decay": 1e-3},
        {"use_ema": True},
        {"loss_scale_factor": 2.0},
        {"gradient_accumulation_steps": 2},
    ],
)
def test_an_optimizer_that_looks_at_more_than_a_number_updates_variables(changed: dict[str, Any]) -> None:
    from stopcli.training.flat_weights import can_be_flat

    assert can_be_flat(small_model(), options())
    assert can_be_flat(small_model(), options(clipvalue=1.0))
    assert not can_be_flat(small_model(), options(**changed))


def test_other_optimizers_penalties_and_large_models_keep_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from stopcli.training import flat_weights
    from stopcli.training.flat_weights import can_be_flat

    assert not can_be_flat(small_model(), keras.optimizers.Lamb(0.1))
    assert not can_be_flat(small_model(), keras.optimizers.LossScaleOptimizer(options()))
    scheduled = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10))
    assert not can_be_flat(small_model(), scheduled)
    assert not can_be_flat(small_model(kernel_regularizer="l1"), options())
    assert not can_be_flat(small_model(kernel_constraint="max_norm"), options())
    assert not can_be_flat(small_model(activity_regularizer="l2"), options())
    monkeypatch.setattr(flat_weights, "MOST_NUMBERS", 10)
    assert not can_be_flat(small_model(), options())
