"""Shifting and flipping images (He et al. 2015, section 4.2: the simple augmentation)."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
import tensorflow as tf

from stopcli.augment.base import ImageLayer, fold_in, random_integers, uniform
from stopcli.augment.ranges import check_whole

Tensor = Any


Fill = Literal["zero", "nearest"]


def draw_shifts(seed: Tensor, count: Any, pixels: int, pixels_right: int | None = None) -> tuple[Tensor, Tensor]:
    """Shifts down and to the right, each uniform in −pixels … pixels, int32 [count].

    Args:
        pixels_right: the limit of those to the right, where it differs.
    """
    right = pixels if pixels_right is None else pixels_right
    down = random_integers([count], fold_in(seed, "shifts down"), -pixels, pixels + 1)
    return down, random_integers([count], fold_in(seed, "shifts right"), -right, right + 1)


def draw_flips(seed: Tensor, count: Any, p: float) -> Tensor:
    """Whether each image is flipped, bool [count]."""
    return uniform([count], fold_in(seed, "flips")) < p


def shift_and_flip(images: Tensor, down: Tensor, right: Tensor, flipped: Tensor, fill: Fill = "zero") -> Tensor:
    """Images moved, then mirrored left to right where `flipped` says so.

    Every pixel of the result is fetched from its place in one gather, which is faster than to pad, cut and reverse.

    Args:
        images: [images, height, width, channels], any dtype.
        down, right: int32 [images]. flipped: bool [images].
        fill: of the pixels that nothing is moved to: 0, or the nearest pixel of the border.
    """
    shape = tf.shape(images)
    count, height, width, channels = shape[0], shape[1], shape[2], shape[3]
    rows = tf.range(height)[None] - down[:, None]
    columns = tf.range(width)[None]
    columns = tf.where(flipped[:, None], width - 1 - columns, columns) - right[:, None]
    if fill == "nearest":
        rows, columns = tf.clip_by_value(rows, 0, height - 1), tf.clip_by_value(columns, 0, width - 1)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    indices = (tf.range(count)[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    # After the last pixel comes one of zeros, for what comes from outside.
    pixels = tf.concat([tf.reshape(images, [-1, channels]), tf.zeros([1, channels], images.dtype)], axis=0)
    moved = tf.gather(pixels, tf.where(inside, indices, count * height * width))
    return tf.ensure_shape(moved, images.shape)


@dataclass(frozen=True)
class ShiftAndFlip:
    """A shift both ways, then a flip with probability `p`.

    The simple augmentation (He et al.) moves by up to 4 pixels and fills with 0.

    Attributes:
        pixels: moved at most.
        fraction: of the image's height and width moved at most, in whole pixels, instead of `pixels`; None for these.
    """

    pixels: int = 4
    p: float = 0.5
    fill: Fill = "zero"
    fraction: float | None = None

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        count = tf.shape(images)[0]
        most = (self.pixels, self.pixels)
        if self.fraction is not None:
            # Rounded down: no image moves by more than its share.
            most = (int(images.shape[1] * self.fraction), int(images.shape[2] * self.fraction))
        down, right = draw_shifts(seed, count, *most)
        return shift_and_flip(images, down, right, draw_flips(seed, count, self.p), self.fill)


@keras.saving.register_keras_serializable(package="stopcli")
class RandomShift(ImageLayer):
    """Moves images up to some pixels both ways, in training.

    Args:
        pixels: at most, ≥ 0.
        seed: of the random draws; None for a new one each time.
        fill: of the pixels that nothing is moved to: `zero`, or the `nearest` pixel of the border.

    Input and output: [images, height, width, channels], or a single image, [height, width, channels] with up to 4
    channels; any dtype. TensorFlow's backend.
    """

    def __init__(self, pixels: int = 4, seed: int | None = None, fill: Fill = "zero", **layer: Any) -> None:
        super().__init__(seed=seed, **layer)
        check_whole("pixels", pixels, 0, "a whole number, 0 or more")
        if fill not in get_args(Fill):
            raise ValueError(f"fill: received {fill!r}, expected one of {', '.join(get_args(Fill))}")
        self.pixels, self.fill = pixels, fill

    def augment(self, images: Tensor, seed: Tensor) -> Tensor:
        count = tf.shape(images)[0]
        return shift_and_flip(images, *draw_shifts(seed, count, self.pixels), tf.zeros([count], tf.bool), self.fill)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pixels": self.pixels, "fill": self.fill}
