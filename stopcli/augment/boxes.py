"""Boxes within images, and filling them."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

Tensor = Any


class Boxes(NamedTuple):
    """A box in each image; one of no height or width is none.

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
        values: of the same dtype, a shape that broadcasts to that of the images.

    Returns:
        Of the images' shape and dtype; what lies outside a box is unchanged.
    """
    rows = _within(boxes.top, boxes.height, tf.shape(images)[1])
    columns = _within(boxes.left, boxes.width, tf.shape(images)[2])
    return tf.where(rows[:, :, None, None] & columns[:, None, :, None], values, images)


def _within(first: Tensor, count: Tensor, size: Tensor) -> Tensor:
    """Which of `size` places lie in [first, first + count), bool [images, size]."""
    places = tf.range(size)[None]
    return (places >= first[:, None]) & (places < (first + count)[:, None])
