from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stopcli.data.nest import leaves
from stopcli.data.table_columns import RawRows, TableColumns
from stopcli.errors import RequestError
from stopcli.recipes.table_encoder import (
    MOST_WORDS,
    Encoder,
    NumberStatistics,
    Statistics,
    WordStatistics,
    statistics_from,
    statistics_of,
)

# Keras allows no "/" in a layer's name, and would take a dict with some of these keys for a layer.
NUMBERS = ("a b", "x/y", "x_y", "größe", "class_name", "", "stack", "table_encoder")
WORDS = ("City", "city", "config")


def rows_of(count: int, seed: int) -> RawRows:
    """Numbers of several sizes, some missing in every other column; words, some missing."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, len(NUMBERS))) * 10.0 ** np.arange(-9, -9 + 2 * len(NUMBERS), 2) + 3
    numbers[:, 0] = random.normal(size=count) * 1e-9
    numbers[:, 1] = 7.1
    numbers[:, 3] = 20_000_000 + random.integers(0, 3, count)
    numbers[random.random(numbers.shape) < 0.2 * (np.arange(len(NUMBERS)) % 2)] = np.nan
    vocabulary = np.array(["", "Ulm", "Köln", "two\nlines", "[UNK]", "a,b"], object)
    return RawRows(
        numbers.astype(np.float32),
        vocabulary[random.integers(0, len(vocabulary), (count, len(WORDS)))],
        random.normal(5, 3, count).astype(np.float32),
    )


def columns_of(numbers: tuple[str, ...], texts: tuple[str, ...]) -> TableColumns:
    return TableColumns("price", "regression", (), numbers, texts, {})


COLUMNS = columns_of(NUMBERS, WORDS)
TRAIN, OTHERS = rows_of(90, 0), rows_of(50, 1)
OTHERS.words[3:5] = "never seen"


def by_column(raw: RawRows, columns: TableColumns = COLUMNS) -> dict[str, Any]:
    return {
        **{name: raw.numbers[:, i] for i, name in enumerate(columns.numbers)},
        **{name: raw.words[:, i] for i, name in enumerate(columns.words)},
    }


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(COLUMNS, statistics_of(TRAIN, COLUMNS))


@pytest.fixture(scope="module")
def core(tensorflow: None, encoder: Encoder) -> Any:
    """Trained for a step, so that its optimizer has a state."""
    from stopcli.models.table_mlp import table_mlp

    model = table_mlp(encoder.width, encoder.vocabulary_sizes, 0, (8,), 0.1, 0.01, 5.0, 3.0)
    model.fit(encoder.encode(TRAIN), TRAIN.target, batch_size=90, verbose=0)
    return model


def test_numbers_are_those_of_standard_scaler(tensorflow: None, encoder: Encoder) -> None:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(TRAIN.numbers.astype(np.float64))
    missing = np.isnan(TRAIN.numbers).any(axis=0)
    assert missing.sum() == 4
    for raw in (TRAIN, OTHERS):
        encoded = encoder.encode(raw)["numbers"]
        assert encoded.dtype == np.float32
        expected = np.nan_to_num(scaler.transform(raw.numbers.astype(np.float64)))
        np.testing.assert_allclose(encoded[:, : len(NUMBERS)], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(encoded[:, len(NUMBERS) :], np.isnan(raw.numbers)[:, missing])
    assert encoder.names[len(NUMBERS) :] == tuple(f"{NUMBERS[i]} is missing" for i in np.flatnonzero(missing))


def test_words_are_pandas_codes_and_a_word_that_training_never_saw_is_0(tensorflow: None, encoder: Encoder) -> None:
    import pandas as pd

    for raw in (TRAIN, OTHERS):
        encoded = encoder.encode(raw)["words"]
        assert encoded.dtype == np.int32
        for i, column in enumerate(TRAIN.words.T):
            vocabulary = sorted(set(column) - {""})
            codes = pd.Index(vocabulary).get_indexer(raw.words[:, i])
            np.testing.assert_array_equal(encoded[:, i], codes + 1)
    assert encoder.unknown_words(OTHERS) == dict.fromkeys(WORDS, 2)
    assert encoder.unknown_words(TRAIN) == {}
    assert encoder.notes_on(TRAIN) == ()
    assert encoder.notes_on(OTHERS.at(np.arange(4))) == (
        "words that no row that trains has count as unknown: City in 1 row, city in 1 row, config in 1 row",
    )


def test_the_whole_model_is_encoder_and_core_to_the_bit(encoder: Encoder, core: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("stopcli.recipes.table_encoder._BATCH", 16)
    told: list[tuple[str, int, int]] = []
    encoded = encoder.encode(OTHERS, lambda *progress: told.append(progress))
    assert told == [("rows encoded", min(done, 50), 50) for done in (16, 32, 48, 64)]
    np.testing.assert_array_equal(encoder.whole(core)(by_column(OTHERS)), core(encoded))
    for array, at_once in zip(leaves(encoded), encoder.model([OTHERS.numbers, *OTHERS.words.T]).values(), strict=True):
        np.testing.assert_array_equal(array, at_once)


def test_statistics_are_the_same_after_json(encoder: Encoder) -> None:
    statistics = encoder.statistics
    assert statistics_from(json.loads(json.dumps(statistics.plain))) == statistics
    assert statistics.target_deviation == pytest.approx(np.std(TRAIN.target, dtype=float), rel=1e-12)
    again = Encoder(COLUMNS, statistics_of(TRAIN, COLUMNS))
    assert again.identity == encoder.identity
    assert Encoder(COLUMNS, statistics_of(OTHERS, COLUMNS)).identity != encoder.identity
    with pytest.raises(RequestError, match=r"statistics of a table are damaged \(KeyError: 'numbers'\)"):
        statistics_from({"words": []})


def test_an_encoder_of_other_columns_is_refused(encoder: Encoder) -> None:
    with pytest.raises(RequestError, match="statistics are of other columns of words: City, city, config"):
        Encoder(columns_of(NUMBERS, ("City",)), encoder.statistics)


def test_a_long_vocabulary_has_its_most_frequent_words() -> None:
    names = [f"{number:05}" for number in range(MOST_WORDS + 3)]
    # The last three come once, all others twice.
    column = np.array([*names, *names[:-3]], object)[:, None]
    columns = columns_of((), ("key",))
    raw = RawRows(np.empty((len(column), 0), np.float32), column, None)
    encoder = Encoder(columns, statistics_of(raw, columns))
    assert encoder.statistics.vocabularies["key"] == WordStatistics(tuple(names[:-3]), 3)
    assert encoder.vocabulary_sizes == (MOST_WORDS,)
    assert encoder.unknown_words(raw) == {"key": 3}
    assert encoder.notes_on(raw) == ()
    assert encoder.notes == (
        "key has 10,003 different words in the training rows; the 10,000 most frequent are told apart, all others "
        "count as unknown",
    )


@pytest.mark.parametrize(("numbers", "texts"), [(2, 0), (0, 2)], ids=["without words", "without numbers"])
def test_tables_of_one_kind(tensorflow: None, numbers: int, texts: int) -> None:
    from stopcli.models.table_mlp import table_mlp

    columns = columns_of(NUMBERS[:numbers], WORDS[:texts])
    raw = RawRows(TRAIN.numbers[:, :numbers], TRAIN.words[:, :texts], TRAIN.target)
    # A column of which no row that trains has a value.
    blank = raw.at(np.arange(20))
    blank.numbers[:, :1], blank.words[:, :1] = np.nan, ""
    encoder = Encoder(columns, statistics_of(blank, columns))
    encoded = encoder.encode(raw)
    if texts:
        assert encoded["numbers"].shape == (90, 0)
        assert not encoded["words"][:, 0].any()
        assert encoded["words"][:, 1].any()
    else:
        np.testing.assert_array_equal(encoded[:, 0], raw.numbers[:, 0])
        np.testing.assert_array_equal(encoder.encode(blank)[:, 0], np.zeros(20))
    core = table_mlp(encoder.width, encoder.vocabulary_sizes, 3, (), 0.0, 0.01)
    np.testing.assert_array_equal(encoder.whole(core)(by_column(raw, columns)), core(encoded))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_a_python_without_stopcli_loads_the_whole_and_gives_it_raw_rows(
    encoder: Encoder, core: Any, tmp_path: Path
) -> None:
    from stopcli.training.model_files import save_model

    save_model(encoder.whole(core), tmp_path / "best.keras")
    np.savez(tmp_path / "raw.npz", **{f"column {i}": column for i, column in enumerate(by_column(OTHERS).values())})
    np.save(tmp_path / "expected.npy", core(encoder.encode(OTHERS)))
    program = f"""
import sys
sys.modules["stopcli"] = None
import keras, numpy as np
model = keras.saving.load_model("best.keras")
saved = np.load("raw.npz", allow_pickle=True)
raw = dict(zip({[*NUMBERS, *WORDS]!r}, saved.values(), strict=True))
for predicted in (model(raw), model.predict(raw, verbose=0)):
    np.testing.assert_allclose(predicted, np.load("expected.npy"), rtol=1e-5)
assert int(model.optimizer.iterations) == 1
"""
    environment = {"PATH": "", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, env=environment, check=True)


def test_statistics_may_be_those_of_an_ancestor(tensorflow: None) -> None:
    columns = columns_of(("area",), ("city",))
    statistics = Statistics(
        {"area": NumberStatistics(100.0, 50.0, has_missing=False)}, {"city": WordStatistics(("Bonn", "Ulm"))}
    )
    raw = RawRows(np.array([[150], [np.nan]], np.float32), np.array([["Ulm"], ["Aachen"]], object), None)
    encoded = Encoder(columns, statistics).encode(raw)
    assert encoded["numbers"].tolist() == [[1.0], [0.0]]
    assert encoded["words"].tolist() == [[2], [0]]
