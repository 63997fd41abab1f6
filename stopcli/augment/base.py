"""What augmentation layers share: random boxes, draws that are a function of the seed, and the layer itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from stopcli.seeding import derive_seed

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


# Of a single image. With more, it would look like a batch of images without channels.
MOST_CHANNELS = 4


class ImageLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that changes images in training, and does nothing otherwise.

    Args:
        seed: of the random draws; None for a new one each time.

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


def fold_in(seed: Tensor, name: str) -> Tensor:
    """A seed for one purpose.

    Args:
        seed: int32, shape [2].
        name: what it is for. Two purposes of one step need two names.

    Returns:
        int32, shape [2]: another key of the Philox generator, whose keys give unrelated numbers.
    """
    return tf.bitwise.bitwise_xor(seed, tf.constant([derive_seed(0, "augment", name), 0], tf.int32))


def uniform(shape: Any, seed: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), float32, multiples of 2⁻²⁴.

    Made of whole numbers: TensorFlow's kernel and XLA draw the same of these, but not the same floating-point numbers.
    """
    return tf.cast(random_integers(shape, seed, 0, 1 << 24), tf.float32) * 2.0**-24


def random_integers(shape: Any, seed: Tensor, low: int, high: int) -> Tensor:
    """Uniform whole numbers low … high − 1, int32."""
    return tf.random.stateless_uniform(shape, seed, low, high, tf.int32, alg="philox")


Step = Callable[[Tensor, Tensor], Tensor]
"""From images ([images, height, width, channels]) and a seed (int32, shape [2]) to changed images."""


@dataclass(frozen=True)
class Augmentation:
    """Steps one after the other. Each draws from its own streams, so none of them changes what another draws."""

    steps: tuple[Step, ...]

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        for i, step in enumerate(self.steps):
            # A step's streams are named after what it draws, so a second one of a kind needs another seed.
            again = any(type(step) is type(earlier) for earlier in self.steps[:i])
            images = step(images, fold_in(seed, f"step {i}") if again else seed)
        return images
