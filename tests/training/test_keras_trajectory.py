"""The compiled loop against Keras's own `fit`, from the same initial weights and with the same batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples, Splits
from stopcli.data.toy import moons, split_moons
from stopcli.seeding import derive_seed

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def parts() -> Splits:
    return split_moons(moons(100, 0.2, 1), 30, "test", 0.5)


def batches_of(parts: Splits, batch_size: int, seed: int, epochs: int) -> Any:
    """A tf.data set with the batches of all epochs in the loop's order."""
    import tensorflow as tf

    from stopcli.training.step import epoch_order

    rows = parts.train.count
    if batch_size >= rows:
        orders = np.tile(np.arange(rows, dtype=np.int32), (epochs, 1))
    else:
        order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)
        orders = np.stack([epoch_order(order_seed, tf.constant(e), rows).numpy() for e in range(1, epochs + 1)])
    x, y = tf.constant(parts.train.x), tf.constant(parts.train.y)
    data = tf.data.Dataset.from_tensor_slices(orders)
    data = data.flat_map(lambda order: tf.data.Dataset.from_tensor_slices(order).batch(batch_size))
    return data.map(lambda indices: (tf.gather(x, indices), tf.gather(y, indices)))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [32, 8], ids=["one batch", "four batches, the last smaller"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
# Keras shuffles only arrays, and says so when it is given a data set.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed, but will be ignored:UserWarning")
def test_the_trajectory_is_that_of_fit(parts: Splits, optimizer: str, batch_size: int) -> None:
    import keras
    import tensorflow as tf

    from stopcli.models.layers import make_optimizer
    from stopcli.models.mlp import binary_mlp
    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.step import BINARY_ACCURACY, RowsStep

    seed, epochs = 5, 300
    # Keras's validation takes most of an epoch's time: every epoch in one of the cases, and every fifth in the others.
    every = 1 if (optimizer, batch_size) == ("adam", 8) else 5
    loss = keras.losses.BinaryCrossentropy()
    # SGD at 0.001 hardly moves in 300 epochs; at 0.05 it does.
    learning_rate = 0.05 if optimizer == "sgd" else 0.001

    model = binary_mlp(2, 500, seed)
    loop = EpochsLoop(
        RowsStep(model, make_optimizer(optimizer, learning_rate), loss, [BINARY_ACCURACY]),
        train=parts.train, evaluated=parts.evaluated(), batch_size=batch_size, seed=seed,
    )  # fmt: skip
    ours = dict(zip(loop.columns, loop.run(1, epochs).metrics.T, strict=True))

    reference = binary_mlp(2, 500, seed)
    steps = -(-parts.train.count // batch_size)
    # An epoch's steps in one of Keras's calls: the same steps, in half the time.
    reference.compile(
        make_optimizer(optimizer, learning_rate), loss=loss, metrics=["accuracy"], steps_per_execution=steps
    )
    history = reference.fit(
        batches_of(parts, batch_size, seed, epochs),
        steps_per_epoch=steps,
        epochs=epochs,
        validation_data=tf.data.Dataset.from_tensors((parts.test.x, parts.test.y)),
        validation_freq=every,
        verbose=0,
    ).history
    for name in ("val_loss", "val_accuracy"):
        ours[name] = ours[name][every - 1 :: every]

    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(ours[name], history[name], rtol=1e-3, err_msg=name)
    assert ours["val_loss"][-1] < 0.8 * ours["val_loss"][0], "the run should have learnt something"
    # An output that lies within rounding of one half may fall on either side, so some accuracies differ by one row.
    for name, rows in (("accuracy", parts.train.count), ("val_accuracy", parts.test.count)):
        differences = np.abs(ours[name] - np.array(history[name]))
        assert differences.max() <= 1.001 / rows, name
        assert np.mean(differences > 1e-6) < 0.05, name
    # As a whole: a unit that is off for every row moves by rounding alone, which says nothing.
    for ours_now, keras_s in zip(model.get_weights(), reference.get_weights(), strict=True):
        assert np.linalg.norm(ours_now - keras_s) <= 5e-3 * np.linalg.norm(keras_s)


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed, but will be ignored:UserWarning")
def test_batch_statistics_regularization_schedule_and_rmse_are_keras_s(parts: Splits) -> None:
    """Any model: batch statistics, L2 and a learning-rate schedule, for a regression watched by RMSE."""
    import keras
    import tensorflow as tf

    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.step import RMSE, RowsStep

    def build() -> Any:
        init = keras.initializers.GlorotUniform(seed=1)
        l2 = keras.regularizers.L2(0.01)
        return keras.Sequential(
            [
                keras.Input((2,)),
                # Without a bias: before a normalization its gradient is rounding alone, of which Adam makes steps.
                keras.layers.Dense(16, use_bias=False, kernel_initializer=init, kernel_regularizer=l2),
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.Activation("tanh"),
                keras.layers.Dense(1, kernel_initializer=init, kernel_regularizer=l2),
            ]
        )

    def optimizer() -> Any:
        schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
        return keras.optimizers.Adam(schedule)

    targets = Splits(
        *(Examples(rows.x, rows.x[:, :1] * rows.x[:, 1:]) for rows in (parts.train, parts.validation, parts.test))
    )
    epochs = 40
    model = build()
    loop = EpochsLoop(
        RowsStep(model, optimizer(), keras.losses.MeanSquaredError(), [RMSE]),
        train=targets.train, evaluated={"val": targets.test}, batch_size=8, seed=2,
    )  # fmt: skip
    ours = dict(zip(loop.columns, loop.run(1, epochs).metrics.T, strict=True))

    reference = build()
    reference.compile(optimizer(), loss="mse", metrics=[keras.metrics.RootMeanSquaredError(name="rmse")])
    history = reference.fit(
        batches_of(targets, 8, 2, epochs),
        steps_per_epoch=4,
        epochs=epochs,
        validation_data=tf.data.Dataset.from_tensors((targets.test.x, targets.test.y)),
        verbose=0,
    ).history
    for name in ("loss", "rmse", "val_loss", "val_rmse"):
        np.testing.assert_allclose(ours[name], history[name], rtol=1e-3, err_msg=name)
    for ours_now, keras_s in zip(model.variables, reference.variables, strict=True):
        np.testing.assert_allclose(ours_now.numpy(), keras_s.numpy(), rtol=2e-3, atol=2e-4)
    # The rate of each epoch's last update: steps 3, 7, 11, … of the schedule.
    expected = [0.01 * 0.9 ** ((4 * epoch - 1) / 10) for epoch in range(1, epochs + 1)]
    np.testing.assert_allclose(ours["learning_rate"], expected, rtol=1e-5)
