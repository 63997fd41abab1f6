"""Multilayer perceptrons: one hidden layer, on points or on the pixels of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stopcli.models.architecture import Architecture, Settings

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray


class Mlp(Architecture):
    """A perceptron with `hidden` units."""

    title = "MLP"
    size = "hidden"
    takes_points = True

    def describe(self, settings: Settings) -> str:
        return f"MLP of {settings.hidden} units"

    def build(
        self, settings: Settings, image_shape: tuple[int, int, int], classes: int, seed: int, **options: Any
    ) -> keras.Model:
        return image_mlp(image_shape, settings.hidden, classes, seed, **options)

    def build_for_points(self, settings: Settings, features: int, seed: int, precision: str = "float32") -> keras.Model:
        return binary_mlp(features, settings.hidden, seed, precision)


def binary_mlp(inputs: int, hidden: int, seed: int, precision: str = "float32") -> keras.Model:
    """One hidden layer for a two-class problem: Dense(hidden, relu) → Dense(1, sigmoid).

    Args:
        inputs: features a row, ≥ 1.
        hidden: units of the hidden layer, ≥ 1.
        seed: the run's seed; the initial weights (Glorot uniform, zero biases) depend only on it.
        precision: as for `Architecture.build`; the sigmoid is computed in float32.

    Returns:
        A built model from float32 [rows, inputs] to the probability of class 1, float32 [rows, 1].
    """
    import keras

    from stopcli.models.layers import NamedLayers

    weights = NamedLayers(seed).weights
    hidden_options = {"kernel_initializer": weights("hidden"), "dtype": precision, "name": "hidden"}
    output_options = {"kernel_initializer": weights("output"), "dtype": "float32", "name": "output"}
    return keras.Sequential(
        [
            keras.Input((inputs,), name="features"),
            keras.layers.Dense(hidden, activation="relu", **hidden_options),
            keras.layers.Dense(1, activation="sigmoid", **output_options),
        ],
        name="binary_mlp",
    )


def image_mlp(
    image_shape: tuple[int, int, int],
    hidden: int,
    classes: int,
    seed: int,
    *,
    mean_image: NDArray[Any] | None = None,
    precision: str = "float32",
) -> keras.Model:
    """One hidden layer on the pixels of an image: Dense(hidden, relu) → Dense(classes, softmax).

    Args:
        image_shape, classes, mean_image, precision: as for `Architecture.build`.
        hidden: units of the hidden layer, ≥ 1.
        seed: the run's seed; the initial weights (Glorot uniform, zero biases) depend only on it.
    """
    import keras

    from stopcli.models.layers import NamedLayers

    network = NamedLayers(seed, precision)
    images, x = network.images(image_shape, mean_image)
    x = network.dense(keras.layers.Flatten(name="pixels")(x), hidden, "relu", "hidden")
    return keras.Model(images, network.classify(x, classes), name="image_mlp")
