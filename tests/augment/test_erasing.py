"""Random erasing: boxes with the published distribution, exactly in bounds, and images filled as drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

pytestmark = pytest.mark.usefixtures("tensorflow")

DRAWS = 100_000
SIDE = 32
AREA, ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)
# The chance of a true distribution to be taken for another one, in each of the comparisons.
SIGNIFICANCE = 1e-3


def reference_boxes(draws: int, *, log_aspect: bool, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Boxes by the published definition, one after the other: top, left, height, width."""
    draw = np.random.default_rng(7)
    boxes = np.empty((draws, 4), np.int64)
    for i in range(draws):
        while True:
            s = draw.uniform(*AREA) * height * width
            r = math.exp(draw.uniform(*map(math.log, ASPECT))) if log_aspect else draw.uniform(*ASPECT)
            w, h = math.floor(math.sqrt(s / r)), math.floor(math.sqrt(s * r))
            left, top = draw.integers(0, width), draw.integers(0, height)
            if left + w <= width and top + h <= height:
                boxes[i] = top, left, h, w
                break
    return boxes


def our_boxes(draws: int, *, seed: int = 3, p: float = 1.0, side: tuple[int, int] = (SIDE, SIDE), **ranges: Any) -> Any:
    import tensorflow as tf

    from stopcli.augment.erasing import draw_boxes

    ranges = {"area": AREA, "aspect": ASPECT, **ranges}
    drawn = draw_boxes(tf.constant([seed, 1]), draws, *side, p=p, **ranges)
    return np.stack([part.numpy() for part in drawn], axis=1)


def same_distribution(ours: np.ndarray, theirs: np.ndarray, what: str) -> None:
    assert ks_2samp(ours, theirs).pvalue > SIGNIFICANCE, what


@pytest.mark.parametrize("log_aspect", [False, True])
def test_boxes_have_the_published_distribution(log_aspect: bool) -> None:
    ours = our_boxes(DRAWS, log_aspect=log_aspect)
    theirs = reference_boxes(DRAWS, log_aspect=log_aspect)
    for name, of in {
        "area": lambda b: b[:, 2] * b[:, 3],
        "aspect": lambda b: b[:, 2] / b[:, 3],
        "height": lambda b: b[:, 2],
        "top": lambda b: b[:, 0],
        "left": lambda b: b[:, 1],
        "centre's distance": lambda b: np.hypot(b[:, 0] + b[:, 2] / 2 - 16, b[:, 1] + b[:, 3] / 2 - 16),
    }.items():
        same_distribution(of(ours), of(theirs), name)


def test_the_comparison_would_see_another_distribution() -> None:
    """Boxes that are moved into the image instead of drawn again, as a careless eraser has them."""
    theirs = reference_boxes(20_000, log_aspect=False)
    draw = np.random.default_rng(1)
    s = draw.uniform(*AREA, 20_000) * SIDE * SIDE
    r = draw.uniform(*ASPECT, 20_000)
    area = np.floor(np.sqrt(s / r)) * np.floor(np.sqrt(s * r))
    assert ks_2samp(area, theirs[:, 2] * theirs[:, 3]).pvalue < 1e-6


def test_erased_pixels_and_values_are_as_drawn() -> None:
    """The share of erased pixels and the values in them, on images, against the reference's boxes and U(0, 1)."""
    import tensorflow as tf

    from stopcli.augment.erasing import ErasingOp

    count, rounds = 2000, 5
    erase = tf.function(ErasingOp(p=1.0, value=(0.25, 0.75)))
    shares, values = [], []
    for turn in range(rounds):
        filled = erase(tf.fill([count, SIDE, SIDE, 3], -1.0), tf.constant([5, turn])).numpy()
        inside = filled[..., 0] >= 0
        shares.append(inside.mean(axis=(1, 2)))
        values.append(filled.max(axis=(1, 2, 3)))
        # One value an image, in all channels and pixels of the box.
        assert np.all((filled == filled.max(axis=(1, 2, 3), keepdims=True)) == inside[..., None])
    boxes = reference_boxes(10_000, log_aspect=False)
    same_distribution(np.concatenate(shares), boxes[:, 2] * boxes[:, 3] / SIDE**2, "erased share")
    uniform = np.random.default_rng(2).uniform(0.25, 0.75, 100_000)
    same_distribution(np.concatenate(values), uniform, "values")


def test_pixel_level_gives_every_pixel_and_channel_its_own_value() -> None:
    import tensorflow as tf

    from stopcli.augment.erasing import ErasingOp

    filled = ErasingOp(p=1.0, area=(0.4, 0.4), aspect=(1.0, 1.0), pixel_level=True)(
        tf.fill([40, SIDE, SIDE, 3], -1.0), tf.constant([5, 1])
    ).numpy()
    drawn = filled[filled >= 0]
    assert len(drawn) == 40 * 20 * 20 * 3
    assert len(np.unique(drawn)) > 0.99 * len(drawn)
    same_distribution(drawn, np.random.default_rng(2).uniform(0, 1, 100_000), "values")


def test_p_is_the_share_of_images_that_are_erased() -> None:
    erased = (our_boxes(DRAWS, p=0.3)[:, 2] > 0).mean()
    assert abs(erased - 0.3) < 5 * math.sqrt(0.3 * 0.7 / DRAWS)
    assert not our_boxes(1000, p=0.0).any()
    assert (our_boxes(DRAWS, p=1.0)[:, 2:] > 0).all()


def test_p_0_changes_nothing_and_what_lies_outside_a_box_is_never_changed() -> None:
    import tensorflow as tf

    from stopcli.augment.erasing import ErasingOp

    images = tf.constant(np.random.default_rng(0).random((50, SIDE, SIDE, 3), np.float32))
    seed = tf.constant([1, 2])
    assert ErasingOp(p=0.0)(images, seed).numpy().tobytes() == images.numpy().tobytes()
    filled = ErasingOp(p=1.0, value=(2.0, 3.0))(images, seed).numpy()
    outside = filled < 2
    assert outside.any()
    assert (filled[outside] == images.numpy()[outside]).all()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(4, 80),
    width=st.integers(4, 80),
    area=st.tuples(st.floats(0.01, 0.6), st.floats(0.01, 0.6)).map(sorted),
    aspect=st.tuples(st.floats(0.2, 4), st.floats(0.2, 4)).map(sorted),
    log_aspect=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_boxes_never_leave_the_image(
    height: int, width: int, area: Any, aspect: Any, log_aspect: bool, seed: int
) -> None:
    from stopcli.augment.ranges import LEAST_ACCEPTANCE, acceptance

    ranges = {"area": tuple(area), "aspect": tuple(aspect), "log_aspect": log_aspect}
    if acceptance(**ranges, height=height, width=width) < LEAST_ACCEPTANCE:
        with pytest.raises(ValueError, match="expected boxes that fit into"):
            our_boxes(64, seed=seed, side=(height, width), **ranges)
        return
    boxes = our_boxes(64, seed=seed, side=(height, width), **ranges)
    assert (boxes >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= height).all()
    assert (boxes[:, 1] + boxes[:, 3] <= width).all()


def test_the_acceptance_is_that_of_the_drawing() -> None:
    from stopcli.augment.ranges import acceptance

    draw = np.random.default_rng(0)
    s, r = draw.uniform(*AREA, DRAWS) * SIDE * SIDE, draw.uniform(*ASPECT, DRAWS)
    fits = (draw.integers(0, SIDE, DRAWS) + np.floor(np.sqrt(s / r)) <= SIDE) & (
        draw.integers(0, SIDE, DRAWS) + np.floor(np.sqrt(s * r)) <= SIDE
    )
    assert acceptance(AREA, ASPECT, log_aspect=False, height=SIDE, width=SIDE) == pytest.approx(fits.mean(), abs=0.01)


def test_many_rounds_of_drawing_stay_exact() -> None:
    """Ranges of which 3 % fit, so that the first candidates are not enough."""
    from stopcli.augment.ranges import acceptance

    ranges = {"area": (0.7, 0.8), "aspect": (0.9, 1.2)}
    assert acceptance(**ranges, log_aspect=False, height=SIDE, width=SIDE) < 0.04
    boxes = our_boxes(5000, **ranges)
    assert (boxes[:, 2:] > 0).all()
    draw, theirs = np.random.default_rng(0), []
    while len(theirs) < 5000:
        s, r = draw.uniform(0.7, 0.8) * SIDE * SIDE, draw.uniform(0.9, 1.2)
        w, h = math.floor(math.sqrt(s / r)), math.floor(math.sqrt(s * r))
        if draw.integers(0, SIDE) + w <= SIDE and draw.integers(0, SIDE) + h <= SIDE:
            theirs.append(h * w)
    same_distribution(boxes[:, 2] * boxes[:, 3], np.array(theirs), "area")
