"""The reduction on a plateau decides as Keras's ReduceLROnPlateau does."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stopcli.schedules.plateau import Plateau, PlateauState

pytestmark = pytest.mark.usefixtures("tensorflow")


def keras_rates(plateau: Plateau, values: list[float], rate: float) -> list[float]:
    """The learning rate after each epoch, by Keras's callback."""
    import keras

    class Optimizer:
        learning_rate: Any = np.float32(rate)

    class Model:
        optimizer = Optimizer()
        metrics: tuple[Any, ...] = ()

    callback = keras.callbacks.ReduceLROnPlateau(
        plateau.monitor,
        plateau.factor,
        plateau.patience,
        mode=plateau.direction,
        min_delta=plateau.min_delta,
        cooldown=plateau.cooldown,
        min_lr=plateau.least,
    )
    callback.set_model(Model())
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {plateau.monitor: value})
        Model.optimizer.learning_rate = np.float32(Model.optimizer.learning_rate)
        rates.append(float(Model.optimizer.learning_rate))
    return rates


def our_rates(plateau: Plateau, values: list[float], rate: float) -> list[float]:
    state, rates = PlateauState(), []
    rate = float(np.float32(rate))
    for value in values:
        # The state goes through what is saved, as in a run that is resumed after every epoch.
        state, rate = plateau.update(plateau.state_from_dict(state._asdict()), value, rate)
        rate = float(np.float32(rate))
        rates.append(rate)
    return rates


@settings(max_examples=300, deadline=None)
@example([0.7, 0.8], "max", 1, 0, 0.1, 0.0)  # 0.8 − 0.1 is more than 0.7 as float64, and not as float32
@given(
    values=st.lists(st.integers(0, 12).map(lambda n: n / 10), min_size=1, max_size=40),
    direction=st.sampled_from(["min", "max"]),
    patience=st.integers(1, 4),
    cooldown=st.integers(0, 3),
    min_delta=st.sampled_from([0.0, 1e-4, 0.1]),
    least=st.sampled_from([0.0, 2e-3]),
)
def test_the_rates_are_those_of_keras(
    values: list[float], direction: Any, patience: int, cooldown: int, min_delta: float, least: float
) -> None:
    plateau = Plateau("val_loss", direction, 0.5, patience, min_delta, cooldown, least)
    assert our_rates(plateau, values, 0.01) == keras_rates(plateau, values, 0.01)


def test_a_value_that_is_no_number_is_no_improvement() -> None:
    plateau = Plateau("val_loss", "min", 0.5, 2)
    assert our_rates(plateau, [1.0, float("nan"), float("nan")], 0.5) == [0.5, 0.5, 0.25]


@pytest.mark.parametrize(("mode", "value"), [("min", math.inf), ("max", math.inf), ("min", math.nan)])
def test_a_value_that_is_not_finite_is_never_the_best_and_can_be_saved(mode: str, value: float) -> None:
    """It ends the run, whose state is saved with the plateau's."""
    plateau = Plateau("val_loss", mode)
    for state in (PlateauState(), PlateauState(best=1.0)):
        after, rate = plateau.update(state, value, 0.1)
        assert (after.best, rate) == (state.best, 0.1)
        json.dumps(after._asdict(), allow_nan=False)
