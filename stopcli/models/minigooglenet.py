"""MiniGoogLeNet (Zhang et al. 2017, arXiv 1611.03530, appendix A): inception modules for images of 32 × 32."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from stopcli.models.layers import NamedLayers, Padding, subtract
from stopcli.seeding import derive_seed

Tensor = Any

# Images smaller than this vanish on the way: each of two downsamplings takes s to (s − 3) // 2 + 1.
LEAST_SIDE = 7
# Filters of the 1 × 1 and of the 3 × 3 convolution of each inception module, stage by stage; each stage ends with a
# downsampling by the convolution's filters, but for the last.
STEM = 96
STAGES = (
    (((32, 32), (32, 48)), 80),
    (((112, 48), (96, 64), (80, 80), (48, 96)), 96),
    (((176, 160), (176, 160)), None),
)
DROPOUT = 0.5


def minigooglenet(
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    *,
    width: float = 1.0,
    mean_image: NDArray[np.float32] | None = None,
    precision: str = "float32",
) -> keras.Model:
    """MiniGoogLeNet: a convolution of 96 filters, eight inception modules with two downsamplings between them, average
    pooling, dropout of a half, softmax. For CIFAR-10 it has 1,656,250 parameters.

    A conv module is convolution, batch normalization, ReLU; an inception module is a 1 × 1 and a 3 × 3 conv module side
    by side; a downsampling is a 3 × 3 conv module of stride 2 beside a 3 × 3 max pooling of stride 2, both without
    padding. The pooling at the end takes the whole of what is left: 7 × 7 for images of 32 × 32, as published.

    Args:
        image_shape: (height, width, channels), each side at least LEAST_SIDE.
        classes: ≥ 2.
        seed: the run's seed; the initial weights (Glorot uniform, zero biases) and the dropout depend on it alone.
        width: factor of every number of filters, > 0; 1 is the published network.
        mean_image: float32, `image_shape`: subtracted from every image by the model's first layer.
        precision: Keras's name of the layers' dtype policy: `float32`, `mixed_float16` or `mixed_bfloat16`.

    Returns:
        A built model from float32 images in [0, 1], [rows, height, width, channels], to class probabilities, float32
        [rows, classes]. It holds standard Keras layers alone.
    """
    if min(image_shape[:2]) < LEAST_SIDE:
        raise ValueError(f"received images of {image_shape}, expected sides of at least {LEAST_SIDE}")
    network = _Inception(NamedLayers(seed, precision, he_normal=False), width)
    images = keras.Input(image_shape, name="images")
    x = network.module(subtract(images, mean_image), STEM, 3, "stem")
    for stage, (modules, downsample) in enumerate(STAGES, start=1):
        for number, filters in enumerate(modules, start=1):
            x = network.inception(x, filters, f"stage{stage}_inception{number}")
        if downsample is not None:
            x = network.downsample(x, downsample, f"stage{stage}_down")
    x = layers.GlobalAveragePooling2D(dtype=precision, name="pool")(x)
    x = layers.Dropout(DROPOUT, seed=derive_seed(seed, "dropout"), dtype=precision, name="dropout")(x)
    return keras.Model(images, network.layers.classify(x, classes), name="minigooglenet")


class _Inception:
    """The modules of the network, their filters scaled by a factor."""

    def __init__(self, layers_: NamedLayers, width: float) -> None:
        self.layers, self._width = layers_, width

    def module(
        self, x: Tensor, filters: int, kernel: int, name: str, stride: int = 1, padding: Padding = "same"
    ) -> Tensor:
        scaled = max(1, round(filters * self._width))
        return self.layers.activate(self.layers.convolve(x, scaled, kernel, stride, name, padding), name)

    def inception(self, x: Tensor, filters: tuple[int, int], name: str) -> Tensor:
        sides = [self.module(x, filters[0], 1, f"{name}_1x1"), self.module(x, filters[1], 3, f"{name}_3x3")]
        return layers.Concatenate(dtype=self.layers.precision, name=name)(sides)

    def downsample(self, x: Tensor, filters: int, name: str) -> Tensor:
        convolved = self.module(x, filters, 3, f"{name}_3x3", stride=2, padding="valid")
        pooled = layers.MaxPooling2D(3, strides=2, dtype=self.layers.precision, name=f"{name}_pool")(x)
        return layers.Concatenate(dtype=self.layers.precision, name=name)([convolved, pooled])
