"""Steps one after the other: independent of each other, and the same wherever they run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stopcli

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_two_steps_of_a_kind_draw_different_boxes_and_the_first_draws_as_if_alone() -> None:
    import tensorflow as tf

    from stopcli.augment.base import Augmentation
    from stopcli.augment.erasing import ErasingOp

    images, seed = tf.fill([500, 32, 32, 1], -1.0), tf.constant([3, 4])
    low, high = ErasingOp(p=1.0, value=(0.0, 1.0)), ErasingOp(p=1.0, value=(2.0, 3.0))
    alone = Augmentation((low,))(images, seed).numpy()
    both = Augmentation((low, high))(images, seed).numpy()
    second = both >= 2
    assert (both[~second] == alone[~second]).all()
    # Boxes drawn twice from one stream would all cover one another.
    assert ((alone >= 0) & ~second).any(axis=(1, 2, 3)).mean() > 0.9
    centres = [np.array([np.argwhere(image).mean(axis=0) for image in mask[..., 0]]) for mask in (alone >= 0, second)]
    for axis in (0, 1):
        assert abs(np.corrcoef(centres[0][:, axis], centres[1][:, axis])[0, 1]) < 0.15


def test_a_pipeline_inside_a_loop_gives_the_bits_of_its_call() -> None:
    import tensorflow as tf

    from stopcli.augment.base import Augmentation
    from stopcli.augment.cutout import CutoutOp
    from stopcli.augment.erasing import ErasingOp
    from stopcli.augment.shift import ShiftAndFlip

    augment = Augmentation((ErasingOp(value=(0.1, 0.83)), ShiftAndFlip(), CutoutOp(6)))
    images = tf.constant(np.random.default_rng(0).random((64, 32, 32, 3), np.float32))

    @tf.function(autograph=False)
    def loop(steps: Any) -> Any:
        def body(i: Any, _: Any) -> Any:
            return i + 1, augment(images, tf.stack([8, i]))

        return tf.while_loop(lambda i, _: i < steps, body, (0, images))[1]

    for steps in (1, 5):
        assert loop(steps).numpy().tobytes() == augment(images, tf.constant([8, steps - 1])).numpy().tobytes()


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("Cutout", {"size": 16.0}, "size: received 16.0"),
        ("Cutout", {"size": float("nan")}, "size: received nan"),
        ("Cutout", {"size": True}, "size: received True"),
        ("Cutout", {"value": float("nan")}, "value: received nan, expected a finite number"),
        ("RandomShift", {"pixels": float("inf")}, "pixels: received inf"),
        ("RandomErasing", {"p": "0.5"}, "p: received '0.5'"),
        ("RandomErasing", {"area": 0.3}, "area: received 0.3, expected two numbers"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(name: str, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        getattr(stopcli, name)(**changed)


@pytest.mark.parametrize("name", ["RandomErasing", "Cutout", "RandomShift"])
def test_images_of_unknown_size_are_refused(name: str) -> None:
    import tensorflow as tf

    layer = getattr(stopcli, name)()
    shape = tf.TensorSpec([None, None, None, 3])
    with pytest.raises(ValueError, match="expected a known height and width"):
        tf.function(lambda x: layer(x, training=True), input_signature=[shape]).get_concrete_function()
