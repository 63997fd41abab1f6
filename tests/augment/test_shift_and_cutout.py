"""Shift, flip and cutout against NumPy; every step the same eagerly, compiled, and under XLA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def pictures(count: int = 81, height: int = 12, width: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, height, width, 3)).astype(np.uint8)


def shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """An image moved, 0 where nothing comes from."""
    moved = np.zeros_like(image)
    height, width = image.shape[:2]
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                moved[y, x] = image[y - down, x - right]
    return moved


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_every_shift_and_flip_is_that_of_numpy(dtype: str) -> None:
    import tensorflow as tf

    from stopcli.augment.shift import shift_and_flip

    images = pictures().astype(dtype)
    down, right = (grid.ravel().astype(np.int32) for grid in np.meshgrid(range(-4, 5), range(-4, 5)))
    flipped = np.arange(81) % 2 == 0
    result = shift_and_flip(tf.constant(images), tf.constant(down), tf.constant(right), tf.constant(flipped)).numpy()
    assert result.dtype == dtype
    for i in range(81):
        moved = shifted(images[i], down[i], right[i])
        expected = moved[:, ::-1] if flipped[i] else moved
        np.testing.assert_array_equal(result[i], expected)


def test_a_shift_can_be_filled_with_the_nearest_pixels() -> None:
    import tensorflow as tf

    from stopcli.augment.shift import RandomShift, shift_and_flip

    images = pictures(9)
    down, right = (grid.ravel().astype(np.int32) for grid in np.meshgrid([-3, 0, 2], [-3, 0, 2]))
    still = tf.zeros([9], tf.bool)
    result = shift_and_flip(tf.constant(images), tf.constant(down), tf.constant(right), still, "nearest").numpy()
    for i in range(9):
        padded = np.pad(images[i], ((3, 3), (3, 3), (0, 0)), mode="edge")
        top, left = 3 - down[i], 3 - right[i]
        np.testing.assert_array_equal(result[i], padded[top : top + 12, left : left + 10])
    layer = RandomShift(2, seed=1, fill="nearest")
    assert RandomShift.from_config(layer.get_config()).fill == "nearest"
    # Every pixel of the border comes from the image.
    assert layer(tf.constant(images), training=True).numpy().min() >= 1
    with pytest.raises(ValueError, match="fill: received 'mirror'"):
        RandomShift(2, fill="mirror")


def test_a_share_of_the_image_limits_shifts_of_each_side() -> None:
    import tensorflow as tf

    from stopcli.augment.shift import ShiftAndFlip

    # A bright cross whose place tells the shift: rows and columns of 20 and 32 pixels move by up to 2 and 3.
    images = np.zeros((400, 20, 32, 1), np.float32)
    images[:, 10, :, 0] = images[:, :, 16, 0] = 1
    moved = ShiftAndFlip(p=0.0, fill="nearest", fraction=0.1)(tf.constant(images), tf.constant([1, 2])).numpy()[..., 0]
    rows, columns = np.argmax(moved[:, :, 0], axis=1) - 10, np.argmax(moved[:, 0, :], axis=1) - 16
    assert set(rows.tolist()) == set(range(-2, 3))
    assert set(columns.tolist()) == set(range(-3, 4))


def test_shifts_and_flips_are_uniform_and_independent_of_each_other() -> None:
    import tensorflow as tf
    from scipy.stats import chisquare

    from stopcli.augment.erasing import draw_boxes
    from stopcli.augment.shift import draw_flips, draw_shifts

    seed = tf.constant([9, 4])
    down, right = (drawn.numpy() for drawn in draw_shifts(seed, 100_000, 4))
    flips = draw_flips(seed, 100_000, 0.5).numpy()
    for drawn in (down, right):
        assert chisquare(np.bincount(drawn + 4, minlength=9)).pvalue > 1e-3
    assert abs(flips.mean() - 0.5) < 0.01
    boxes = draw_boxes(seed, 100_000, 32, 32, p=1.0, area=(0.02, 0.4), aspect=(0.3, 1 / 0.3))
    streams = np.stack([down, right, flips, boxes.top.numpy(), boxes.left.numpy()])
    correlations = np.corrcoef(streams) - np.eye(5)
    assert np.abs(correlations[:3]).max() < 0.02


def test_cutout_is_clipped_at_the_border_and_centred_anywhere() -> None:
    import tensorflow as tf

    from stopcli.augment.cutout import CutoutOp, draw_squares

    boxes = [part.numpy() for part in draw_squares(tf.constant([1, 1]), 200_000, 32, 32, size=16)]
    top, left, height, width = boxes
    assert (top >= 0).all()
    assert (top + height <= 32).all()
    assert (left + width <= 32).all()
    # DeVries and Taylor: from the centre minus 8 to the centre plus 8, clipped; every centre as likely.
    expected = np.array([[max(c - 8, 0), min(c + 8, 32) - max(c - 8, 0)] for c in range(32)])
    for first, length in ((top, height), (left, width)):
        result, counts = np.unique(np.stack([first, length], axis=1), axis=0, return_counts=True)
        assert {tuple(pair) for pair in result} == {tuple(pair) for pair in expected}
        shares = {tuple(pair): (expected == pair).all(axis=1).sum() / 32 for pair in result}
        for pair, count in zip(result, counts, strict=True):
            assert count / 200_000 == pytest.approx(shares[tuple(pair)], abs=0.005)
    images = pictures(300, 32, 32)
    cut = CutoutOp(16)(tf.constant(images), tf.constant([1, 1])).numpy()
    gone = (cut == 0).all(axis=3)
    # A smaller batch draws other places; each image loses one square of 8 × 8 to 16 × 16.
    lost = gone.sum(axis=(1, 2))
    assert (lost.min(), lost.max()) == (64, 256)
    assert (cut[~gone] == images[~gone]).all()


@pytest.mark.parametrize("name", ["ShiftAndFlip", "ErasingOp", "CutoutOp", "all"])
def test_steps_are_the_same_eagerly_compiled_and_under_xla(name: str) -> None:
    import tensorflow as tf

    from stopcli.augment.base import Augmentation
    from stopcli.augment.cutout import CutoutOp
    from stopcli.augment.erasing import ErasingOp
    from stopcli.augment.shift import ShiftAndFlip

    steps: dict[str, Any] = {
        "ShiftAndFlip": ShiftAndFlip(),
        "ErasingOp": ErasingOp(pixel_level=True),
        "CutoutOp": CutoutOp(6),
    }
    step = steps.get(name, Augmentation(tuple(steps.values())))
    images, seed = tf.constant(pictures(64, 32, 32) / np.float32(255)), tf.constant([3, 5])
    eagerly = step(images, seed).numpy()
    for jit_compile in (False, True):
        compiled = tf.function(step, jit_compile=jit_compile, autograph=False)(images, seed).numpy()
        np.testing.assert_allclose(compiled, eagerly, rtol=0, atol=1e-6)
        assert ((compiled == images.numpy()) == (eagerly == images.numpy())).all()
    assert step(images, seed).numpy().tobytes() == eagerly.tobytes()
    assert step(images, tf.constant([3, 6])).numpy().tobytes() != eagerly.tobytes()
    assert step(images, tf.constant([4, 5])).numpy().tobytes() != eagerly.tobytes()
