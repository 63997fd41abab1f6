"""What the benchmarks compare with: random erasing of an image in NumPy, and Keras's legacy generator with it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def erase(image: np.ndarray, draw: np.random.Generator, p: float = 0.5) -> np.ndarray:
    """Random erasing of one image in [0, 1] (Zhong et al. 2017), with the published parameters."""
    if draw.random() >= p:
        return image
    height, width, _ = image.shape
    while True:
        area = draw.uniform(0.02, 0.4) * height * width
        aspect = draw.uniform(0.3, 1 / 0.3)
        w, h = int(math.sqrt(area / aspect)), int(math.sqrt(area * aspect))
        x, y = draw.integers(0, width), draw.integers(0, height)
        if x + w <= width and y + h <= height:
            break
    image[y : y + h, x : x + w] = draw.uniform(0, 1)
    return image


def generator() -> Any:
    """Keras's `ImageDataGenerator` with erasing, shifts of up to 4 of 32 pixels filled with 0, and flips."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    draw = np.random.default_rng(0)
    return ImageDataGenerator(
        width_shift_range=4 / 32,
        height_shift_range=4 / 32,
        fill_mode="constant",
        cval=0.0,
        horizontal_flip=True,
        preprocessing_function=lambda image: erase(image, draw),
    )
