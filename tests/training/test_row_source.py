"""Large data, of which some rows at a time are passed to TensorFlow, are trained on like any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples
from stopcli.data.row_view import RowView

pytestmark = pytest.mark.usefixtures("tensorflow")

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(1003, 5))
Y = DRAW.normal(size=(1003, 1)).astype(np.float32)


def rows(of: slice, large: bool) -> Examples:
    """Rows in a tensor's dtype, or a view that converts and orders them when they are read."""
    numbers = np.arange(1003)[of][::-1]
    if large:
        return Examples(RowView(X, numbers.astype(np.int32), np.float32), Y[numbers])
    return Examples(X[numbers].astype(np.float32), Y[numbers])


def trained(large: bool, steps_a_call: int, jit_compile: bool) -> tuple[Any, Any]:
    import keras

    from stopcli.training.step import RMSE, RowsStep
    from stopcli.training.steps_loop import StepsLoop

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    step = RowsStep(model, keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError(), [RMSE])
    parts: Mapping[str, Examples] = {"val": rows(slice(600, 901), large), "test": rows(slice(901, None), large)}
    loop = StepsLoop(
        step, train=rows(slice(600), large), evaluated=parts, batch_size=32, seed=3, jit_compile=jit_compile
    )
    loop._train_sizer.size = lambda remaining: min(steps_a_call, remaining)  # type: ignore[method-assign]
    loop.compile()
    blocks = []
    while len(blocks) < 3:
        if block := loop.advance(len(blocks) + 1, 3):
            blocks.append(block.metrics)
    return np.concatenate(blocks), loop.state()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_chunks_give_the_same_bits_as_all_rows_in_tensors(monkeypatch: pytest.MonkeyPatch, jit_compile: bool) -> None:
    from stopcli.training import row_source

    # Three batches of 32 rows of 24 bytes: six calls an epoch, and a smaller last batch.
    monkeypatch.setattr(row_source, "CHUNK_BYTES", 100 * 24)
    metrics, state = trained(large=False, steps_a_call=100, jit_compile=jit_compile)
    chunked, chunked_state = trained(large=True, steps_a_call=100, jit_compile=jit_compile)
    assert chunked.tobytes() == metrics.tobytes()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(state, chunked_state, strict=True))
    few, few_state = trained(large=True, steps_a_call=2, jit_compile=jit_compile)
    assert few.tobytes() == metrics.tobytes()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(state, few_state, strict=True))


def test_the_hash_of_a_view_is_that_of_its_array(monkeypatch: pytest.MonkeyPatch) -> None:
    from stopcli.data import row_view
    from stopcli.training.state_file import hash_of_rows

    whole = hash_of_rows(rows(slice(600), large=False))
    assert hash_of_rows(rows(slice(600), large=True)) == whole
    monkeypatch.setattr(row_view, "CHUNK_BYTES", 1000)
    assert hash_of_rows(rows(slice(600), large=True)) == whole


def test_the_order_on_the_host_is_that_of_the_graph() -> None:
    import tensorflow as tf

    from stopcli.training.step import epoch_order, epoch_order_array

    in_graph = tf.function(lambda: epoch_order(tf.constant(5), tf.constant(2), 10_001))()
    assert (epoch_order_array(5, 2, 10_001) == in_graph.numpy()).all()


def test_tensorflow_takes_a_view_for_the_array_that_it_is() -> None:
    import tensorflow as tf

    view = rows(slice(7), large=True).x
    for tensor in (tf.constant(view), tf.convert_to_tensor(view)):
        assert tensor.dtype == tf.float32
        assert (tensor.numpy() == np.asarray(view)).all()
