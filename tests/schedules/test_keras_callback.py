"""Schedules in a plain `model.fit` whose optimizer was compiled with a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def compiled(learning_rate: Any) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    return model


def rows() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(20, 4)).astype(np.float32), draw.normal(size=(20, 3)).astype(np.float32)


def test_the_callback_trains_as_the_schedule_does_within_the_optimizer() -> None:
    from stopcli import CyclicLR, ScheduleLearningRate

    x, y = rows()
    schedule = CyclicLR(0.01, 0.1, 3, "triangular2")
    within, by_callback = compiled(schedule), compiled(0.5)
    within.fit(x, y, batch_size=5, epochs=4, shuffle=False, verbose=0)
    callback = ScheduleLearningRate(schedule)
    # In two parts: the second goes on in the cycle.
    for _ in range(2):
        told = by_callback.fit(x, y, batch_size=5, epochs=2, shuffle=False, verbose=0, callbacks=[callback])
    for ours, theirs in zip(by_callback.get_weights(), within.get_weights(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    assert told.history["learning_rate"] == pytest.approx([float(schedule(11)), float(schedule(15))])


def test_an_optimizer_with_a_schedule_needs_no_callback() -> None:
    from stopcli import CyclicLR, ScheduleLearningRate

    x, y = rows()
    schedule = CyclicLR(0.01, 0.1, 3)
    with pytest.raises(ValueError, match="received one with its own schedule \\(CyclicLR\\), expected a number"):
        compiled(schedule).fit(x, y, verbose=0, callbacks=[ScheduleLearningRate(schedule)])


def test_a_rate_for_each_update_needs_a_call_for_each_update() -> None:
    import keras

    from stopcli import CyclicLR, ScheduleLearningRate

    x, y = rows()
    schedule = CyclicLR(0.01, 0.1, 3)
    model = compiled(0.5)
    model.compile(keras.optimizers.SGD(0.5), "mse", steps_per_execution=4)
    with pytest.raises(ValueError, match="steps_per_execution: received 4, expected 1"):
        model.fit(x, y, verbose=0, callbacks=[ScheduleLearningRate(schedule)])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(schedule)), "mse")
    with pytest.raises(ValueError, match="its own schedule"):
        model.fit(x, y, verbose=0, callbacks=[ScheduleLearningRate(schedule)])
