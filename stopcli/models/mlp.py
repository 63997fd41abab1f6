"""Multilayer perceptrons."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from stopcli.models.layers import NamedLayers, subtract
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


def image_mlp(
    image_shape: tuple[int, int, int],
    hidden: int,
    classes: int,
    seed: int,
    *,
    mean_image: NDArray[np.float32] | None = None,
    precision: str = "float32",
) -> keras.Model:
    """One hidden layer on the pixels of an image: Dense(hidden, relu) → Dense(classes, softmax).

    Args:
        image_shape: (height, width, channels).
        hidden: units of the hidden layer, ≥ 1.
        classes: ≥ 2.
        seed: the run's seed; the initial weights (Glorot uniform, zero biases) depend on it alone.
        mean_image: float32, `image_shape`: subtracted from every image by the model's first layer.
        precision: Keras's name of the hidden layer's dtype policy.

    Returns:
        A built model from float32 images in [0, 1], [rows, height, width, channels], to class probabilities, float32
        [rows, classes].
    """
    network = NamedLayers(seed, precision, he_normal=False)
    images = keras.Input(image_shape, name="images")
    x = keras.layers.Flatten(name="pixels")(subtract(images, mean_image))
    x = keras.layers.Dense(
        hidden, activation="relu", kernel_initializer=network.weights("hidden"), dtype=precision, name="hidden"
    )(x)
    return keras.Model(images, network.classify(x, classes), name="image_mlp")
