"""Multilayer perceptrons."""

from __future__ import annotations

import keras

from stopcli.seeding import derive_seed


def binary_mlp(inputs: int, hidden: int, seed: int) -> keras.Model:
    """One hidden layer for a two-class problem: Dense(hidden, relu) → Dense(1, sigmoid).

    Args:
        inputs: features a row, ≥ 1.
        hidden: units of the hidden layer, ≥ 1.
        seed: the run's seed; the initial weights (Glorot uniform, zero biases) depend on it alone.

    Returns:
        A built model from float32 [rows, inputs] to the probability of class 1, float32 [rows, 1].
    """

    def weights(layer: str) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=derive_seed(seed, "weights", layer))

    # Names are given, because Keras would number the layers by how many the process has made before.
    return keras.Sequential(
        [
            keras.Input((inputs,), name="features"),
            keras.layers.Dense(hidden, activation="relu", kernel_initializer=weights("hidden"), name="hidden"),
            keras.layers.Dense(1, activation="sigmoid", kernel_initializer=weights("output"), name="output"),
        ],
        name="binary_mlp",
    )
