"""Models trained by what they were compiled with: the numbers of Keras's `fit`, whatever the model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from compiled_models import CASES, SEED, fit_of, largest_difference, loop_of, measured, seeded

from stopcli.data.dataset import Examples
from stopcli.data.nest import map_nest
from stopcli.errors import RequestError

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_loss_and_metrics_are_those_of_fit(name: str) -> None:
    case, epochs = CASES[name], 4
    train, test = case.rows(70, 0), case.rows(40, 1)
    theirs = fit_of(case, train, test, 16, epochs)
    # One of the loops for each model, so that no minute goes by.
    loop = loop_of(case, train, test, 16, short=name != "two outputs")
    assert loop._step.columns == case.columns
    ours = measured(loop, epochs)
    assert set(theirs) == set(ours) - {"learning_rate"}
    assert max(largest_difference(ours, theirs).values()) <= 1e-4


@pytest.mark.slow
def test_under_xla_the_loop_trains_the_same() -> None:
    case = CASES["regression"]
    train, test = case.rows(70, 0), case.rows(40, 1)
    plain, compiled = (
        measured(loop_of(case, train, test, 16, short=True, jit=jit), 3) for jit in (False, True)
    )  # fmt: skip
    assert max(largest_difference(compiled, {k: list(v) for k, v in plain.items()}).values()) <= 1e-4


def test_a_loop_goes_on_within_an_epoch_with_the_state_of_its_metrics(tmp_path: Path) -> None:
    """The area under a curve is no mean over rows; dropout's noise goes on too."""
    from stopcli.training.loop import Partial
    from stopcli.training.state_file import StateStore, read_state

    case = CASES["lstm"]
    train, test = case.rows(70, 0), case.rows(40, 1)
    loop = loop_of(case, train, test, 16, short=False)
    loop._train_sizer.size = loop._evaluation_sizer.size = lambda most: min(2, most)
    begin, rows, saved = loop.state(), [], []
    while len(rows) < 2:
        block = loop.advance(len(rows) + 1, 1)
        saved.append((len(rows), loop.state(), loop.partial))
        rows += [] if block is None else [block.metrics[0]]
    end = loop.state()
    within = [entry for entry in saved if entry[2] is not None]
    assert len(within) >= 6
    for epoch, state, partial in within[:4]:  # twice within the epoch, once before its validation, once within that
        StateStore(tmp_path).save(train_state(live=state, partial_sums=partial.sums, step=partial.steps))
        read = read_state(tmp_path / f"step-{partial.steps:012}.state")
        loop.reset(begin, SEED)
        loop.resume(read.live, Partial(partial.steps, read.partial_sums))
        repeated = rows[:epoch]
        while len(repeated) < 2:
            block = loop.advance(len(repeated) + 1, 1)
            repeated += [] if block is None else [block.metrics[0]]
        assert np.stack(repeated).tobytes() == np.stack(rows).tobytes()
        assert [array.tobytes() for array in loop.state()] == [array.tobytes() for array in end]


def train_state(**fields: Any) -> Any:
    from stopcli.training.state_file import TrainState

    empty: dict[str, Any] = {name: {} for name in ("rule_state", "best", "best_states", "files", "fingerprint")}
    return TrainState(epoch=0, train_seconds=0.0, **empty, **fields)


def line(**compiled: Any) -> Any:
    """A model of one number, y = wx, whose w is 0."""
    import keras

    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="line")]
    )
    model.compile(**{"optimizer": keras.optimizers.SGD(0.1), "loss": "mse", **compiled})
    return model


LINE = Examples(np.array([[1.0], [2.0], [3.0]], np.float32), np.array([[1.0], [1.0], [2.0]], np.float32))


def run_line(model: Any, rows: Examples = LINE, batch_size: int = 3, **options: Any) -> tuple[Any, dict[str, float]]:
    """The step after an epoch in batches of consecutive rows, and what it logged."""
    from stopcli.training.compiled_step import CompiledStep
    from stopcli.training.epochs_loop import EpochsLoop

    step = CompiledStep(model, rows, **options)
    loop = EpochsLoop(step, train=rows, batch_size=batch_size, shuffle=False, jit_compile=False)
    return step, dict(zip(loop.columns, loop.run(1, 1).metrics[0].tolist(), strict=True))


def test_augmented_rows_count_as_those_that_come_out() -> None:
    import tensorflow as tf

    def with_negatives(x: Any, y: Any, seed: Any) -> Any:
        assert seed.shape == (2,)
        more = tf.cast(tf.shape(x)[0] == 2, tf.float32)
        return tf.concat([x, -x[:1]], axis=0), tf.concat([y, [[more]]], axis=0)

    # Batches of 2 and 1 rows become 3 and 2: x 1, 2, −1 with y 1, 1, 1, and x 3, −3 with y 2, 0.
    step, logged = run_line(line(metrics=["mae"]), batch_size=2, augment=with_negatives)
    w = 0.1 * 2 * (1 + 2 - 1) / 3
    second = (3 * w - 2) ** 2, (3 * w) ** 2
    assert logged["loss"] == pytest.approx((3 * 1 + sum(second)) / 5, rel=1e-5)
    assert logged["mae"] == pytest.approx((3 * 1 + abs(3 * w - 2) + abs(3 * w)) / 5, rel=1e-5)
    w -= 0.1 * 2 * ((3 * w - 2) * 3 + (-3 * w) * -3) / 2
    assert step.model.get_weights()[0].item() == pytest.approx(w, rel=1e-5)


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (lambda x, y, seed: x, r"augment: expected \(x, y\) or \(x, y, weight\) back"),
        (lambda x, y, seed: (x[:1], y), r"the shapes \[1, 1\], \[3, 1\], expected the same number of rows in each"),
        (
            lambda x, y, seed: (x, y * np.ones((1, 4), "f")),
            r"targets whose rows have the shape \[4\], expected \[1\], as data",
        ),
        (lambda x, y, seed: (x[:2], y[:2]), "received 2 rows of 3 weighted ones, expected their weights too"),
    ],
)
def test_what_augment_returns_is_checked(augment: Any, message: str) -> None:
    rows = Examples(LINE.x, LINE.y, np.ones(3, np.float32))
    with pytest.raises(RequestError, match=message):
        run_line(line(), rows, augment=augment)


def test_a_schedule_and_a_momentum_take_the_place_of_the_optimizers() -> None:
    import keras
    import tensorflow as tf

    rates = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.1)
    model = line(optimizer=keras.optimizers.SGD(rates, momentum=0.9))
    # The loss is (w − 1)², whose gradient is 2 (w − 1); of the two updates, the second uses the momentum passed.
    rows = Examples(np.ones((2, 1), np.float32), np.ones((2, 1), np.float32))
    step, logged = run_line(
        model, rows, 1, schedule=lambda update: tf.gather([0.25, 0.125], update), momentum=lambda update: 0.5
    )
    # v = −0.25 · −2 = 0.5, w = 0.5; v = 0.5 · 0.5 + 0.125 · 1 = 0.375, w = 0.875.
    assert model.get_weights()[0].item() == pytest.approx(0.875)
    assert logged["learning_rate"] == 0.125
    assert step.optimizer is model.optimizer
    assert model.optimizer.get_config()["learning_rate"] == 0.125


def test_a_schedule_in_the_optimizer_is_the_learning_rate() -> None:
    import keras

    _, logged = run_line(line(optimizer=keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5))))
    assert logged["learning_rate"] == 0.5


def step_of(loss: Any, metrics: list[Any], units: int = 3) -> Any:
    import keras

    from stopcli.training.compiled_step import CompiledStep

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation="softmax")])
    model.compile("sgd", loss, metrics=metrics)
    sparse = str(getattr(loss, "name", loss)).startswith(("sparse", "circle"))
    targets = np.arange(3) if sparse else np.eye(3, dtype=np.float32)
    return CompiledStep(model, Examples(np.eye(3, dtype=np.float32), targets))


def annealed() -> Any:
    import keras

    class Annealed(keras.losses.Loss):
        def __init__(self) -> None:
            super().__init__()
            self.steps = keras.Variable(0.0, trainable=False)

        def call(self, y_true: Any, y_pred: Any) -> Any:
            self.steps.assign_add(1.0)
            return keras.ops.mean(keras.ops.square(y_true - y_pred), -1) * self.steps

    return Annealed()


def noisy() -> Any:
    import keras

    generator = keras.random.SeedGenerator(0)

    def loss(y_true: Any, y_pred: Any) -> Any:
        noise = keras.random.normal(keras.ops.shape(y_pred), seed=generator)
        return keras.ops.mean(keras.ops.square(y_true - y_pred + noise), -1)

    return loss


@pytest.mark.parametrize("loss", [annealed, noisy])
def test_a_loss_that_keeps_a_state_is_refused(loss: Any) -> None:
    """Its variables would stay what they were, and its random numbers be the same in every update."""
    with pytest.raises(RequestError, match="loss: received one that changes a variable or draws random numbers"):
        step_of(loss(), [])


@pytest.mark.parametrize(
    ("loss", "metrics", "independent"),
    [
        ("mse", ["mae"], True),
        ("mse", ["accuracy"], True),
        ("categorical_crossentropy", ["accuracy"], True),
        ("sparse_categorical_crossentropy", ["sparse_categorical_accuracy"], True),
        ("dice", [], False),
        ("tversky", [], False),
        ("circle", [], False),
        # Of two outputs, as many as there are rows in the trial.
        (lambda keras: keras.losses.Dice(axis=0), [], False),
        (lambda keras: keras.losses.CosineSimilarity(axis=0), [], False),
        (lambda keras: keras.losses.Dice(axis=-1), [], True),
        (lambda keras: keras.losses.SparseCategoricalCrossentropy(ignore_class=0, name="sparse"), [], False),
        ("mse", [lambda keras: keras.losses.dice], False),
    ],
)
def test_what_is_computed_of_a_whole_batch_is_measured_in_the_batches_of_fit(
    loss: Any, metrics: list[Any], *, independent: bool
) -> None:
    import keras

    loss, *metrics = (made(keras) if callable(made) else made for made in (loss, *metrics))
    step = step_of(loss, metrics)
    assert step.rows_are_independent == independent


def test_a_metric_that_is_not_a_number_is_refused() -> None:
    import keras

    from stopcli.training.compiled_step import CompiledStep

    rows = Examples(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score(name="f1")])
    with pytest.raises(RequestError, match=r"f1 is an array of shape \[3\], expected a single number") as caught:
        CompiledStep(model, rows)
    assert "average='macro'" in caught.value.hint


@pytest.mark.parametrize("name", ["cnn", "two outputs"])
def test_a_saved_model_measures_what_was_recorded(name: str, tmp_path: Path) -> None:
    from stopcli.configs.training import StopPlan
    from stopcli.data.dataset import Splits
    from stopcli.training.compiled_step import CompiledStep
    from stopcli.training.evaluate import evaluate_model, predictor_of
    from stopcli.training.model_files import load_model, save_model
    from stopcli.training.trainer import Experiment

    case = CASES[name]
    train, test = case.rows(70, 0), case.rows(40, 1)
    model, plan = seeded(case.build), cast(StopPlan, SimpleNamespace(monitors=set()))
    experiment = Experiment(
        model, model.optimizer, model.loss, (), Splits(train, test.take(0, 0), test), 16, 2, SEED, plan, "rows",
        jit_compile=False, step=CompiledStep(model, train),
    )  # fmt: skip
    loop = experiment.make_loop()
    row = dict(zip(loop.columns, measured_last(loop), strict=True))
    save_model(model, tmp_path / "model.keras")
    saved = load_model(tmp_path / "model.keras")
    values, predictions = evaluate_model(experiment, saved, predictor_of(experiment, saved))
    assert set(values) == {"train", "test"}
    assert values["test"] == pytest.approx({name: row[f"test_{name}"] for name in case.columns}, rel=1e-5, abs=1e-6)
    shapes = map_nest(lambda array: array.shape, predictions)
    assert shapes == ((40, 3) if name == "cnn" else {"size": (40, 1), "kind": (40, 3)})


def measured_last(loop: Any) -> list[float]:
    return [float(values[-1]) for values in measured(loop, 2).values()]
