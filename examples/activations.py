"""What an activation does: the same network with relu, prelu, sigmoid, or none.

Run it by: stopcli fit activations.py --vary activation=relu,prelu,sigmoid,linear --patience 50 --epochs 2000
"""

import keras
import numpy as np
import tensorflow as tf


def data(*, rows=500):
    """A curve with noise: y = 2x² + 0.5x + 10."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 1)).astype("float32")
    return x, 2 * x**2 + 0.5 * x + 10 + draw.normal(0, 0.5, x.shape).astype("float32")


def build(x, y, *, activation="relu", units=16, learning_rate=0.01):
    # PReLU learns its slope below zero, so it is a layer of its own.
    function = keras.layers.PReLU() if activation == "prelu" else keras.layers.Activation(activation)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(units), function, keras.layers.Dense(1)])
    rmse = keras.metrics.RootMeanSquaredError(name="rmse")
    model.compile(keras.optimizers.Adam(learning_rate), "mse", metrics=[rmse])
    return model


def after(model, splits, folder, *, activation="relu"):
    """Draw the activation with its derivative, and what the network made of it."""
    from matplotlib.figure import Figure

    function = model.layers[1]
    z = tf.linspace(-4.0, 4.0, 400)  # without 0, where relu has no derivative
    # PReLU has a slope for each unit; the first is drawn.
    many = tf.tile(z[:, None], [1, function.output.shape[-1]])
    with tf.GradientTape() as tape:
        tape.watch(many)
        values = function(many)
    slopes = tape.gradient(values, many)
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    left.plot(z, values[:, 0], label=activation)
    left.plot(z, slopes[:, 0], "--", label="derivative")
    left.legend()
    left.set_title("activation")
    x, y = splits.train.x, splits.train.y
    right.plot(x, y, ".", color="lightgray", label="training rows")
    grid = np.linspace(x.min(), x.max(), 200, dtype="float32")[:, None]
    right.plot(grid, model(grid), label="network")
    right.legend()
    right.set_title("y = 2x² + 0.5x + 10")
    figure.savefig(folder / f"{activation}.png", dpi=120)
