"""Random erasing (Zhong et al. 2017, arXiv 1708.04896): a random box of an image is filled with random values."""

from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from stopcli.augment.base import Boxes, ImageLayer, fill_boxes, fold_in, random_integers, uniform
from stopcli.augment.ranges import Range, check_boxes_fit, check_pair, check_probability

Tensor = Any

# Boxes that are drawn for an image at once. With the published ranges one of three fits, so that a second round is
# needed for one image in ten thousand.
CANDIDATES = 24


def draw_boxes(
    seed: Tensor,
    count: Any,
    height: int,
    width: int,
    *,
    p: float,
    area: Range,
    aspect: Range,
    log_aspect: bool = False,
) -> Boxes:
    """Boxes as random erasing draws them.

    With probability p an image has one. Its area is s·H·W with s ~ U(area), its aspect r ~ U(aspect), or log-uniform;
    it is w = ⌊√(s·H·W/r)⌋ wide and h = ⌊√(s·H·W·r)⌋ high, at left ~ {0 … W − 1} and top ~ {0 … H − 1}; all of it is
    drawn again until it lies within the image. Computed in float32, so a side within 1e-6 of a whole number may be
    rounded to it. A box of an area below a pixel may have no height or width; it fits, and erases nothing.

    Args:
        seed: int32, shape [2].
        count: images, an int or a scalar int32.
        height, width: of the images, in pixels.
        p: in [0, 1].
        area: of the box, as shares of the image's, in (0, 1].
        aspect: height / width of the box, > 0.
        log_aspect: whether the aspect's logarithm is uniform, rather than the aspect.

    Returns:
        The boxes, with height and width 0 where an image has none.

    Raises:
        ValueError: of the boxes that these ranges give hardly any fits.
    """
    check_boxes_fit(area, aspect, log_aspect=log_aspect, height=height, width=width)
    erased = uniform([count], fold_in(seed, "erased")) < p
    seed = fold_in(seed, "boxes")

    def draw(i: Tensor, done: Tensor, boxes: Boxes) -> tuple[Tensor, Tensor, Boxes]:
        candidates, fits = _candidates(seed, i, count, height, width, area, aspect, log_aspect)
        first = tf.argmax(fits, axis=1, output_type=tf.int32)
        fitting = tf.gather(candidates, first, batch_dims=1, axis=1)
        # The count is not a constant in here, even if it is outside: a shape of 1 might then be any.
        new = tf.ensure_shape(tf.reduce_any(fits, axis=1), done.shape) & ~done
        drawn = (tf.where(new, tf.ensure_shape(fitting[:, side], old.shape), old) for side, old in enumerate(boxes))
        return i + 1, done | new, Boxes(*drawn)

    nothing = tf.zeros([count], tf.int32)
    _, _, boxes = tf.while_loop(
        lambda i, done, _: ~tf.reduce_all(done),
        draw,
        (tf.constant(0), ~erased, Boxes(nothing, nothing, nothing, nothing)),
    )
    return Boxes(*boxes)


def _candidates(
    seed: Tensor, turn: Tensor, count: Any, height: int, width: int, area: Range, aspect: Range, log_aspect: bool
) -> tuple[Tensor, Tensor]:
    """Boxes as they are drawn: int32 [count, CANDIDATES, 4] (top, left, height, width), and whether each fits."""
    # The turn goes where the step's number is not: into the key's half that tells the purpose.
    seed = seed + tf.stack([turn, 0])
    u = uniform([count, CANDIDATES, 2], fold_in(seed, "sizes"))
    s = (area[0] + (area[1] - area[0]) * u[..., 0]) * float(height * width)
    if log_aspect:
        r = aspect[0] * tf.pow(aspect[1] / aspect[0], u[..., 1])
    else:
        r = aspect[0] + (aspect[1] - aspect[0]) * u[..., 1]
    across = tf.cast(tf.floor(tf.sqrt(s / r)), tf.int32)
    down = tf.cast(tf.floor(tf.sqrt(s * r)), tf.int32)
    top = random_integers([count, CANDIDATES], fold_in(seed, "tops"), 0, height)
    left = random_integers([count, CANDIDATES], fold_in(seed, "lefts"), 0, width)
    return tf.stack([top, left, down, across], axis=-1), (top + down <= height) & (left + across <= width)


def draw_values(seed: Tensor, shape: Any, *, value: Range, pixel_level: bool) -> Tensor:
    """What boxes are filled with, float32: one value an image, or one for each pixel and channel.

    Args:
        shape: of the images, [images, height, width, channels].
        value: the values' range.
    """
    drawn = shape if pixel_level else [shape[0], 1, 1, 1]
    return value[0] + (value[1] - value[0]) * uniform(drawn, fold_in(seed, "values"))


@dataclass(frozen=True)
class ErasingOp:
    """Random erasing; arguments as for `draw_boxes` and `draw_values`."""

    p: float = 0.5
    area: Range = (0.02, 0.4)
    aspect: Range = (0.3, 1 / 0.3)
    value: Range = (0.0, 1.0)
    pixel_level: bool = False
    log_aspect: bool = False

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        shape = tf.shape(images)
        height, width = images.shape[1:3]
        boxes = draw_boxes(
            seed, shape[0], height, width, p=self.p, area=self.area, aspect=self.aspect, log_aspect=self.log_aspect
        )
        values = draw_values(seed, shape, value=self.value, pixel_level=self.pixel_level)
        return fill_boxes(images, boxes, tf.cast(values, images.dtype))


@keras.saving.register_keras_serializable(package="stopcli")
class RandomErasing(ImageLayer):
    """Fills a random box of an image with random values, in training.

    The published parameters p, s_l, s_h, r_1, r_2, v_l, v_h and pixel_level are `p`, `area`, `aspect`, `value` and
    `pixel_level` here; see `draw_boxes` for how a box is drawn.

    Args:
        p: probability that an image is erased, in [0, 1].
        area: (s_l, s_h), the box's share of the image, in (0, 1].
        aspect: (r_1, r_2), height / width of the box, > 0.
        value: (v_l, v_h), what it is filled with, in the images' scale, such as (0, 255).
        pixel_level: whether each pixel and channel has its own value.
        log_aspect: whether the aspect's logarithm is drawn uniformly, as in later implementations.
        seed: of the random draws; None for a new one each time.

    Input and output: [images, height, width, channels], or a single image, [height, width, channels] with up to 4
    channels; any dtype. TensorFlow's backend.
    """

    def __init__(
        self,
        p: float = 0.5,
        area: Range = (0.02, 0.4),
        aspect: Range = (0.3, 1 / 0.3),
        value: Range = (0.0, 1.0),
        pixel_level: bool = False,
        log_aspect: bool = False,
        seed: int | None = None,
        **layer: Any,
    ) -> None:
        super().__init__(seed=seed, **layer)
        check_probability("p", p)
        check_pair("area", area, 0, 1, open_low=True)
        check_pair("aspect", aspect, 0, float("inf"), open_low=True)
        check_pair("value", value, -float("inf"), float("inf"))
        self._erase = ErasingOp(p, area, aspect, value, pixel_level, log_aspect)

    def augment(self, images: Tensor, seed: Tensor) -> Tensor:
        return self._erase(images, seed)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **asdict(self._erase)}
