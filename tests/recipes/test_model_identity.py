from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stopcli.errors import CheckpointError, RequestError

pytestmark = pytest.mark.usefixtures("tensorflow")

X = np.random.default_rng(0).random((6, 3), dtype=np.float32)


def plain(units: int = 4) -> Any:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=[keras.metrics.MeanAbsoluteError()])
    return model


def functional() -> Any:
    """With operations on its tensors, and a constant."""
    import keras

    rows = keras.Input((3,))
    sides = [keras.layers.Dense(2)(rows), keras.layers.Dense(2, activation="relu")(rows)]
    joined = keras.ops.multiply(keras.layers.Add()(sides) + 1.0, np.ones(2, "float32"))
    model = keras.Model(rows, keras.layers.Dense(1)(joined))
    model.compile("adam", "mse", metrics=["mae"])
    return model


def with_function() -> Any:
    import keras

    def double(values: Any) -> Any:
        return values * 2

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation=double), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def with_lambda() -> Any:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def subclass() -> Any:
    """Of a class that cannot tell its settings."""
    import keras

    class Net(keras.Model):
        def __init__(self, layers: Any) -> None:
            super().__init__()
            self.parts = layers

        def call(self, x: Any) -> Any:
            return sum(layer(x) for layer in self.parts)

    model = Net([keras.layers.Dense(1), keras.layers.Dense(1), keras.layers.Dropout(0.1)][:2])
    model.compile("adam", "mse")
    model(X)
    return model


def with_array() -> Any:
    """Of Keras's class, with a layer that cannot tell its settings, and a learning rate that cannot either."""
    import keras

    class Scaled(keras.layers.Layer):
        def __init__(self, factors: Any) -> None:
            super().__init__()
            self.factors = factors

        def call(self, x: Any) -> Any:
            return x * self.factors

    class Warmup(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 1e-3 / (keras.ops.cast(step, "float32") + 1)

    model = keras.Sequential([keras.Input((3,)), Scaled(X.std(axis=0)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(Warmup()), "mse")
    return model


OWN = (with_function, with_lambda, subclass, with_array)
UNTOLD = (subclass, with_array)
MODELS = (plain, functional, *OWN)


@pytest.mark.parametrize("make", MODELS)
def test_a_second_build_is_the_same_model(make: Callable[[], Any]) -> None:
    from stopcli.recipes.model_identity import first_names, loop_key, model_fingerprint, uses_own_code

    models = []
    for _ in range(2):
        with first_names():
            models.append(make())
    first, second = models
    assert model_fingerprint(first) == model_fingerprint(second)
    assert [variable.path for variable in first.variables] == [variable.path for variable in second.variables]
    assert uses_own_code(first) == (make in OWN)
    # What may hold more than its settings tell is compiled anew for each seed.
    assert (loop_key(first, "a") is None) == (make in OWN)


def test_another_model_has_another_fingerprint() -> None:
    import keras

    from stopcli.recipes.model_identity import first_names, loop_key, model_fingerprint

    with first_names():
        first = plain()
    with first_names():
        wider = plain(5)
    with first_names():
        faster = plain()
        faster.compile(keras.optimizers.Adam(0.1), "mse")
    assert model_fingerprint(first)["model"] != model_fingerprint(wider)["model"]
    assert model_fingerprint(first)["model"] == model_fingerprint(faster)["model"]
    assert model_fingerprint(first)["compile"] != model_fingerprint(faster)["compile"]
    assert len({loop_key(first, "a"), loop_key(first, "b"), loop_key(faster, "a")}) == 3


def test_names_count_on_as_before_after_a_build() -> None:
    import keras

    from stopcli.recipes.model_identity import first_names

    before = keras.layers.Dense(1).name
    with first_names():
        assert plain().layers[0].name == "dense"
        assert plain().metrics[-1].name == "compile_metrics"
    after = keras.layers.Dense(1).name
    assert int(after.rpartition("_")[2]) == int("0" + before.rpartition("_")[2].removeprefix("dense")) + 1


@pytest.mark.filterwarnings("ignore:.*lambda:UserWarning")
@pytest.mark.parametrize("make", MODELS)
def test_a_saved_model_is_read_again_and_started_from(make: Callable[[], Any], tmp_path: Path) -> None:
    from stopcli.recipes.model_identity import make_savable, notes_on_file, saved_model_loader, uses_own_code
    from stopcli.training.model_files import own_code_of, save_model, start_from

    path, model = tmp_path / "best.keras", make()
    assert [note.split(",")[0] for note in notes_on_file(model)] == {
        with_lambda: ["the model has a lambda"],
        **{untold: ["the model has a class without get_config"] for untold in UNTOLD},
    }.get(make, [])
    assert make_savable(model) == (make in UNTOLD)
    assert uses_own_code(model) == (make in OWN)
    model.fit(X, X[:, :1], epochs=2, verbose=0)
    save_model(model, path)
    own = {with_function: ["double"], with_lambda: ["lambda"], subclass: ["Net"]}
    own[with_array] = ["a class without get_config"]
    assert own_code_of(path) == own.get(make, [])

    saved = saved_model_loader(model, make)(path)
    np.testing.assert_array_equal(saved(X), model(X))
    assert saved.compiled

    for with_optimizer in (False, True):
        other = make()
        ancestry = start_from(other, other.optimizer, path, with_optimizer=with_optimizer)
        assert ancestry["optimizer"] == with_optimizer
        np.testing.assert_array_equal(other(X), model(X))
        assert int(other.optimizer.iterations) == (2 if with_optimizer else 0)


@pytest.mark.parametrize("own_code", [False, True])
def test_an_optimizer_with_own_weights_begins_with_those_that_were_loaded(tmp_path: Path, *, own_code: bool) -> None:
    import keras

    from stopcli.training.model_files import save_model, start_from

    def make() -> Any:
        model = with_function() if own_code else plain()
        model.compile(keras.optimizers.ScheduleFreeAdamW(1e-3), "mse")
        return model

    model = make()
    model.fit(X, X[:, :1], epochs=2, verbose=0)
    save_model(model, tmp_path / "best.keras")
    other = make()
    other(X)
    # As it is where the model was checked before.
    other.optimizer.build(other.trainable_variables)
    start_from(other, other.optimizer, tmp_path / "best.keras", with_optimizer=False)
    started = [variable.numpy() for variable in other.trainable_variables]
    other.train_on_batch(X, X[:, :1])
    for variable, value in zip(other.trainable_variables, started, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, atol=2e-3)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    from stopcli.training.model_files import load_weights, save_model, start_from

    save_model(with_function(), tmp_path / "four.keras")
    model = with_lambda()
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(CheckpointError, match="its weights have 4 parts where this run's have 2"):
        load_weights(model, tmp_path / "four.keras")
    with pytest.raises(RequestError, match="its weights have 4 parts"):
        start_from(model, model.optimizer, tmp_path / "four.keras", with_optimizer=False)
    with pytest.raises(CheckpointError, match=r"cannot be loaded into this model"):
        load_weights(plain(5), tmp_path / "four.keras")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
