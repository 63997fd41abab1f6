"""What the augmentation layers have in common."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any

# Of a single image. With more, it would look like a batch of images without channels.
MOST_CHANNELS = 4


class ImageLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that changes images in training and leaves them alone otherwise.

    Args:
        seed: of the drawing; None for another one each time.

    Input: [images, height, width, channels], or a single image, [height, width, channels] with up to 4 channels.

    Raises:
        ValueError: the input has another shape; or, in training, height and width are not known.
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
        shape = tuple(images.shape)
        _check_axes(shape)
        if not training:
            return images
        if None in shape[-3:-1]:
            expected = "a known height and width, as tf.ensure_shape or keras.layers.Resizing give them"
            raise ValueError(f"images: received shape {shape}, expected {expected}")
        seed = tf.bitcast(tf.cast(self._generator.next(), tf.uint32), tf.int32)
        if len(shape) == 3:
            return self.augment(images[None], seed)[0]
        return self.augment(images, seed)

    def compute_output_shape(self, input_shape: Any) -> Any:
        # A model is built by this, and not by a call.
        _check_axes(tuple(input_shape))
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def _check_axes(shape: tuple[int | None, ...]) -> None:
    """Raise ValueError where a shape, as far as it is known, is not one of images."""
    single = len(shape) == 3 and (shape[-1] is None or shape[-1] <= MOST_CHANNELS)
    if len(shape) == 4 or single:
        return
    raise ValueError(
        f"images: received shape {shape}, expected [images, height, width, channels], or [height, width, channels] "
        f"with up to {MOST_CHANNELS} channels; images without channels get an axis by images[..., None]"
    )
