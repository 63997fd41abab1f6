"""A training that no `fit` knows: an LSTM, one sequence at a time, with its weights scaled by hand.

For every sequence: predict, measure the RMSE, multiply each weight of the LSTM by (1 - scale · RMSE), then train on the
sequence. stopcli records the epochs and says when to stop.

Run it by: python by_hand.py && stopcli report last
"""

import argparse

import keras
import numpy as np

from stopcli import Patience, Recorder

STEPS, AHEAD, FEATURES = 10, 2, 2

parser = argparse.ArgumentParser()
parser.add_argument("--scale", type=float, default=0.001)
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()
keras.utils.set_random_seed(options.seed)


def waves(count, draw):
    """x [count, STEPS, FEATURES] and what follows, y [count, AHEAD, FEATURES]."""
    begin = draw.uniform(0, 12, size=(count, 1, FEATURES))
    values = np.sin(2 * np.pi * (begin + np.arange(STEPS + AHEAD)[:, None]) / 12).astype("float32")
    return values[:, :STEPS], values[:, STEPS:]


def rmse(x, y):
    return float(np.sqrt(np.mean((model.predict_on_batch(x) - y) ** 2)))


draw = np.random.default_rng(0)
x, y = waves(60, draw)
x_val, y_val = waves(60, draw)
lstm = keras.layers.LSTM(16)
layers = [keras.Input((STEPS, FEATURES)), lstm, keras.layers.Dense(AHEAD * FEATURES), keras.layers.Reshape(y.shape[1:])]
model = keras.Sequential(layers)
model.compile("adam", "mse")

rule = Patience(3, monitor="val_rmse")
settings = {"scale": options.scale}
with Recorder("runs", name="by-hand", seed=options.seed, epochs=options.epochs, settings=settings, rule=rule) as run:
    for _ in range(options.epochs):
        errors = []
        for i in draw.permutation(len(x)):
            sequence, following = x[i : i + 1], y[i : i + 1]
            errors.append(rmse(sequence, following))
            lstm.set_weights([weight * (1 - options.scale * errors[-1]) for weight in lstm.get_weights()])
            model.train_on_batch(sequence, following)
        stop = run.epoch(rmse=np.mean(errors), val_rmse=rmse(x_val, y_val))
        if run.is_best:
            model.save(run.path / "best.keras")
        if stop:
            break
print(run.verdict, run.best_epoch)
