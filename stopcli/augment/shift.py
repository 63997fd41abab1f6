"""Shifting and flipping images (He et al. 2015, section 4.2: the simple augmentation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from stopcli.augment.image_layer import ImageLayer
from stopcli.augment.ranges import check_whole
from stopcli.augment.streams import stream, uniform, whole_numbers

Tensor = Any


def draw_shifts(seed: Tensor, count: Any, pixels: int) -> tuple[Tensor, Tensor]:
    """Shifts down and to the right, each uniform in −pixels … pixels, int32 [count]."""
    down = whole_numbers([count], stream(seed, "shifts down"), -pixels, pixels + 1)
    return down, whole_numbers([count], stream(seed, "shifts right"), -pixels, pixels + 1)


def draw_flips(seed: Tensor, count: Any, p: float) -> Tensor:
    """Whether each image is flipped, bool [count]."""
    return uniform([count], stream(seed, "flips")) < p


def shift_and_flip(images: Tensor, down: Tensor, right: Tensor, flipped: Tensor) -> Tensor:
    """Images moved, with 0 where nothing comes from, then mirrored left to right where `flipped` says so.

    Every pixel of the result is fetched from its place in one gather, which is faster than to pad, cut and reverse.

    Args:
        images: [images, height, width, channels], any dtype.
        down, right: int32 [images]. flipped: bool [images].
    """
    shape = tf.shape(images)
    count, height, width, channels = shape[0], shape[1], shape[2], shape[3]
    rows = tf.range(height)[None] - down[:, None]
    columns = tf.range(width)[None]
    columns = tf.where(flipped[:, None], width - 1 - columns, columns) - right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    places = (tf.range(count)[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    # Behind the last pixel lies one of zeros, for what comes from outside.
    pixels = tf.concat([tf.reshape(images, [-1, channels]), tf.zeros([1, channels], images.dtype)], axis=0)
    moved = tf.gather(pixels, tf.where(inside, places, count * height * width))
    return tf.ensure_shape(moved, images.shape)


@dataclass(frozen=True)
class ShiftAndFlip:
    """The simple augmentation: a shift of up to `pixels` both ways, then a flip with probability `p`."""

    pixels: int = 4
    p: float = 0.5

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        count = tf.shape(images)[0]
        return shift_and_flip(images, *draw_shifts(seed, count, self.pixels), draw_flips(seed, count, self.p))


@keras.saving.register_keras_serializable(package="stopcli")
class RandomShift(ImageLayer):
    """Moves images up to some pixels both ways, in training; what comes from outside is 0.

    Args:
        pixels: at most, ≥ 0.
        seed: of the drawing; None for another one each time.

    Input and output: [images, height, width, channels] or [height, width, channels], any dtype. TensorFlow's backend.
    """

    def __init__(self, pixels: int = 4, seed: int | None = None, **layer: Any) -> None:
        super().__init__(seed=seed, **layer)
        check_whole("pixels", pixels, 0, "a whole number, 0 or more")
        self.pixels = pixels

    def augment(self, images: Tensor, seed: Tensor) -> Tensor:
        count = tf.shape(images)[0]
        return shift_and_flip(images, *draw_shifts(seed, count, self.pixels), tf.zeros([count], tf.bool))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pixels": self.pixels}
