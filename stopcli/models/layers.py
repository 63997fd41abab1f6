"""Layers that recur in networks, each with its own name, by which its weights are drawn; and optimizers."""

from collections.abc import Sequence
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
        seed: the run's seed; a layer's initial weights depend only on it and on the layer's name.
        precision: Keras's name of the layers' dtype policy.
        he_normal: whether kernels are drawn from He's normal distribution, and not from Glorot's uniform one.
        l2: the factor of the kernels' squares in the loss; 0 for none.
    """

    def __init__(self, seed: int, precision: str = "float32", *, he_normal: bool = False, l2: float = 0.0) -> None:
        self._seed, self.precision, self._he, self._l2 = seed, precision, he_normal, l2

    def weights(self, name: str) -> keras.initializers.Initializer:
        seed = derive_seed(self._seed, "weights", name)
        return keras.initializers.HeNormal(seed=seed) if self._he else keras.initializers.GlorotUniform(seed=seed)

    def images(self, shape: tuple[int, int, int], mean_image: Any) -> tuple[Tensor, Tensor]:
        """The input, and the images less their mean image, as a layer that any Keras can load.

        Args:
            mean_image: float32 [height, width, channels]; None to leave the images as they are.
        """
        images = keras.Input(shape, name="images")
        if mean_image is None:
            return images, images
        # As lists, because only plain values can be written to a .keras file.
        ones = (mean_image * 0 + 1).tolist()
        return images, layers.Normalization(mean=mean_image.tolist(), variance=ones, axis=(1, 2, 3), name="mean")(
            images
        )

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

    def add(self, branches: Sequence[Tensor], name: str) -> Tensor:
        return layers.Add(dtype=self.precision, name=name)(branches)

    def concatenate(self, branches: Sequence[Tensor], name: str) -> Tensor:
        return layers.Concatenate(dtype=self.precision, name=name)(branches)

    def halve(self, x: Tensor, name: str) -> Tensor:
        """The maximum of each 3 × 3 pixels, every second one, without padding."""
        return layers.MaxPooling2D(3, strides=2, dtype=self.precision, name=name)(x)

    def average(self, x: Tensor) -> Tensor:
        """The mean of each channel."""
        return layers.GlobalAveragePooling2D(dtype=self.precision, name="pool")(x)

    def drop_out(self, x: Tensor, rate: float) -> Tensor:
        seed = derive_seed(self._seed, "dropout")
        return layers.Dropout(rate, seed=seed, dtype=self.precision, name="dropout")(x)

    def dense(self, x: Tensor, units: int, activation: str, name: str, precision: str = "") -> Tensor:
        return layers.Dense(
            units,
            activation=activation,
            kernel_initializer=self.weights(name),
            dtype=precision or self.precision,
            name=name,
        )(x)

    def classify(self, x: Tensor, classes: int) -> Tensor:
        """Softmax over the classes, in float32 whatever the other layers compute in: the 5 exponent bits of float16 cut
        small probabilities off, and the 7 fraction bits of bfloat16 round those near 1 to 1."""
        return self.dense(x, classes, "softmax", "classes", "float32")


def make_optimizer(
    name: str, learning_rate: float, momentum: float = 0.0, *, nesterov: bool = False, precision: str = "float32"
) -> keras.optimizers.Optimizer:
    """A Keras optimizer with Keras's defaults but for these settings.

    Args:
        name: `sgd`, `rmsprop` or `adam` (checked by the config).
        learning_rate: > 0.
        momentum: of `sgd`, in [0, 1); the others do without it.
        nesterov: whether that of `sgd` is Nesterov's.
        precision: as for `with_scaled_loss`.
    """
    if name == "sgd":
        return with_scaled_loss(keras.optimizers.SGD(learning_rate, momentum, nesterov, name=name), precision)
    classes = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam}
    return with_scaled_loss(classes[name](learning_rate=learning_rate, name=name), precision)


def with_scaled_loss(optimizer: keras.optimizers.Optimizer, precision: str) -> keras.optimizers.Optimizer:
    """An optimizer as a precision needs it: under float16 one that scales the loss, because gradients below 6e-8 would
    be 0 there. The exponents of bfloat16 are those of float32.

    Args:
        precision: Keras's name of the layers' dtype policy.
    """
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer
