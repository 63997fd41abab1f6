"""The loop over long epochs: Keras's training step, the same bits however its steps are cut into calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples

pytestmark = pytest.mark.usefixtures("tensorflow")

CLASSES = 10


def images(rows: int, seed: int) -> Examples:
    """Noise with a brightness that tells the class, so that there is something to learn."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, CLASSES, rows).astype(np.int32)
    x = draw.integers(0, 128, (rows, 16, 16, 3)) + 12 * y[:, None, None, None]
    return Examples(x.astype(np.uint8), y)


def make_loop(
    train: Examples,
    test: Examples,
    *,
    optimizer: str = "sgd",
    augment: Any = None,
    schedule: Any = None,
    fused: bool = True,
    precision: str = "float32",
    **options: Any,
) -> Any:
    import keras

    from stopcli.models.layers import make_optimizer
    from stopcli.models.resnet import resnet_v1
    from stopcli.training.step import CLASS_ACCURACY, Inputs, RowsStep, from_bytes
    from stopcli.training.steps_loop import StepsLoop

    return StepsLoop(
        RowsStep(
            resnet_v1(8, (16, 16, 3), CLASSES, 0, precision=precision),
            make_optimizer(optimizer, 0.01 if optimizer == "sgd" else 0.001),
            keras.losses.SparseCategoricalCrossentropy(),
            [CLASS_ACCURACY],
            Inputs(from_bytes, augment),
            schedule,
            fused=fused,
        ),
        train=train,
        evaluated={"val": test},
        batch_size=32,
        **options,
    )


def epochs_of(loop: Any, epochs: int, steps_a_call: int | None = None) -> np.ndarray:
    """The metrics of some epochs; with calls of a fixed size instead of one that the clock decides."""
    if steps_a_call:
        loop._train_sizer.size = lambda remaining: min(steps_a_call, remaining)
        loop._evaluation_sizer.size = lambda remaining: min(steps_a_call, remaining)
    rows = []
    while len(rows) < epochs:
        call = loop.advance(len(rows) + 1, epochs)
        if call is not None:
            assert (call.first_epoch, call.last_epoch) == (len(rows) + 1, len(rows) + 1)
            rows.append(call.metrics[0])
    return np.stack(rows)


def same(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def noisy(x: Any, seed: Any) -> Any:
    import tensorflow as tf

    return x + tf.random.stateless_uniform(tf.shape(x), seed, 0.0, 0.1, alg="philox")


def test_how_an_epoch_is_cut_into_calls_changes_no_bit() -> None:
    loop = make_loop(images(200, 0), images(300, 1), augment=noisy)
    begin = loop.state()
    at_once = epochs_of(loop, 2, steps_a_call=100)
    end = loop.state()
    loop.reset(begin, 0)
    assert at_once.tobytes() == epochs_of(loop, 2, steps_a_call=1).tobytes()
    assert same(end, loop.state())
    assert loop.columns == ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    assert loop.steps_per_epoch == 7  # 6 full batches, and one of 8 rows


def test_several_loops_in_a_process_are_no_retracing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    import tensorflow as tf

    tf.get_logger().addHandler(caplog.handler)
    try:
        for _ in range(2):
            # Two sizes of a batch to train on, and one to evaluate: six functions, each traced once.
            make_loop(images(40, 0), images(32, 1)).compile()
    finally:
        tf.get_logger().removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def test_a_loop_goes_on_within_an_epoch_from_its_state_and_partial() -> None:
    train, test = images(200, 0), images(60, 1)
    loop, other = make_loop(train, test, augment=noisy), make_loop(train, test, augment=noisy)
    begin = loop.state()
    expected = epochs_of(loop, 2, steps_a_call=3)
    end = loop.state()
    for stops_after in (1, 2, 3):  # within the epoch, before its smaller last batch, before its validation
        loop.reset(begin, 0)
        for _ in range(stops_after):
            assert loop.advance(1, 1) is None
        state, partial = loop.state(), loop.partial
        assert 0 < loop.fraction < 1
        other.reset(begin, 0)
        other.resume(state, partial)
        rows = []
        while len(rows) < 2:
            call = other.advance(len(rows) + 1, 2)
            rows += [] if call is None else [call.metrics[0]]
        assert np.stack(rows).tobytes() == expected.tobytes()
        assert same(other.state(), end)


def test_another_seed_gives_another_order_and_the_same_seed_the_same_run() -> None:
    train, test = images(96, 0), images(32, 1)
    loop = make_loop(train, test, seed=1)
    start = loop.state()
    first = epochs_of(loop, 1)
    loop.reset(start, 2)
    other = epochs_of(loop, 1)
    loop.reset(start, 1)
    assert epochs_of(loop, 1).tobytes() == first.tobytes() != other.tobytes()


def keras_reference(optimizer: str, rows: Examples, steps: int) -> Any:
    """Keras's own model after some steps of its own train_step, on the batches of the loop's first epoch."""
    import keras
    import tensorflow as tf

    from stopcli.models.layers import make_optimizer
    from stopcli.models.resnet import resnet_v1
    from stopcli.seeding import derive_seed
    from stopcli.training.step import epoch_order

    model = resnet_v1(8, (16, 16, 3), CLASSES, 0)
    model.compile(
        make_optimizer(optimizer, 0.01 if optimizer == "sgd" else 0.001),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,
    )
    order = epoch_order(tf.constant(derive_seed(0, "order")), tf.constant(1), rows.count).numpy()
    for step in range(steps):
        indices = order[32 * step : 32 * (step + 1)]
        model.train_on_batch(rows.x[indices].astype(np.float32) / 255, rows.y[indices])
    return model


def differences(loop: Any, reference: Any) -> dict[str, float]:
    """The largest difference of each weight, statistic and slot, by its path."""
    variables = [*reference.variables, *reference.optimizer.variables]
    return {
        variable.path: float(np.max(np.abs(np.asarray(value, np.float64) - variable.numpy())))
        for value, variable in zip(loop.state(), variables, strict=True)
    }


def test_a_step_is_that_of_keras() -> None:
    """Weights, slots and statistics after steps with momentum, by the fused kernel."""
    rows = images(96, 0)
    loop = make_loop(rows, rows.take(0, 32))
    epochs_of(loop, 1)
    assert max(differences(loop, keras_reference("sgd", rows, 3)).values()) <= 1e-5


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_a_step_of_an_optimizer_that_divides_by_its_gradients_is_that_of_keras(optimizer: str) -> None:
    """With Keras's own batch normalization the loop is Keras to 1e-5; the fused kernel differs in rounding alone.

    RMSprop and Adam divide a gradient by its own size, so where it is nothing but rounding they follow the rounding.
    The gradient of a convolution's bias before a batch normalization is 0 by mathematics, so these biases are left out
    throughout; with the fused kernel some other weights have such gradients too (Keras with XLA differs from Keras
    without it by 6e-5 there), so it is held to Keras by slots and statistics, which show the gradients themselves.
    """
    rows = images(96, 0)
    reference = keras_reference(optimizer, rows, 1)
    loop = make_loop(rows, rows.take(0, 32), optimizer=optimizer, fused=False)
    loop._train_sizer.size = lambda remaining: 1
    loop.advance(1, 1)
    deviations = differences(loop, reference)
    assert max(value for path, value in deviations.items() if not path.endswith("_conv/bias")) <= 1e-5

    fused = make_loop(rows, rows.take(0, 32), optimizer=optimizer)
    fused._train_sizer.size = lambda remaining: 1
    fused.advance(1, 1)
    deviations = differences(fused, reference)
    shown = {path: value for path, value in deviations.items() if optimizer in path or "moving" in path}
    assert len(shown) > 20
    assert max(shown.values()) <= 1e-5


def test_an_epoch_tracks_fit() -> None:
    """The learning curve of `model.fit` on the same batches: loss and accuracy, of training and validation."""
    import keras

    rows, test = images(640, 0), images(300, 1)
    loop = make_loop(rows, test)
    metrics = epochs_of(loop, 3)
    model = keras_reference("sgd", rows, 0)

    import tensorflow as tf

    from stopcli.seeding import derive_seed
    from stopcli.training.step import epoch_order

    history = []
    for epoch in (1, 2, 3):
        order = epoch_order(tf.constant(derive_seed(0, "order")), tf.constant(epoch), rows.count).numpy()
        fitted = model.fit(
            rows.x[order].astype(np.float32) / 255,
            rows.y[order],
            batch_size=32,
            shuffle=False,
            validation_data=(test.x.astype(np.float32) / 255, test.y),
            verbose=0,
        ).history
        history.append([fitted[name][0] for name in ("loss", "accuracy", "val_loss", "val_accuracy")])
    keras.backend.clear_session()
    np.testing.assert_allclose(metrics[:, 0], np.array(history)[:, 0], rtol=2e-3)
    np.testing.assert_allclose(metrics[:, 1], np.array(history)[:, 1], atol=4 / 640)
    np.testing.assert_allclose(metrics[:, 2], np.array(history)[:, 2], rtol=2e-2)


def test_the_learning_rate_comes_from_the_step_and_is_logged() -> None:
    from stopcli.schedules.cyclic import CyclicLR

    train, test = images(200, 0), images(32, 1)
    schedule = CyclicLR(0.001, 0.01, step_size=5)
    loop = make_loop(train, test, schedule=schedule, log_steps=True)
    loop._train_sizer.size = lambda remaining: min(4, remaining)
    rows, logs = [], []
    while len(rows) < 2:
        call = loop.advance(len(rows) + 1, 2)
        log = loop.take_log()
        logs += [log] if log else []
        rows += [] if call is None else [call.metrics[0]]
    assert [log.first_step for log in logs] == [1, 5, 7, 8, 12, 14]
    rates = np.concatenate([log.values[:, 0] for log in logs])
    np.testing.assert_allclose(rates, [float(schedule(step)) for step in range(14)], rtol=0, atol=0)
    assert rows[0][-1] == rates[6]
    assert loop.take_log() is None


def test_what_is_saved_has_standard_layers_alone_and_the_loops_numbers(tmp_path: Any) -> None:
    import keras

    from stopcli.models.twin import with_fast_kernels

    train, test = images(96, 0), images(64, 1)
    loop = make_loop(train, test)
    row = epochs_of(loop, 1)[0]
    loop.model.save(tmp_path / "model.keras")
    saved = keras.saving.load_model(tmp_path / "model.keras")
    assert {type(layer).__module__.split(".")[0] for layer in saved.layers} == {"keras"}
    x = test.x.astype(np.float32) / 255
    assert np.mean(np.argmax(saved.predict(x, verbose=0), axis=1) == test.y) == pytest.approx(row[3], abs=1e-6)
    np.testing.assert_allclose(with_fast_kernels(saved)(x), saved(x), atol=1e-6)


def test_under_xla_the_loop_trains_the_same() -> None:
    """What a GPU runs: fixed shapes and augmentation, all in compiled functions."""
    from stopcli.augment.base import Augmentation
    from stopcli.augment.erasing import ErasingOp
    from stopcli.augment.shift import ShiftAndFlip

    train, test = images(64, 0), images(40, 1)
    augment = Augmentation((ErasingOp(), ShiftAndFlip(2)))
    plain, compiled = (make_loop(train, test, augment=augment, jit_compile=jit) for jit in (False, True))
    np.testing.assert_allclose(epochs_of(compiled, 1)[:, [0, 2, 4]], epochs_of(plain, 1)[:, [0, 2, 4]], rtol=2e-3)


def test_half_precision_trains_with_scaled_losses_and_float32_statistics() -> None:
    import keras

    from stopcli.models.resnet import resnet_v1
    from stopcli.training.step import Inputs, RowsStep, from_bytes
    from stopcli.training.steps_loop import StepsLoop

    train, test = images(32, 0), images(16, 1)
    model = resnet_v1(8, (16, 16, 3), CLASSES, 0, precision="mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01))
    loss = keras.losses.SparseCategoricalCrossentropy()
    schedule = keras.optimizers.schedules.CosineDecay(0.02, 10)
    step = RowsStep(model, optimizer, loss, (), Inputs(from_bytes), schedule, fused=True)
    loop = StepsLoop(step, train=train, evaluated={"val": test}, batch_size=32)
    rows = epochs_of(loop, 3)
    assert np.isfinite(rows).all()
    full = epochs_of(make_loop(train, test), 1)
    assert rows[0, 0] == pytest.approx(full[0, 0], rel=0.02)
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert rows[0, -1] == np.float32(0.02)


def test_an_epoch_in_bfloat16_is_near_that_in_float32() -> None:
    """The loss of every step within 2 %, and the averages of batch normalizations, all in all, within 1 %."""
    train, test = images(256, 0), images(32, 1)
    losses, averages = [], []
    for precision in ("float32", "mixed_bfloat16"):
        loop = make_loop(train, test, optimizer="rmsprop", precision=precision, log_steps=True)
        loop._train_sizer.size = lambda remaining: min(100, remaining)
        assert loop.advance(1, 1) is None
        losses.append(loop.take_log().values[:, 1])
        moving = [weight.numpy() for weight in loop.model.weights if "moving" in weight.path]
        averages.append(np.concatenate(moving))
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    assert np.linalg.norm(averages[1] - averages[0]) <= 1e-2 * np.linalg.norm(averages[0])


def test_xla_compiles_once_and_not_for_each_call() -> None:
    import time

    import keras

    from stopcli.training.step import RMSE, RowsStep
    from stopcli.training.steps_loop import StepsLoop

    draw = np.random.default_rng(0)
    rows = Examples(draw.random((640, 3), np.float32), draw.random((640, 1), np.float32))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    step = RowsStep(model, keras.optimizers.SGD(0.01), keras.losses.MeanSquaredError(), [RMSE])
    loop = StepsLoop(step, train=rows, evaluated={"val": rows}, batch_size=16, jit_compile=True)
    start = time.process_time()
    loop.compile()
    compiled = time.process_time()
    # Each of the 13 calls begins at another row.
    epochs_of(loop, 1, 3)
    assert time.process_time() - compiled < (compiled - start) / 2
