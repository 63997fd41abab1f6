"""MiniGoogLeNet as described, to the number of its parameters; and exactly resumed with its dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples

pytestmark = pytest.mark.usefixtures("tensorflow")

# From the description alone: what enters a module, then the filters of its 1 × 1 and its 3 × 3 convolution.
INCEPTIONS = [
    (96, 32, 32), (64, 32, 48),
    (160, 112, 48), (160, 96, 64), (160, 80, 80), (160, 48, 96),
    (240, 176, 160), (336, 176, 160),
]  # fmt: skip
# What enters, and the filters of the 3 × 3 convolution.
DOWNSAMPLINGS = [(80, 80), (144, 96)]


def conv_module(inputs: int, filters: int, kernel: int) -> int:
    """Parameters of a convolution with its biases, and of a batch normalization's four vectors."""
    return kernel * kernel * inputs * filters + filters + 4 * filters


def test_it_has_the_parameters_of_the_description() -> None:
    from stopcli.models.minigooglenet import minigooglenet

    expected = conv_module(3, 96, 3)
    expected += sum(conv_module(n, one, 1) + conv_module(n, three, 3) for n, one, three in INCEPTIONS)
    expected += sum(conv_module(n, filters, 3) for n, filters in DOWNSAMPLINGS)
    expected += 336 * 10 + 10
    model = minigooglenet((32, 32, 3), 10, seed=0)
    assert model.count_params() == expected == 1_656_250
    assert model.get_layer("stage3_inception2").output.shape == (None, 7, 7, 336)
    assert model.get_layer("stage1_down").output.shape == (None, 15, 15, 160)
    assert model.get_layer("dropout").rate == 0.5
    kinds = {type(layer).__module__.split(".")[0] for layer in model.layers}
    assert kinds == {"keras"}


def test_width_scales_every_filter_and_small_images_are_refused() -> None:
    from stopcli.models.minigooglenet import minigooglenet

    narrow = minigooglenet((7, 8, 3), 4, seed=0, width=0.25)
    assert narrow.get_layer("stem_conv").filters == 24
    assert narrow.get_layer("stage2_inception1_1x1_conv").filters == 28
    assert narrow.output_shape == (None, 4)
    with pytest.raises(ValueError, match="expected sides of at least 7"):
        minigooglenet((6, 8, 3), 4, seed=0)


def test_an_mlp_on_pixels_has_one_hidden_layer() -> None:
    from stopcli.models.mlp import image_mlp

    model = image_mlp((8, 8, 3), 20, 5, seed=0, mean_image=np.full((8, 8, 3), 0.5, np.float32))
    assert model.count_params() - model.get_layer("mean").count_params() == 192 * 20 + 20 + 20 * 5 + 5
    assert model.output_shape == (None, 5)


def make_loop(train: Examples) -> Any:
    import keras

    from stopcli.models.minigooglenet import minigooglenet
    from stopcli.schedules.cyclic import CyclicLR, CyclicMomentum
    from stopcli.training.step import Inputs, RowsStep, from_bytes
    from stopcli.training.steps_loop import StepsLoop

    schedule = CyclicLR(1e-4, 0.1, 3)
    return StepsLoop(
        RowsStep(
            minigooglenet((16, 16, 3), 4, seed=3, width=0.05),
            keras.optimizers.SGD(0.01, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(),
            inputs=Inputs(from_bytes),
            schedule=schedule,
            momentum=CyclicMomentum(schedule, 0.8, 0.9),
            fused=True,
        ),
        train=train,
        batch_size=16,
    )


@pytest.mark.slow
def test_dropout_and_momentum_go_on_where_they_were() -> None:
    draw = np.random.default_rng(0)
    train = Examples(draw.integers(0, 256, (64, 16, 16, 3)).astype(np.uint8), draw.integers(0, 4, 64).astype(np.int32))
    loop = make_loop(train)

    def epochs(first: int, last: int) -> None:
        epoch = first
        while epoch <= last:
            epoch += loop.advance(epoch, 1) is not None

    epochs(1, 2)
    middle = loop.state()
    epochs(3, 4)
    expected = loop.state()
    # In another loop, as another process would make it.
    loop = make_loop(train)
    loop.restore(middle)
    epochs(3, 4)
    for a, b in zip(loop.state(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    # Dropout draws: without its generator in the state, it would have drawn other masks.
    loop = make_loop(train)
    generators = [i for i, array in enumerate(middle) if np.issubdtype(array.dtype, np.integer)]
    assert generators
    fresh = loop.state()
    loop.restore(tuple(fresh[i] if i in generators else array for i, array in enumerate(middle)))
    epochs(3, 4)
    assert any(not np.array_equal(a, b) for a, b in zip(loop.state(), expected, strict=True))
