"""Cutout (DeVries and Taylor 2017, arXiv 1708.04552), and batches of several cutout copies of each image (batch
augmentation; Hoffer et al. 2019, arXiv 1901.09335).
"""

from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from stopcli.augment.base import Boxes, ImageLayer, fill_boxes, fold_in, random_integers
from stopcli.augment.ranges import check_finite, check_whole

Tensor = Any


def draw_squares(seed: Tensor, count: Any, height: int, width: int, *, size: int) -> Boxes:
    """Squares around places that are uniform over an image, clipped at its border.

    Args:
        seed: int32, shape [2].
        count: images, an int or a scalar int32.
        size: of a side in pixels, ≥ 1. The square starts size // 2 before its centre.
    """
    top, down = _clipped(random_integers([count], fold_in(seed, "cutout rows"), 0, height), size, height)
    left, across = _clipped(random_integers([count], fold_in(seed, "cutout columns"), 0, width), size, width)
    return Boxes(top, left, down, across)


def _clipped(centre: Tensor, size: int, limit: int) -> tuple[Tensor, Tensor]:
    """The first place of a side, and its length."""
    first = centre - size // 2
    start, end = tf.maximum(first, 0), tf.minimum(first + size, limit)
    return start, end - start


@dataclass(frozen=True)
class CutoutOp:
    """A square of `size` pixels a side, filled with `value` in every image."""

    size: int = 16
    value: float = 0.0

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        height, width = images.shape[1:3]
        boxes = draw_squares(seed, tf.shape(images)[0], height, width, size=self.size)
        return fill_boxes(images, boxes, tf.fill([tf.shape(images)[0], 1, 1, 1], tf.cast(self.value, images.dtype)))


@keras.saving.register_keras_serializable(package="stopcli")
class Cutout(ImageLayer):
    """Cuts a square out of every image, in training.

    Args:
        size: of a side in pixels, ≥ 1; of a square at the border, less is seen.
        value: what it is filled with.
        seed: of the random draws; None for a new one each time.

    Input and output: [images, height, width, channels], or a single image, [height, width, channels] with up to 4
    channels; any dtype. TensorFlow's backend.
    """

    def __init__(self, size: int = 16, value: float = 0.0, seed: int | None = None, **layer: Any) -> None:
        super().__init__(seed=seed, **layer)
        check_whole("size", size, 1, "a whole number of pixels, 1 or more")
        check_finite("value", value)
        self._cut = CutoutOp(size, value)

    def augment(self, images: Tensor, seed: Tensor) -> Tensor:
        return self._cut(images, seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **asdict(self._cut)}


@keras.saving.register_keras_serializable(package="stopcli")
class CutoutCopies(ImageLayer):
    """Turns a batch into `copies` copies of each of its images, each with its own cutout, in training.

    Args:
        copies: of each image (M), ≥ 1. They are adjacent: rows i·copies … (i + 1)·copies − 1 are of image i.
        size: of a cutout's side in pixels, ≥ 1; of a square at the border, less is seen.
        value: what it is filled with.
        seed: of the random draws; None for a new one each time.

    Input: images, [images, height, width, channels] of any dtype, or a dict with these as `images` and with `labels`,
    whose rows are then repeated too (the form that Keras's layers for mixing images take). Use it where a data set is
    made, or ahead of a model that is given the repeated labels: within a model that `fit` trains on plain targets, the
    targets would be too few. Output: the same with `copies` times as many rows. TensorFlow's backend.
    """

    def __init__(
        self, copies: int = 4, size: int = 16, value: float = 0.0, seed: int | None = None, **layer: Any
    ) -> None:
        super().__init__(seed=seed, **layer)
        check_whole("copies", copies, 1, "a whole number, 1 or more")
        check_whole("size", size, 1, "a whole number of pixels, 1 or more")
        check_finite("value", value)
        self.copies, self._cut = copies, CutoutOp(size, value)

    def augment(self, images: Tensor, seed: Tensor) -> Tensor:
        return self._cut(tf.repeat(images, self.copies, axis=0), seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        images = inputs["images"] if isinstance(inputs, dict) else inputs
        if len(images.shape) != 4:
            expected = "[images, height, width, channels]"
            raise ValueError(f"images: received shape {tuple(images.shape)}, expected {expected}")
        changed = super().call(images, training)
        if not isinstance(inputs, dict):
            return changed
        labels = tf.repeat(inputs["labels"], self.copies, axis=0) if training else inputs["labels"]
        return {**inputs, "images": changed, "labels": labels}

    def compute_output_shape(self, input_shape: Any) -> Any:
        # How many rows come out depends on whether it is training.
        if isinstance(input_shape, dict):
            return {name: (None, *shape[1:]) for name, shape in input_shape.items()}
        return (None, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "copies": self.copies, "size": self._cut.size, "value": self._cut.value}
