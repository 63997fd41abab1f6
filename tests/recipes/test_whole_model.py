"""A network with an encoder before it in one file, whatever kind of model the network is."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stopcli.data.table_columns import RawRows, TableColumns
from stopcli.errors import RequestError
from stopcli.recipes.table_encoder import Encoder, NumberStatistics, Statistics, WordStatistics, statistics_of

pytestmark = pytest.mark.usefixtures("tensorflow")

COLUMNS = TableColumns("price", "regression", (), ("area", "rooms/floor"), ("city",), {})
RANDOM = np.random.default_rng(0)
RAW = RawRows(
    np.array([[80, np.nan], [95, 2], [60, 1], [120, 3], [75, 2]], np.float32),
    np.array([["Ulm"], ["Bonn"], [""], ["Ulm"], ["Köln"]], object),
    np.array([200, 250, 150, 330, 190], np.float32),
)
ENCODER = Encoder(COLUMNS, statistics_of(RAW, COLUMNS))
BY_COLUMN = {"area": RAW.numbers[:, 0], "rooms/floor": RAW.numbers[:, 1], "city": RAW.words[:, 0]}


def compiled(model: Any) -> Any:
    import keras

    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=[keras.metrics.RootMeanSquaredError(name="rmse"), "mae"])
    return model


NUMBERS = Encoder(
    TableColumns("price", "regression", (), ("area",), (), {}),
    Statistics({"area": NumberStatistics(86.0, 20.0, has_missing=False)}, {}),
)


def encoded_inputs() -> dict[str, Any]:
    import keras

    return {
        "numbers": keras.Input((3,), name="numbers"),
        "words": keras.Input((1,), name="words", dtype="int32"),
    }


def functional() -> Any:
    import keras

    inputs = encoded_inputs()
    vectors = keras.layers.Flatten()(keras.layers.Embedding(4, 2)(inputs["words"]))
    joined = keras.layers.Concatenate()([inputs["numbers"], vectors])
    return compiled(keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dropout(0.5)(joined)), name="table_encoder"))


def with_function() -> Any:
    import keras

    def double(values: Any) -> Any:
        return values * 2

    inputs = encoded_inputs()
    return compiled(keras.Model(inputs, keras.layers.Dense(1, activation=double, name="area")(inputs["numbers"])))


def subclass(*, tells_settings: bool = False) -> Any:
    import keras

    class Net(keras.Model):
        def __init__(self, layers: Any) -> None:
            super().__init__()
            self.vectors, self.parts = keras.layers.Embedding(4, 2), layers

        def call(self, x: Any) -> Any:
            return sum(part(x["numbers"]) for part in self.parts) + self.vectors(x["words"][:, 0])[:, :1]

    class Described(Net):
        def __init__(self, units: int = 1) -> None:
            super().__init__([keras.layers.Dense(units)])

        def get_config(self) -> Any:
            return {"units": 1}

    model = compiled(Described() if tells_settings else Net([keras.layers.Dense(1), keras.layers.Dropout(0.1)][:1]))
    model(ENCODER.encode(RAW))
    return model


def described_subclass() -> Any:
    return subclass(tells_settings=True)


OWN = (with_function, subclass, described_subclass)


def train(model: Any, x: Any) -> None:
    """A step, without the time that `train_on_batch` takes to compile."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, tf.constant(RAW.target), model(x, training=False))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)


def built(make: Callable[[], Any]) -> Any:
    import keras

    from stopcli.recipes.model_identity import first_names, make_savable

    keras.utils.set_random_seed(0)
    with first_names():
        model = make()
    assert make_savable(model) == (make is subclass)
    return model


def datasets_in(path: Path) -> list[str]:
    import h5py

    names: list[str] = []
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights, h5py.File(weights, "r") as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


@pytest.mark.parametrize("make", [functional, *OWN])
def test_a_file_holds_the_whole_and_gives_the_network_back(make: Callable[[], Any], tmp_path: Path) -> None:
    from stopcli.recipes.model_identity import saved_model_loader
    from stopcli.training.model_files import own_code_of, save_model, start_from

    path, encoded = tmp_path / "best.keras", ENCODER.encode(RAW)
    core = built(make)
    first = ENCODER.whole(core)
    train(core, encoded)
    train(core, encoded)
    assert ENCODER.whole(core) is first
    save_model(first, path)
    # The network's weights, and the optimizer's state, once.
    assert len(datasets_in(path)) == len(core.weights) + len(core.optimizer.variables)
    assert own_code_of(path) == {with_function: ["double"], subclass: ["Net"], described_subclass: ["Described"]}.get(
        make, []
    )
    expected = core(encoded).numpy()
    np.testing.assert_array_equal(first(BY_COLUMN), expected)

    load = saved_model_loader(core, lambda: built(make), ENCODER.whole, ENCODER.core_of)
    saved = load(path)
    np.testing.assert_array_equal(saved(encoded), expected)
    assert saved.get_compile_config() == core.get_compile_config()

    for with_optimizer in (False, True):
        other = built(make)
        start_from(ENCODER.whole(other), other.optimizer, path, with_optimizer=with_optimizer)
        np.testing.assert_array_equal(other(encoded), expected)
        assert int(other.optimizer.iterations) == (2 if with_optimizer else 0)
    # It goes on as the first one does.
    train(core, encoded)
    train(other, encoded)
    np.testing.assert_array_equal(other(encoded), core(encoded))


def test_keras_loads_the_whole_and_compiles_it_like_the_network(tmp_path: Path) -> None:
    import keras

    from stopcli.training.model_files import save_model

    core = built(functional)
    train(core, ENCODER.encode(RAW))
    save_model(ENCODER.whole(core), tmp_path / "best.keras")
    with pytest.warns(UserWarning, match="Received key 'rooms/floor'"):
        whole = keras.saving.load_model(tmp_path / "best.keras")
    theirs, ours = whole.get_compile_config(), core.get_compile_config()
    assert {**theirs, "jit_compile": None} == {**ours, "jit_compile": None}
    for one, other in zip(whole.optimizer.variables, core.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_compiled_anew_has_a_new_whole() -> None:
    core = built(functional)
    before = ENCODER.whole(core)
    core.compile("sgd", "mae")
    after = ENCODER.whole(core)
    assert after is not before
    assert (after.loss, type(after.optimizer).__name__) == ("mae", "SGD")
    assert after.optimizer is core.optimizer


def sequential(*first: Any) -> Any:
    import keras

    return compiled(
        keras.Sequential([*first, keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    )


@pytest.mark.parametrize("with_input", [True, False])
def test_a_sequential_model_of_numbers_comes_back(with_input: bool, tmp_path: Path) -> None:
    import keras

    from stopcli.training.model_files import load_model, save_model

    core, raw = sequential(*([keras.Input((1,))] if with_input else [])), RAW.numbers[:, 0]
    train(core, NUMBERS.encode(RawRows(raw[:, None], RAW.words[:, :0], None)))
    save_model(NUMBERS.whole(core), tmp_path / "best.keras")
    whole = load_model(tmp_path / "best.keras")
    expected = core((raw[:, None] - 86) / 20)
    np.testing.assert_allclose(whole({"area": raw}), expected, rtol=1e-5)
    saved = NUMBERS.core_of(whole)
    assert isinstance(saved, keras.Sequential)
    assert [one.name for one in saved.variables] == [one.name for one in core.variables]
    np.testing.assert_allclose(saved((raw[:, None] - 86) / 20), expected, rtol=1e-6)


def test_a_compile_by_the_name_of_the_output_is_that_of_the_whole() -> None:
    import keras

    entry = keras.Input((1,))
    core = keras.Model(entry, keras.layers.Dense(1, name="price")(entry))
    core.compile("adam", {"price": "mse"}, metrics={"price": ["mae"]})
    encoded = (RAW.numbers[:, :1] - 86) / 20
    expected = core.evaluate(encoded, RAW.target, verbose=0)
    assert NUMBERS.whole(core).evaluate({"area": RAW.numbers[:, 0]}, RAW.target, verbose=0) == pytest.approx(expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_rows_are_encoded_in_float32_whatever_the_policy(policy: str) -> None:
    import keras

    expected = ENCODER.encode(RAW)
    keras.config.set_dtype_policy(policy)
    try:
        core = built(functional)
        encoder = Encoder(COLUMNS, ENCODER.statistics)
        for name, array in encoder.encode(RAW).items():
            np.testing.assert_array_equal(array, expected[name])
        whole = encoder.whole(core)
        np.testing.assert_array_equal(whole(BY_COLUMN), core(expected))
        assert keras.config.dtype_policy().name == policy
    finally:
        keras.config.set_dtype_policy("float32")


def changed(**changes: Any) -> tuple[TableColumns, Statistics]:
    numbers = {"area": NumberStatistics(86.0, 20.0, False), "rooms/floor": NumberStatistics(2.0, 0.5, True)}
    vocabularies = {"city": WordStatistics(("Bonn", "Köln", "Ulm"))}
    statistics = Statistics({**numbers, **changes.get("numbers", {})}, {**vocabularies, **changes.get("words", {})})
    columns = changes.get("columns", COLUMNS)
    return columns, Statistics(
        {name: statistics.numbers[name] for name in columns.numbers},
        {name: statistics.vocabularies[name] for name in columns.words},
    )


def columns_of(numbers: tuple[str, ...], texts: tuple[str, ...]) -> TableColumns:
    return TableColumns("price", "regression", (), numbers, texts, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        (
            {"words": {"city": WordStatistics(("Aachen", "Bonn", "Ulm"))}},
            "its column city has not Aachen and also Köln",
        ),
        (
            {"numbers": {"area": NumberStatistics(90.0, 20.0, False)}},
            "its column area has the mean 86 and the deviation 20, this run's 90 and 20",
        ),
        (
            {"numbers": {"area": NumberStatistics(86.0, 20.0, True)}},
            "its column area has none of its values missing, this run's some",
        ),
        (
            {"columns": columns_of(("area", "year"), ("city",)), "numbers": {"year": NumberStatistics(0, 1, False)}},
            "its table has no year and also rooms/floor",
        ),
        ({"columns": columns_of(("rooms/floor", "area"), ("city",))}, "its columns are in another order"),
        (
            {
                "columns": columns_of(("area",), ("rooms/floor", "city")),
                "words": {"rooms/floor": WordStatistics(("few",))},
            },
            "its column rooms/floor has numbers, this run's words",
        ),
    ],
)
def test_a_network_of_rows_that_were_encoded_otherwise_is_refused(
    changes: dict[str, Any], message: str, table_file: Path
) -> None:
    encoder = Encoder(*changed(**changes))
    if not message:
        encoder.check_start(table_file)
        return
    with pytest.raises(RequestError) as caught:
        encoder.check_start(table_file)
    assert caught.value.message.startswith(f"{table_file}: {message}")


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stopcli.training.model_files import save_model

    path = tmp_path_factory.mktemp("run") / "best.keras"
    core = built(described_subclass)
    save_model(Encoder(*changed()).whole(core), path)
    return path


def test_a_model_of_no_table_is_refused(tmp_path: Path) -> None:
    from stopcli.training.model_files import save_model

    save_model(built(functional), tmp_path / "other.keras")
    with pytest.raises(RequestError, match=r"other\.keras: its model does not take the columns of a table"):
        ENCODER.check_start(tmp_path / "other.keras")


def test_a_run_starts_from_the_whole_in_a_file(tmp_path: Path) -> None:
    from stopcli.runner.training_run import warm_start
    from stopcli.training.model_files import save_model

    core, encoded = built(functional), ENCODER.encode(RAW)
    train(core, encoded)
    save_model(ENCODER.whole(core), tmp_path / "best.keras")
    other = built(functional)
    experiment: Any = SimpleNamespace(
        model=other, optimizer=other.optimizer, whole=ENCODER.whole, check_start=ENCODER.check_start
    )
    settings: Any = SimpleNamespace(init_from=str(tmp_path / "best.keras"), init_optimizer=True)
    ancestry = warm_start(settings, experiment)
    assert ancestry is not None
    assert ancestry["path"] == settings.init_from
    np.testing.assert_array_equal(other(encoded), core(encoded))
    for ours, theirs in zip(other.optimizer.variables, core.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
