from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples, Splits
from stopcli.data.toy import moons, split_moons
from stopcli.errors import ReplayError

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.fixture(scope="module")
def parts() -> Splits:
    return split_moons(moons(100, 0.2, 1), 30, "test", 0.5)


def make_loop(parts: Splits, *, seed: int = 0, batch_size: int = 8, **options: Any) -> Any:
    import keras

    from stopcli.models.layers import make_optimizer
    from stopcli.models.mlp import binary_mlp
    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.step import BINARY_ACCURACY, RowsStep

    return EpochsLoop(
        RowsStep(
            binary_mlp(2, 20, seed), make_optimizer("adam", 0.01), keras.losses.BinaryCrossentropy(), [BINARY_ACCURACY]
        ),
        train=parts.train, evaluated=parts.evaluated(), batch_size=batch_size, seed=seed, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def compiled(parts: Splits) -> tuple[Any, Any, Any]:
    """Two compiled loops, and the state that both begin with."""
    one, other = make_loop(parts), make_loop(parts)
    return one, other, one.state()


@pytest.fixture
def two(compiled: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Two loops of the same run, at its beginning."""
    *loops, begin = compiled
    for loop in loops:
        loop.reset(begin, 0)
    return loops[0], loops[1]


def same(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_how_the_epochs_are_cut_into_calls_changes_no_bit(two: tuple[Any, Any]) -> None:
    whole, pieces = two
    at_once = whole.run(1, 60).metrics
    cut = np.concatenate([pieces.run(1, 1).metrics, pieces.run(2, 40).metrics, pieces.run(42, 19).metrics])
    assert at_once.tobytes() == cut.tobytes()
    assert same(whole.state(), pieces.state())


def test_the_state_of_any_epoch_of_a_call_can_be_had_again(two: tuple[Any, Any]) -> None:
    step_by_step, loop = two
    states = [step_by_step.state()]
    for epoch in range(1, 31):
        step_by_step.run(epoch, 1)
        states.append(step_by_step.state())

    loop.run(1, 10)
    call = loop.run(11, 20)
    last = loop.state()
    for epoch, state in loop.replay_states(call, [10, 11, 17, 30]):
        assert same(state, states[epoch]), epoch
        assert same(loop.state(), states[epoch])
    assert same(last, states[30])


def test_the_optimizer_s_slots_are_part_of_the_state(two: tuple[Any, Any]) -> None:
    loop, _ = two
    call = loop.run(1, 20)
    ended = loop.state()
    # Back at epoch 5 with weights alone, Adam's momenta would be those of epoch 20 and the run another one.
    _, _ = next(iter(loop.replay_states(call, [5])))
    again = loop.run(6, 15)
    assert again.metrics.tobytes() == call.metrics[5:].tobytes()
    assert same(loop.state(), ended)


def test_metrics_that_differ_the_second_time_are_an_error(two: tuple[Any, Any]) -> None:
    loop, _ = two
    call = loop.run(1, 5)
    call.metrics[2, 0] = np.nextafter(call.metrics[2, 0], np.float32(1))
    with pytest.raises(ReplayError, match="epochs 1 to 4 gave other metrics"):
        list(loop.replay_states(call, [4]))


def test_reset_begins_the_run_of_another_seed(two: tuple[Any, Any], parts: Splits) -> None:
    reused, fresh = two[0], make_loop(parts, seed=7)
    reused.run(1, 10)
    reused.reset(fresh.state(), seed=7)
    assert reused.run(1, 30).metrics.tobytes() == fresh.run(1, 30).metrics.tobytes()


def test_with_and_without_xla_the_run_is_the_same_up_to_rounding(two: tuple[Any, Any], parts: Splits) -> None:
    compiled, plain = two[0], make_loop(parts, jit_compile=False)
    np.testing.assert_allclose(compiled.run(1, 50).metrics, plain.run(1, 50).metrics, rtol=1e-3, atol=1e-4)


def test_order_is_a_permutation_drawn_from_seed_and_epoch_alone() -> None:
    import tensorflow as tf

    from stopcli.training.step import epoch_order

    def order(seed: int, epoch: int, rows: int, run: Callable[..., Any] = epoch_order) -> Any:
        return run(tf.constant(seed), tf.constant(epoch), rows).numpy()

    compiled = tf.function(epoch_order, jit_compile=True)
    for seed, epoch, rows in [(0, 1, 1), (0, 1, 30), (0, 2, 30), (1, 1, 30), (2**31 - 1, 4000, 1000), (5, 1, 300_000)]:
        drawn = order(seed, epoch, rows)
        assert sorted(drawn) == list(range(rows))
        np.testing.assert_array_equal(drawn, order(seed, epoch, rows))
        np.testing.assert_array_equal(drawn, order(seed, epoch, rows, compiled))
    assert not np.array_equal(order(0, 1, 30), order(0, 2, 30))
    assert not np.array_equal(order(0, 1, 30), order(1, 1, 30))


def test_every_row_is_as_likely_at_every_place() -> None:
    import tensorflow as tf
    from scipy.stats import chisquare

    from stopcli.training.step import epoch_order

    draw = tf.function(lambda epoch: epoch_order(tf.constant(3), epoch, 10))
    orders = np.stack([draw(tf.constant(epoch)).numpy() for epoch in range(1, 3001)])
    p_values = [chisquare(np.bincount(orders[:, index], minlength=10)).pvalue for index in range(10)]
    assert min(p_values) > 1e-4


def test_every_row_is_trained_on_once_an_epoch(parts: Splits) -> None:
    """A model with one weight a row, in which an SGD step moves exactly the weights of the rows in its batch."""
    import keras

    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.step import RowsStep

    rows = 11
    model = keras.Sequential([keras.Input((rows,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    data = Examples(np.eye(rows, dtype=np.float32), np.ones((rows, 1), dtype=np.float32))
    optimizer = keras.optimizers.SGD(0.25)
    step = RowsStep(model, optimizer, keras.losses.MeanSquaredError())
    loop = EpochsLoop(step, train=data, batch_size=4, seed=1)
    loop.run(1, 1)
    # A row's gradient is -2 over its batch's size: 4, or 3 for the last.
    moved = np.sort(model.get_weights()[0].ravel())
    np.testing.assert_allclose(moved, [0.25 * 2 / 4] * 8 + [0.25 * 2 / 3] * 3, rtol=1e-6)
    assert int(optimizer.iterations) == 3


def test_many_rows_are_evaluated_in_parts_and_measured_as_a_whole() -> None:
    import keras

    from stopcli.training.epochs_loop import EVALUATION_BATCH, EpochsLoop
    from stopcli.training.step import BINARY_ACCURACY, RowsStep

    rows = moons(2 * EVALUATION_BATCH + 5, 0.3, 0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
    loss = keras.losses.BinaryCrossentropy()
    loop = EpochsLoop(
        RowsStep(model, keras.optimizers.SGD(0.1), loss, [BINARY_ACCURACY]),
        train=rows.take(0, 64), evaluated={"val": rows}, batch_size=32,
    )  # fmt: skip
    measured = dict(zip(loop.columns, loop.run(1, 1).metrics[0].tolist(), strict=True))
    predictions = model.predict(rows.x, batch_size=4096, verbose=0)
    assert measured["val_loss"] == pytest.approx(float(loss(rows.y, predictions)), rel=1e-5)
    assert measured["val_accuracy"] == pytest.approx(float(np.mean((predictions > 0.5) == (rows.y > 0.5))), abs=1e-6)


@pytest.mark.parametrize(("first", "epochs"), [(0, 1), (1, 0), (1, 4097)])
def test_a_call_out_of_range_is_refused(parts: Splits, first: int, epochs: int) -> None:
    with pytest.raises(ValueError, match="received first_epoch"):
        make_loop(parts).run(first, epochs)


def test_a_batch_size_of_nothing_is_refused(parts: Splits) -> None:
    with pytest.raises(ValueError, match="received batch_size 0, expected ≥ 1"):
        make_loop(parts, batch_size=0)
