"""What the augmentation layers have in common."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any


class ImageLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that changes images in training and leaves them alone otherwise.

    Args:
        seed: of the drawing; None for another one each time.
    """

    def __init__(self, seed: int | None = None, **layer: Any) -> None:
        super().__init__(**layer)
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)

    def augment(self, images: Tensor, seed: Tensor) -> Tensor:
        """Changed images.

        Args:
            images: [images, height, width, channels], height and width known.
            seed: int32, shape [2].
        """
        raise NotImplementedError

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        if not training:
            return images
        if None in images.shape[-3:-1]:
            raise ValueError(f"images: received shape {tuple(images.shape)}, expected a known height and width")
        seed = tf.bitcast(tf.cast(self._generator.next(), tf.uint32), tf.int32)
        if len(images.shape) == 3:
            return self.augment(images[None], seed)[0]
        return self.augment(images, seed)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
