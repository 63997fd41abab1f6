from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from stopcli.configs.fit import FitConfig
from stopcli.configs.training import StopPlan
from stopcli.configs.user_code import NOT_EXACT
from stopcli.data.dataset import Examples, Splits
from stopcli.recipes.loop_choice import Cost, LoopChoice, _seconds, choose_between, choose_loop, loop_of_dense
from stopcli.stopping import AnyOf, BestEpoch, NonFinite


@dataclass(frozen=True)
class Settings:
    loop: str = "auto"
    xla: str = "auto"
    epochs: int = 100


PLAIN = Cost(compile_seconds=0.5, step_seconds=100e-6, exact=True)
BY_XLA = Cost(compile_seconds=2.5, step_seconds=20e-6, exact=True)


def chosen(plain: Cost | None, by_xla: Cost | None, steps: int = 1000, **settings: Any) -> tuple[str, str, bool]:
    choice = choose_between(plain, by_xla, Settings(**settings), steps, "why")
    return choice.loop, choice.xla, choice.exact


@pytest.mark.parametrize(
    ("plain", "by_xla", "expected"),
    [
        # 100,000 steps: 10 s against 2 s, with 2 s more to compile.
        (PLAIN, BY_XLA, ("epochs", "yes", True)),
        # It saves less than it costs, or nothing.
        (Cost(0.5, 30e-6, True), BY_XLA, ("epochs", "no", True)),
        (Cost(0.5, 21e-6, True), Cost(0.5, 20e-6, True), ("epochs", "no", True)),
        (PLAIN, None, ("epochs", "no", True)),
        # An epoch of a second.
        (Cost(0.5, 1e-3, True), Cost(2.5, 1e-3, True), ("steps", "no", True)),
        # What can be repeated goes first.
        (Cost(0.5, 10e-6, False), BY_XLA, ("epochs", "yes", True)),
        (PLAIN, Cost(2.5, 1e-6, False), ("epochs", "no", True)),
        (Cost(0.5, 10e-6, False), None, ("steps", "no", False)),
    ],
)
def test_what_is_faster_in_all_is_chosen(plain: Cost, by_xla: Cost | None, expected: tuple[str, str, bool]) -> None:
    assert chosen(plain, by_xla) == expected


def test_what_the_settings_say_is_not_chosen() -> None:
    assert chosen(None, BY_XLA, xla="yes") == ("epochs", "yes", True)
    assert chosen(PLAIN, None, xla="no") == ("epochs", "no", True)
    assert chosen(PLAIN, None, loop="steps") == ("steps", "no", True)
    assert chosen(Cost(0.5, 1.0, False), None, loop="epochs") == ("epochs", "no", False)


def experiment_with(layer: Any) -> Any:
    import keras

    from stopcli.training.trainer import Experiment

    x = np.random.default_rng(0).random((70, 3), dtype=np.float32)
    rows = Examples(x, x.sum(axis=1, keepdims=True))
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    plan = StopPlan(AnyOf((NonFinite(("loss",)),)), BestEpoch("val_loss", "min"))
    loss = keras.losses.MeanSquaredError()
    parts = Splits(rows, rows.take(0, 20), rows.take(0, 0))
    return Experiment(model, model.optimizer, loss, (), parts, 32, 10, 0, plan, "rows")


def choice_of(layer: Any, **settings: Any) -> tuple[LoopChoice, Any, list[Any]]:
    experiment = experiment_with(layer)
    before = experiment.initial_state()
    choice = choose_loop(experiment, Settings(**settings))
    return choice, before, list(experiment.initial_state())


@pytest.mark.usefixtures("tensorflow")
def test_a_model_is_measured_and_as_it_was_afterwards() -> None:
    import keras

    choice, before, after = choice_of(keras.layers.Dropout(0.5, seed=1), epochs=10)
    assert (choice.loop, choice.xla, choice.exact) == ("epochs", "no", True)
    # 30 steps are not worth compiling for.
    assert "all epochs take about" in choice.reason
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.usefixtures("tensorflow")
def test_a_model_that_draws_by_itself_is_not_exact() -> None:
    import keras
    import tensorflow as tf

    class Noise(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x + tf.random.normal(tf.shape(x))

    choice, _, _ = choice_of(Noise(), xla="no")
    assert (choice.loop, choice.xla, choice.exact) == ("steps", "no", False)
    # All arms are computed in one way.
    first, others = experiment_with(keras.layers.ReLU()), [experiment_with(Noise())]
    choice = choose_loop(first, Settings(xla="no"))
    assert choice.loop == "epochs"
    assert "without XLA (as the settings say; " in choice.reason
    choice = choose_loop(first, Settings(xla="no"), others=others)
    assert (choice.loop, choice.xla, choice.exact) == ("steps", "no", False)


@pytest.mark.parametrize(
    ("rows", "batch", "parameters", "loop"),
    [
        (300, 32, 5_000, "epochs"),
        (20_000, 256, 6_000, "epochs"),
        # A million rows of 30 columns, measured: half a second an epoch.
        (640_000, 1024, 6_200, "steps"),
        (20_000, 32, 2_000_000, "steps"),
    ],
)
def test_a_dense_network_goes_by_its_size(rows: int, batch: int, parameters: int, loop: str) -> None:
    train = Examples(np.zeros((rows, 1), np.float32), np.zeros(rows, np.float32))
    parts = Splits(train, train.take(0, 1), train.take(0, 0))
    choice = loop_of_dense(parts, Settings(), batch, parameters)
    assert (choice.loop, choice.xla, choice.exact) == (loop, "yes", True)
    assert "by the size of the network" in choice.reason
    by_hand = loop_of_dense(parts, Settings(loop="steps"), batch, parameters)
    assert by_hand.loop == "steps"


def test_a_run_that_is_not_exact_says_so() -> None:
    assert FitConfig(file="net.py", exact=True).warnings() == []
    assert FitConfig(file="net.py", exact=False).warnings() == [NOT_EXACT]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12e-6, "12 µs"), (2.14e-3, "2.1 ms"), (0.0997, "100 ms"), (0.377, "377 ms"), (99.7, "100 s"), (240.4, "240 s")],
)
def test_a_time_is_never_written_with_an_exponent(seconds: float, text: str) -> None:
    assert _seconds(seconds) == text
