"""Boxes within images, and filling them."""

from typing import Any, NamedTuple

import tensorflow as tf

Tensor = Any


class Boxes(NamedTuple):
    """A box in each image; one of height or width 0 is empty.

    Attributes:
        top, left: int32, shape [images]: the first row and column. height, width: likewise, rows and columns.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def fill_boxes(images: Tensor, boxes: Boxes, values: Tensor) -> Tensor:
    """Images with their boxes filled.

    Args:
        images: [images, height, width, channels], any dtype.
        values: of the same dtype: [images, 1, 1, 1] for one an image, or the images' shape.

    Returns:
        Of the images' shape and dtype; pixels outside a box are unchanged.
    """
    count, height, width, channels = (tf.shape(images)[i] for i in range(4))
    # A row of pixels as one row of numbers, and everything of one shape: TensorFlow chooses twice as fast as when it
    # has to broadcast along the channels.
    flat = [count, height, width * channels]
    rows = _within(boxes.top, boxes.height, height)
    columns = _within(boxes.left * channels, boxes.width * channels, width * channels)
    single = values.shape[1:] == (1, 1, 1)
    filling = tf.broadcast_to(values[..., 0], flat) if single else tf.reshape(values, flat)
    filled = tf.where(rows[:, :, None] & columns[:, None, :], filling, tf.reshape(images, flat))
    return tf.ensure_shape(tf.reshape(filled, tf.shape(images)), images.shape)


def _within(first: Tensor, count: Tensor, size: Tensor) -> Tensor:
    """Which of `size` indices lie in [first, first + count), bool [images, size]."""
    indices = tf.range(size)[None]
    return (indices >= first[:, None]) & (indices < (first + count)[:, None])
