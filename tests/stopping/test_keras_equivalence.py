"""Patience and the best epoch against Keras's own callbacks, driven with the same values."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from keras_stops import StubModel, keras_stop

from stopcli.stopping import BestEpoch, BestState, Patience, RuleRunner

pytestmark = pytest.mark.usefixtures("tensorflow")


def our_stop(values: Sequence[float], **options: Any) -> tuple[int | None, int]:
    """(epoch at which Patience stops, or None; the best epoch it names)."""
    judge = RuleRunner(Patience(monitor="val_loss", **options))
    for epoch, value in enumerate(values, start=1):
        verdict = judge.update(epoch, {"val_loss": value})
        if verdict is not None:
            return verdict.epoch, verdict.best_epoch
    return None, judge.state.best_epoch


def random_case(draw: random.Random) -> tuple[list[float], dict[str, Any]]:
    # Few different values, so that there are many ties; of decimals, which no binary number is, as often as not.
    unit = draw.choice([1 / 64, 0.01, 0.001])
    length = draw.randint(1, 40)
    value, values = 64, []
    for _ in range(length):
        value = max(0, value + draw.randint(-6, 5))
        values.append(value * unit)
    options = {
        "patience": draw.choice([0, 0, 1, 1, 2, 3, 5, 10]),
        "min_delta": draw.choice([0, 0, unit, 4 * unit, 0.5]),
        "mode": draw.choice(["min", "max"]),
        "start_from_epoch": draw.choice([0, 0, 0, 1, 3, 10]),
    }
    return values, options


@pytest.mark.slow
def test_patience_stops_where_keras_stops_on_thousands_of_random_runs() -> None:
    draw = random.Random(0)
    stopped = 0
    for _ in range(4000):
        values, options = random_case(draw)
        keras_epoch, _ = keras_stop(values, **options)
        our_epoch, _ = our_stop(values, **options)
        assert our_epoch == keras_epoch, (values, options)
        stopped += keras_epoch is not None
    # The cases are only worth something where many stop and many do not.
    assert 1000 < stopped < 3500


def test_the_restored_epoch_is_keras_s_without_min_delta() -> None:
    draw = random.Random(1)
    for _ in range(500):
        values, options = random_case(draw)
        options["min_delta"], options["start_from_epoch"] = 0, 0
        assert our_stop(values, **options) == keras_stop(values, **options), (values, options)


def test_with_min_delta_keras_restores_an_epoch_that_is_not_the_best_and_we_the_best() -> None:
    values, options = [1.0, 0.96, 0.92, 0.91, 0.93], {"patience": 4, "min_delta": 0.5}
    assert keras_stop(values, **options) == (5, 1)
    assert our_stop(values, **options) == (5, 4)


def test_a_baseline_never_met_by_improving_values_never_stops_keras_and_stops_us() -> None:
    values = [1.0 - 0.01 * i for i in range(50)]
    assert keras_stop(values, patience=5, baseline=0.1)[0] is None
    assert our_stop(values, patience=5, baseline=0.1)[0] == 5


def test_a_nan_at_first_is_keras_s_best_for_ever_and_ends_our_run() -> None:
    values = [math.nan, 0.5, 0.4, 0.3, 0.2]
    stopped, restored = keras_stop(values, patience=2)
    assert stopped == 3, "Keras compares every later value with the NaN, so none improves"
    assert restored == 1
    assert our_stop(values, patience=2)[0] == 1


def test_a_start_beyond_the_last_epoch_restores_nothing_in_keras() -> None:
    stopped, restored = keras_stop([0.5, 0.1, 0.9], patience=1, start_from_epoch=10)
    assert (stopped, restored) == (None, 3)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_best_epoch_is_the_one_that_keras_s_checkpoint_keeps(mode: str, tmp_path: Any) -> None:
    import keras

    draw = random.Random(2)
    for i in range(200):
        values, _ = random_case(draw)
        if i % 2:
            # Of float64, with ties in float32.
            values = [value + draw.choice([0, 1e-9, 2e-9]) for value in values]
        model = StubModel()
        path = tmp_path / "best.weights.h5"
        kept = keras.callbacks.ModelCheckpoint(
            path, monitor="val_loss", mode=mode, save_best_only=True, save_weights_only=True
        )
        kept.set_model(model)
        best, state = BestEpoch("val_loss", mode), BestState()
        for epoch, value in enumerate(values):
            model.weight = epoch + 1
            kept.on_epoch_end(epoch, {"val_loss": value})
            state = best.update(state, epoch + 1, {"val_loss": value})
        assert model.saved[-1] == state.epoch, (values, mode)
        assert np.isclose(kept.best, state.value)
