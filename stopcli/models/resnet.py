"""ResNet v1 for small images, as Keras documents it for CIFAR-10 (`resnet_v1`; He et al. 2015, section 4.2)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from stopcli.models.layers import NamedLayers, subtract

Tensor = Any

# Of every convolution's kernel, as in Keras's example.
L2 = 1e-4
STAGE_FILTERS = (16, 32, 64)


def resnet_v1(
    depth: int,
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    *,
    mean_image: NDArray[np.float32] | None = None,
    precision: str = "float32",
) -> keras.Model:
    """ResNet v1: a convolution of 16 filters, three stages of n blocks with 16, 32 and 64, average pooling, softmax.

    Args:
        depth: 6n + 2 layers with weights, n ≥ 1: 8, 14, 20, …
        image_shape: (height, width, channels); each side at least 4, since two stages halve it.
        classes: ≥ 2.
        seed: the run's seed; the initial weights (He normal, zero biases) depend on it alone.
        mean_image: float32, `image_shape`: subtracted from every image by the model's first layer.
        precision: Keras's name of the layers' dtype policy: `float32`, `mixed_float16` or `mixed_bfloat16`.

    Returns:
        A built model from float32 images in [0, 1], [rows, height, width, channels], to class probabilities, float32
        [rows, classes]. It holds standard Keras layers alone. The pooling takes the whole of what the last stage gives:
        8 × 8 for images of 32 × 32, as published.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"received depth {depth}, expected 6n + 2: 8, 14, 20, …")
    network = NamedLayers(seed, precision, he_normal=True, l2=L2)
    images = keras.Input(image_shape, name="images")
    x = subtract(images, mean_image)
    x = network.activate(network.convolve(x, STAGE_FILTERS[0], 3, 1, "stem"), "stem")
    for stage, filters in enumerate(STAGE_FILTERS, start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(network, x, filters, stride, f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(dtype=precision, name="pool")(x)
    outputs = network.classify(x, classes)
    return keras.Model(images, outputs, name=f"resnet{depth}_v1")


def _block(network: NamedLayers, x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Two convolutions and a way around them, which is a 1 × 1 convolution where the shape changes."""
    y = network.activate(network.convolve(x, filters, 3, stride, f"{name}_1"), f"{name}_1")
    y = network.normalize(network.convolve(y, filters, 3, 1, f"{name}_2"), f"{name}_2")
    if stride != 1:
        x = network.convolve(x, filters, 1, stride, f"{name}_projection")
    return network.rectify(layers.Add(dtype=network.precision, name=f"{name}_add")([x, y]), f"{name}_out")
