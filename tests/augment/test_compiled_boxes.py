"""Boxes, shifts and flips are the same to the bit eagerly, in a graph, under XLA, and inside a compiled loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

DRAWS = 20_000


def draw(seed: Any, *, log_aspect: bool) -> Any:
    """All that the steps draw, int32 [DRAWS, 11]."""
    import tensorflow as tf

    from stopcli.augment.cutout import draw_squares
    from stopcli.augment.erasing import draw_boxes
    from stopcli.augment.shift import draw_flips, draw_shifts

    boxes = draw_boxes(seed, DRAWS, 32, 28, p=0.8, area=(0.02, 0.4), aspect=(0.3, 1 / 0.3), log_aspect=log_aspect)
    squares = draw_squares(seed, DRAWS, 32, 28, size=9)
    flips = tf.cast(draw_flips(seed, DRAWS, 0.5), tf.int32)
    return tf.stack([*boxes, *squares, *draw_shifts(seed, DRAWS, 4), flips], axis=1)


@pytest.mark.parametrize("log_aspect", [False, True])
def test_what_is_drawn_depends_on_the_seed_alone(log_aspect: bool) -> None:
    import tensorflow as tf

    eagerly = draw(tf.constant([11, 2]), log_aspect=log_aspect).numpy()

    def in_a_loop(seed: Any) -> Any:
        def body(i: Any, _: Any) -> Any:
            return i + 1, draw(tf.stack([seed[0], i]), log_aspect=log_aspect)

        return tf.while_loop(lambda i, _: i <= seed[1], body, (0, tf.zeros([DRAWS, 11], tf.int32)))[1]

    for function in (lambda seed: draw(seed, log_aspect=log_aspect), in_a_loop):
        for jit_compile in (False, True):
            compiled = tf.function(function, jit_compile=jit_compile, autograph=False)
            np.testing.assert_array_equal(compiled(tf.constant([11, 2])).numpy(), eagerly)
    assert (draw(tf.constant([11, 3]), log_aspect=log_aspect).numpy() != eagerly).mean() > 0.5
