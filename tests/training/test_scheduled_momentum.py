"""A momentum that moves in the compiled loop: the same as Keras's SGD with its momentum set before each update."""

from __future__ import annotations

import numpy as np
import pytest

from stopcli.data.dataset import Examples

pytestmark = pytest.mark.usefixtures("tensorflow")

MOMENTA = [0.9, 0.85, 0.8, 0.85, 0.9, 0.875, 0.85, 0.825]


@pytest.mark.parametrize("nesterov", [False, True])
def test_it_is_keras_s_sgd_with_its_momentum_set_before_each_update(nesterov: bool) -> None:
    import keras
    import tensorflow as tf

    from stopcli.training.step import BINARY_ACCURACY, RowsStep
    from stopcli.training.steps_loop import StepsLoop

    draw = np.random.default_rng(0)
    train = Examples(draw.normal(size=(16, 3)).astype(np.float32), draw.integers(0, 2, (16, 1)).astype(np.float32))

    def make() -> tuple[keras.Model, keras.optimizers.SGD]:
        initializer = keras.initializers.GlorotUniform(seed=1)
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid", kernel_initializer=initializer)]
        )
        return model, keras.optimizers.SGD(0.5, momentum=0.9, nesterov=nesterov)

    loss = keras.losses.BinaryCrossentropy()
    model, optimizer = make()
    loop = StepsLoop(
        RowsStep(
            model,
            optimizer,
            loss,
            [BINARY_ACCURACY],
            momentum=lambda update: tf.gather(tf.constant(MOMENTA), update),
        ),
        train=train,
        batch_size=16,
    )
    for epoch in range(1, len(MOMENTA) + 1):
        assert loop.advance(epoch, 1) is not None
    assert optimizer.momentum == 0.9
    assert optimizer.get_config()["momentum"] == 0.9

    theirs, sgd = make()
    sgd.build(theirs.trainable_variables)
    for momentum in MOMENTA:
        sgd.momentum = momentum
        with tf.GradientTape() as tape:
            value = loss(train.y, theirs(train.x, training=True))
        sgd.apply(tape.gradient(value, theirs.trainable_weights), theirs.trainable_weights)
    for a, b in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    fixed, _ = make()
    assert not np.allclose(model.get_weights()[0], fixed.get_weights()[0])
