"""M copies of every image in a batch: as many, each its own, with the labels along, and Keras's update on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples

pytestmark = pytest.mark.usefixtures("tensorflow")

ROWS, COPIES = 64, 4


def rows() -> Examples:
    draw = np.random.default_rng(0)
    return Examples(
        draw.integers(1, 256, (ROWS, 16, 16, 3)).astype(np.uint8), draw.integers(0, 10, ROWS).astype(np.int32)
    )


def make_model() -> Any:
    from stopcli.models.resnet import resnet_v1

    return resnet_v1(8, (16, 16, 3), 10, 0)


def cut_loop(train: Examples) -> Any:
    import keras

    from stopcli.augment.base import Augmentation
    from stopcli.augment.cutout import CutoutOp
    from stopcli.training.step import CLASS_ACCURACY, Inputs, RowsStep, from_bytes
    from stopcli.training.steps_loop import StepsLoop

    inputs = Inputs(from_bytes, Augmentation((CutoutOp(6),)), COPIES)
    return StepsLoop(
        RowsStep(
            make_model(),
            keras.optimizers.SGD(0.01, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(),
            [CLASS_ACCURACY],
            inputs,
            fused=True,
        ),
        train=train,
        evaluated={},
        batch_size=ROWS,
    )


def expected_batch(train: Examples) -> tuple[np.ndarray, np.ndarray]:
    """The first update's batch, cut out in the test: M rows side by side for each image, each with its own square."""
    import tensorflow as tf

    from stopcli.augment.cutout import draw_squares
    from stopcli.seeding import derive_seed

    x, y = np.repeat(train.x.astype(np.float32) / 255, COPIES, axis=0), np.repeat(train.y, COPIES)
    seed = tf.constant([derive_seed(0, "augment"), 0], tf.int32)
    boxes = draw_squares(seed, len(x), 16, 16, size=6)
    corners = zip(boxes.top.numpy(), boxes.left.numpy(), boxes.height.numpy(), boxes.width.numpy(), strict=True)
    for image, (top, left, height, width) in zip(x, corners, strict=True):
        image[top : top + height, left : left + width] = 0
    return x, y


def test_the_update_is_that_of_keras_on_all_copies() -> None:
    import keras

    train = rows()
    loop = cut_loop(train)
    call = loop.advance(1, 1)
    while call is None:
        call = loop.advance(1, 1)
    x, y = expected_batch(train)
    assert x.shape == (ROWS * COPIES, 16, 16, 3)
    reference = make_model()
    reference.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    keras_metrics = reference.train_on_batch(x, y, return_dict=True)
    assert call.metrics[0][:2] == pytest.approx([keras_metrics["loss"], keras_metrics["accuracy"]], abs=1e-5)
    ours, theirs = (
        [*loop.model.variables, *loop._optimizer.variables],
        [*reference.variables, *reference.optimizer.variables],
    )
    assert max(float(np.max(np.abs(a.numpy() - b.numpy()))) for a, b in zip(ours, theirs, strict=True)) < 1e-5


def test_copies_differ_and_each_is_its_image_with_a_square_cut_out() -> None:
    x, y = expected_batch(rows())
    assert y.reshape(ROWS, COPIES).std(axis=1).max() == 0
    groups = x.reshape(ROWS, COPIES, -1)
    differing = [len({copy.tobytes() for copy in group}) for group in groups]
    # Two of four squares fall on the same of 256 places for about 2 % of the images.
    assert np.mean([count == COPIES for count in differing]) > 0.9
    assert min(differing) > 1
    originals = rows().x.reshape(ROWS, 1, -1) / np.float32(255)
    assert ((groups == 0) | (groups == originals)).all()


def test_the_layer_repeats_images_and_labels_in_training_alone() -> None:
    from stopcli import CutoutCopies

    train = rows()
    x, y = train.x.astype(np.float32), train.y
    layer = CutoutCopies(copies=3, size=6, value=7.0, seed=1)
    out = layer({"images": x, "labels": y}, training=True)
    assert out["images"].shape == (3 * ROWS, 16, 16, 3)
    assert (out["labels"].numpy() == np.repeat(y, 3)).all()
    groups = out["images"].numpy().reshape(ROWS, 3, 16, 16, 3)
    assert ((groups == x[:, None]) | (groups == 7.0)).all()
    assert (groups[:, 0] != groups[:, 1]).any()
    assert (layer(x, training=False).numpy() == x).all()
    untouched = layer({"images": x, "labels": y}, training=False)
    assert untouched["images"].shape == x.shape
    assert len(untouched["labels"]) == ROWS
    again = CutoutCopies.from_config(layer.get_config())
    assert (again({"images": x, "labels": y}, training=True)["images"].numpy() == out["images"].numpy()).all()


def test_the_layer_serves_a_data_set() -> None:
    import tensorflow as tf

    from stopcli import CutoutCopies

    train, layer = rows(), CutoutCopies(copies=2, size=6)
    data = tf.data.Dataset.from_tensor_slices({"images": train.x, "labels": train.y}).batch(16)
    batches = list(data.map(lambda batch: layer(batch, training=True)))
    assert [len(batch["labels"]) for batch in batches] == [32] * 4
    assert batches[0]["images"].dtype == tf.uint8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"copies": 0}, "copies: received 0"),
        ({"size": 0}, "size: received 0"),
        ({"copies": 1.5}, "copies: received 1.5"),
    ],
)
def test_the_layer_refuses_what_it_cannot_do(arguments: dict[str, Any], message: str) -> None:
    from stopcli import CutoutCopies

    with pytest.raises(ValueError, match=message):
        CutoutCopies(**arguments)


def test_one_image_is_no_batch() -> None:
    from stopcli import CutoutCopies

    with pytest.raises(ValueError, match=r"expected \[images, height, width, channels\]"):
        CutoutCopies()(np.zeros((16, 16, 3), np.float32), training=True)
