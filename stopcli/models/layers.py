"""Convolutional layers that recur, each with a name of its own and weights drawn by it.

The optimizers that a command line can name.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers

from stopcli.seeding import derive_seed

Tensor = Any
Padding = Literal["same", "valid"]


class NamedLayers:
    """Makes the layers of a network.

    Names are given, because Keras would number the layers by how many the process has made before.

    Args:
        seed: the run's seed; a layer's initial weights depend on it and on the layer's name alone.
        precision: Keras's name of the layers' dtype policy.
        he_normal: whether kernels are drawn from He's normal distribution, and not from Glorot's uniform one.
        l2: the factor of the kernels' squares in the loss; 0 for none.
    """

    def __init__(self, seed: int, precision: str, *, he_normal: bool, l2: float = 0.0) -> None:
        self._seed, self.precision, self._he, self._l2 = seed, precision, he_normal, l2

    def weights(self, name: str) -> keras.initializers.Initializer:
        seed = derive_seed(self._seed, "weights", name)
        return keras.initializers.HeNormal(seed=seed) if self._he else keras.initializers.GlorotUniform(seed=seed)

    def convolve(
        self, x: Tensor, filters: int, kernel: int, stride: int, name: str, padding: Padding = "same"
    ) -> Tensor:
        return layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding=padding,
            kernel_initializer=self.weights(f"{name}_conv"),
            kernel_regularizer=keras.regularizers.L2(self._l2) if self._l2 else None,
            dtype=self.precision,
            name=f"{name}_conv",
        )(x)

    def normalize(self, x: Tensor, name: str) -> Tensor:
        return layers.BatchNormalization(dtype=self.precision, name=f"{name}_norm")(x)

    def rectify(self, x: Tensor, name: str) -> Tensor:
        return layers.Activation("relu", dtype=self.precision, name=name)(x)

    def activate(self, x: Tensor, name: str) -> Tensor:
        return self.rectify(self.normalize(x, name), f"{name}_relu")

    def classify(self, x: Tensor, classes: int) -> Tensor:
        """Softmax over the classes, in float32 also under mixed precision: a half's 5 exponent bits would cut small
        probabilities off."""
        return layers.Dense(
            classes, activation="softmax", kernel_initializer=self.weights("classes"), dtype="float32", name="classes"
        )(x)


def subtract(images: Tensor, mean_image: Any) -> Tensor:
    """Images less their mean image, as a layer that any Keras can load.

    Args:
        mean_image: float32 [height, width, channels]; None to leave the images as they are.
    """
    if mean_image is None:
        return images
    # As lists, because only plain values can be written to a .keras file.
    ones = (mean_image * 0 + 1).tolist()
    return layers.Normalization(mean=mean_image.tolist(), variance=ones, axis=(1, 2, 3), name="mean")(images)


def make_optimizer(
    name: str, learning_rate: float, momentum: float = 0.0, *, nesterov: bool = False
) -> keras.optimizers.Optimizer:
    """A Keras optimizer with Keras's defaults but for these settings.

    Args:
        name: `sgd`, `rmsprop` or `adam` (checked by the config).
        learning_rate: > 0.
        momentum: of `sgd`, in [0, 1); the others do without it.
        nesterov: whether that of `sgd` is Nesterov's.
    """
    if name == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum, nesterov, name=name)
    classes = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}
    return classes[name](learning_rate=learning_rate, name=name)
