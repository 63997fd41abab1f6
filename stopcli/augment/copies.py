"""Batch augmentation (Hoffer et al. 2019, arXiv 1901.09335): each image enters a batch several times, for one update.

Every copy is augmented on its own.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from stopcli.augment.cutout import CutoutOp
from stopcli.augment.image_layer import ImageLayer
from stopcli.augment.ranges import check_finite, check_whole

Tensor = Any


@keras.saving.register_keras_serializable(package="stopcli")
class CutoutCopies(ImageLayer):
    """Turns a batch into `copies` copies of each of its images, every copy with a cutout of its own, in training.

    Args:
        copies: of each image (M), ≥ 1. They stand side by side: rows i·copies … (i + 1)·copies − 1 are of image i.
        size: of a cutout's side in pixels, ≥ 1; of a square at the border, less is seen.
        value: what it is filled with.
        seed: of the drawing; None for another one each time.

    Input: images, [images, height, width, channels] of any dtype, or a dict with these as `images` and with `labels`,
    whose rows are then repeated along (as Keras's own layers that mix images take them). Use it where a data set is
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
