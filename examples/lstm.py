"""Sequences: an LSTM reads 20 steps of 4 waves and predicts the next 5.

Run it by: stopcli fit lstm.py --patience 10 --epochs 200
"""

import keras
import numpy as np


def data(*, sequences=1000, steps=20, ahead=5):
    """Waves of different lengths that begin anywhere, with noise on what is read: x [n, steps, 4], y [n, ahead, 4]."""
    draw = np.random.default_rng(0)
    length = draw.uniform(8, 24, size=(sequences, 1, 4))
    begin = draw.uniform(0, 24, size=(sequences, 1, 4))
    time = np.arange(steps + ahead).reshape(1, -1, 1)
    waves = np.sin(2 * np.pi * (begin + time) / length).astype("float32")
    x, y = waves[:, :steps], waves[:, steps:]
    return x + draw.normal(0, 0.1, x.shape).astype("float32"), y


def build(x, y, *, units=32, dropout=0.0, learning_rate=0.01):
    ahead, features = y.shape[1:]
    layers = [
        keras.Input(x.shape[1:]),
        keras.layers.LSTM(units, dropout=dropout),
        keras.layers.Dense(ahead * features),
        keras.layers.Reshape((ahead, features)),
    ]
    model = keras.Sequential(layers)
    rmse = keras.metrics.RootMeanSquaredError(name="rmse")
    model.compile(keras.optimizers.Adam(learning_rate), "mse", metrics=[rmse])
    return model
