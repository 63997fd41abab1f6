"""`stopcli predict`: what it predicts, on which rows it measures, what it refuses, and what it leaves behind."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from eager_runs import eager_runs, unmeasured_loops
from program import run, summary_of
from quick_runs import quick_runs
from small_disk import small_disk
from table_runs import houses, part_of, write_table_run
from written_runs import write_run, write_sweep

ROWS = 120
RMSE = {"name": "rmse", "direction": "min", "kind": "error", "unit": ""}
ACCURACY = {"name": "accuracy", "direction": "max", "kind": "proportion", "unit": ""}
# Of the linear network on standardised rooms and area, and whether the area is missing.
WEIGHTS, BIAS = np.array([[2.0], [60.0], [-5.0]], np.float32), 250.0
LAYER = """
import keras

class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2

print("executed")

def build(x, y):
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, Halved()(keras.layers.Dense(1)(inputs)))
    rmse = keras.metrics.RootMeanSquaredError(name="rmse")
    model.compile(keras.optimizers.Adam(1.0), "mse", metrics=[rmse])
    return model
"""


@pytest.fixture(scope="module")
def folder(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """houses.csv, and runs on it: `linear` predicts the price, `kinds` its class, `own` has a layer of layer.py."""
    import keras

    from stopcli.models.table_mlp import table_mlp

    folder = tmp_path_factory.mktemp("tables")
    table = folder / "houses.csv"
    houses(ROWS).to_csv(table, index=False)
    numbers = houses(ROWS).drop(columns="town")
    numbers.to_csv(folder / "numbers.csv", index=False)

    def linear(encoder: Any) -> keras.Model:
        assert encoder.width == 3
        x = keras.Input((3,))
        model = keras.Model(x, keras.layers.Dense(1)(x))
        model.layers[-1].set_weights([WEIGHTS, np.array([BIAS], np.float32)])
        model.compile("adam", "mse", metrics=[keras.metrics.RootMeanSquaredError(name="rmse")])
        return model

    def kinds(encoder: Any) -> keras.Model:
        keras.utils.set_random_seed(1)
        return table_mlp(encoder.width, encoder.vocabulary_sizes, 3, [8], 0.0, 0.01)

    write_table_run(folder / "linear", folder / "numbers.csv", "price", linear, RMSE)
    write_table_run(folder / "kinds", table, "kind", kinds, ACCURACY)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The same folder with runs that were trained: `price` of layer.py, and `kind`."""
    file = folder / "layer.py"
    file.write_text(LAYER)
    few = ("--epochs", "3", "--quiet", "--run-dir")
    numbers, table = str(folder / "numbers.csv"), str(folder / "houses.csv")
    with quick_runs(), eager_runs(), unmeasured_loops():
        words = ("--target", "price", "--ignore", "kind", "id", *few, str(folder / "price"))
        assert run("fit", str(file), numbers, *words) == 0
        words = ("--target", "kind", "--ignore", "price", "--split", "hash:id", *few, str(folder / "kind"))
        assert run("fit", table, *words) == 0
    return folder


def expected_prices(frame: pandas.DataFrame) -> np.ndarray[Any, Any]:
    """What the run `linear` predicts, by pandas."""
    train = houses(ROWS)[part_of(ROWS) == 0]
    standardised = [(frame[name] - train[name].mean()) / train[name].std(ddof=0) for name in ("rooms", "area")]
    x = np.stack([*standardised, frame["area"].isna()], axis=1).astype(float)
    return np.asarray(np.nan_to_num(x) @ WEIGHTS[:, 0] + BIAS)


def printed(capfd: pytest.CaptureFixture[str], *words: str | Path) -> tuple[pandas.DataFrame, str]:
    """What the command prints to stdout, read as CSV by pandas; and to stderr."""
    assert run("predict", *map(str, words)) == 0
    text = capfd.readouterr()
    return pandas.read_csv(io.StringIO(text.out)), text.err


def answer(capfd: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert run("predict", *map(str, words), "--json", "--quiet") == 0
    content: dict[str, Any] = json.loads(capfd.readouterr().out)
    return content


def error(capfd: pytest.CaptureFixture[str], *words: str | Path, status: int = 2) -> str:
    assert run("predict", *map(str, words)) == status
    text = capfd.readouterr()
    assert text.out == ""
    return text.err


def test_numbers_are_those_of_the_formula(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frame, text = printed(capfd, folder / "linear", folder / "numbers.csv")
    assert list(frame) == ["row", "id", "prediction"]
    assert frame["row"].tolist() == list(range(1, ROWS + 1))
    assert frame["id"].tolist() == houses(ROWS)["id"].tolist()
    np.testing.assert_allclose(frame["prediction"], expected_prices(houses(ROWS)), rtol=1e-5)
    rmse = np.sqrt(np.mean((expected_prices(houses(ROWS)) - houses(ROWS)["price"]) ** 2))
    assert f"RMSE {rmse:.2f} on 120 rows" in text
    assert "72 of these rows trained the model" in text
    assert "120 rows predicted by best.keras, epoch 20" in text


def test_parts_are_those_that_the_run_knows(folder: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    frame = houses(ROWS)
    new = houses(30, seed=5).assign(id=[f"N{number}" for number in range(30)])
    # Tomorrow's table: another order, rows more, one of them without its price.
    table = pandas.concat([frame, new]).sample(frac=1, random_state=2).drop(columns="town").astype({"rooms": float})
    table.loc[table["id"] == "N3", "price"] = np.nan
    table.to_csv(tmp_path / "more.csv", index=False)
    for i, part in enumerate(("train", "validation", "test")):
        rows, text = printed(capfd, folder / "linear", tmp_path / "more.csv", "--part", part)
        own = frame[part_of(ROWS) == i]
        assert sorted(rows["id"]) == sorted(own["id"])
        assert ("trained the model" in text) is False
        result = answer(capfd, folder / "linear", tmp_path / "more.csv", "--part", part)
        expected = np.sqrt(np.mean((expected_prices(own) - own["price"]) ** 2))
        assert result["metric"] == {"name": "rmse", "value": pytest.approx(expected, rel=1e-5), "rows": len(own)}
    rows, text = printed(capfd, folder / "linear", tmp_path / "more.csv", "--part", "new")
    assert sorted(rows["id"]) == sorted(new["id"])
    assert "on 29 rows; 1 row has no price" in text
    assert table["id"].iloc[rows["row"] - 1].tolist() == rows["id"].tolist()
    result = answer(capfd, folder / "linear", tmp_path / "more.csv")
    assert result["known"] == {"trained": 72, "validated": 24, "tested": 24, "new": 30}
    assert (result["rows"], result["metric"]["rows"], result["file"]) == (150, 149, None)
    # Of a table of these rows alone, none is new.
    assert "none of its 120 rows is one that the run does not know" in error(
        capfd, folder / "linear", folder / "numbers.csv", "--part", "new"
    )


def test_any_of_the_runs_models_predicts(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder / "linear", "run")
    table, models = folder / "numbers.csv", Path("run/checkpoints")
    assert "run: it has no refit model\nIt has: best." in error(capfd, "run", table, "--model", "refit")
    shutil.copy(models / "best.keras", models / "refit.keras")
    (models / "best.keras").rename(models / "final.keras")
    # The refit has trained on the rows that validate too.
    for words, name, trained in (((), "final", 72), (("--model", "refit"), "refit", 96)):
        result = answer(capfd, "run", table, *words)
        assert (Path(result["model"]).stem, result["trained"]) == (name, trained)
        assert result["known"] == {"trained": 72, "validated": 24, "tested": 24, "new": 0}


def test_classes_have_names_and_probabilities(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import keras
    import tensorflow as tf

    frame, text = printed(capfd, folder / "kinds", folder / "houses.csv", "--part", "test")
    assert list(frame)[2:] == ["prediction", "probability_cheap", "probability_dear", "probability_fair"]
    table = houses(ROWS)[part_of(ROWS) == 2]
    model = keras.saving.load_model(folder / "kinds" / "checkpoints" / "best.keras")
    x = {name: tf.constant(table[name], tf.float32) for name in ("rooms", "area")}
    expected = model({**x, "town": tf.constant(table["town"].tolist())}).numpy()
    np.testing.assert_allclose(frame.iloc[:, 3:], expected, atol=1e-6)
    names = np.array(["cheap", "dear", "fair"])[expected.argmax(axis=1)]
    assert frame["prediction"].tolist() == names.tolist()
    result = answer(capfd, folder / "kinds", folder / "houses.csv", "--part", "test")
    assert result["metric"]["value"] == np.float32((names == table["kind"]).mean())
    assert f"accuracy {(names == table['kind']).mean():.3f} on 24 rows" in text


def test_a_table_without_the_target_is_predicted(
    folder: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    frame = houses(40).drop(columns=["kind", "price", "id"])
    frame.loc[[7, 9], "town"] = ["Oostende", "Namur"]
    frame.loc[3, "rooms"] = np.nan
    frame.assign(colour="red").to_csv(tmp_path / "new.csv", index=False)
    rows, text = printed(capfd, folder / "kinds", tmp_path / "new.csv", "--verbose")
    assert list(rows)[:2] == ["row", "prediction"]
    assert len(rows) == 40
    assert "accuracy" not in text
    assert "2 rows have words of town that training has not seen" in text
    assert "new.csv, line 9, column town: 'Oostende'." in text
    assert "1 row has no rooms, which no training row lacked" in text
    assert "Columns that the model does not take: colour." in text
    result = answer(capfd, folder / "kinds", tmp_path / "new.csv")
    assert result["metric"] == {"name": "accuracy", "value": None, "rows": 0}
    assert result["unknown_words"]["town"]["rows"] == 2
    assert "has no column 'id', by which its rows are known" in error(
        capfd, folder / "kinds", tmp_path / "new.csv", "--part", "test"
    )


def test_a_target_of_another_kind_is_not_measured(
    folder: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    frame = houses(20)
    frame.loc[4, "kind"] = "precious"
    frame.to_csv(tmp_path / "new.csv", index=False)
    rows, text = printed(capfd, folder / "kinds", tmp_path / "new.csv")
    assert len(rows) == 20
    assert "it is not measured how right the predictions are" in text
    assert "line 6, column kind: received 'precious'" in text


@pytest.mark.parametrize("name", ["prices.csv", "prices.parquet"])
def test_predictions_are_written_to_a_new_file(
    folder: Path, name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    # Several chunks.
    monkeypatch.setattr("stopcli.runner.predict._CHUNK", 50)
    assert run("predict", str(folder / "linear"), str(folder / "numbers.csv"), "--to", name) == 0
    text = capfd.readouterr()
    assert text.out.splitlines()[0] == f"120 rows predicted by best.keras, epoch 20 → {name}"
    frame = pandas.read_parquet(name) if name.endswith("parquet") else pandas.read_csv(name)
    np.testing.assert_allclose(frame["prediction"], expected_prices(houses(ROWS)), rtol=1e-5)
    assert frame["id"].tolist() == houses(ROWS)["id"].tolist()
    before = Path(name).read_bytes()
    assert f"{name}: exists already" in error(capfd, folder / "linear", folder / "numbers.csv", "--to", name)
    assert Path(name).read_bytes() == before
    assert [path.name for path in Path().iterdir()] == [name]


def test_nothing_half_written_stays(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stopcli.runner.predict._CHUNK", 50)
    words = (folder / "linear", folder / "numbers.csv", "--quiet", "--to")
    with monkeypatch.context() as patch:
        # Somebody makes the file while it is being written.
        written = pandas.DataFrame.to_csv
        patch.setattr(
            pandas.DataFrame, "to_csv", lambda *args, **kwargs: (Path("it.csv").touch(), written(*args, **kwargs))[1]
        )
        assert "it.csv: exists already" in error(capfd, *words, "it.csv")
    assert Path("it.csv").read_bytes() == b""
    Path("it.csv").unlink()
    pandas.concat([pandas.read_csv(folder / "numbers.csv")] * 3).to_csv("long.csv", index=False)
    with small_disk(4) as disk:
        text = error(capfd, folder / "linear", "long.csv", "--to", disk / "it.csv", status=1)
        assert "it.csv: cannot be written (No space left on device)" in text
        assert list(disk.iterdir()) == []


def test_a_terminal_is_shown_the_first_rows(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("predict", str(folder / "linear"), str(folder / "numbers.csv"), "--quiet") == 0
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert lines[0].split() == ["row", "id", "prediction"]
    assert [line.split()[0] for line in lines[2:]] == [str(number) for number in range(1, 11)]
    assert float(lines[2].split()[-1]) == pytest.approx(expected_prices(houses(ROWS))[0], rel=1e-5)


def test_nobody_reads_on(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopcli.runner.predict._CHUNK", 50)
    monkeypatch.setattr("stopcli.cli.predict.failure_of_stdout", lambda: "Broken pipe")
    assert run("predict", str(folder / "linear"), str(folder / "numbers.csv")) == 1
    # The first chunk was written, and no other one predicted.
    assert len(capfd.readouterr().out.splitlines()) == 51


def test_bad_tables_and_bad_files_are_refused(folder: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    linear, table = folder / "linear", folder / "numbers.csv"
    frame = houses(10)
    frame.rename(columns={"area": "aera"}).to_csv("renamed.csv", index=False)
    frame.assign(area=["80", "wide", *["70"] * 8]).to_csv("words.csv", index=False)
    for words, message in (
        (
            ("it.csv", "linear"),
            "received the table it.csv first, expected a run, then a table\nstopcli predict linear it.csv",
        ),
        ((linear, "renamed.csv"), "renamed.csv: no column area, which the model takes\nDid you mean aera?"),
        ((linear, "words.csv"), "words.csv, line 3, column area: received 'wide'"),
        ((linear, "missing.csv"), "missing.csv: no such file"),
        ((linear, table, "--to", "it.txt"), "--to: received 'it.txt', expected a file that ends in .csv or .parquet"),
        ((linear, table, "--to", "no/it.csv"), "no/it.csv: there is no folder no"),
        ((linear, table, "--part", "tests"), "--part: received 'tests', expected one of all, train, validation"),
        (
            (linear, table, "--code", "a.py"),
            "--code: received 'a.py', expected nothing: the model has no code of yours",
        ),
    ):
        assert message in error(capfd, *words), words
    assert sorted(path.name for path in tmp_path.iterdir()) == ["renamed.csv", "words.csv"]


def test_runs_without_a_model_of_a_table_are_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = folder / "numbers.csv"
    write_run("moons")
    write_sweep("sweep", {"a": [0.9, 0.8], "b": [0.9]})
    shutil.copytree(folder / "linear", "bare")
    shutil.rmtree("bare/checkpoints")
    shutil.copytree(folder / "linear", "going")
    Path("going/summary.json").unlink()
    Path("going/status.json").write_text('{"state": "paused"}')
    shutil.copytree(folder / "linear", "unknown")
    Path("unknown/rows.npz").unlink()
    shutil.copytree(folder / "linear", "damaged")
    Path("damaged/table.json").write_text("{")
    shutil.copytree(folder / "linear", "other")
    record = json.loads(Path("other/table.json").read_text())
    Path("other/table.json").write_text(json.dumps({**record, "numbers": ["rooms"]}))
    for words, message in (
        (("moons",), "moons: not the run of a table (table.json missing)"),
        (("moons",), "stopcli.open('moons').model() is its Keras model"),
        (("sweep",), "expected one of its runs: sweep/jobs/a-seed0, sweep/jobs/a-seed1, sweep/jobs/b-seed0"),
        (("bare",), "bare: no model in checkpoints"),
        (("going",), "going: it has no results yet; its state is: paused"),
        (("going",), "stopcli resume going"),
        (("damaged",), "damaged/table.json: damaged (not JSON"),
        (("other",), "other/table.json: damaged (the statistics are of other columns of numbers: rooms, area)"),
        (("nowhere",), "nowhere: no such"),
    ):
        assert message in error(capfd, *words, table), words
    # Without rows.npz the rows are predicted, and none is known.
    assert "rows.npz: missing" in error(capfd, "unknown", table, "--part", "test")
    assert answer(capfd, "unknown", table)["known"] == {}


@pytest.mark.parametrize(("name", "table", "metric"), [("price", "numbers", "rmse"), ("kind", "houses", "accuracy")])
def test_on_the_test_rows_the_metric_is_that_of_the_report(
    trained: Path, name: str, table: str, metric: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    summary = summary_of(trained / name)
    reported = (summary["best"] or summary["final"])["test"][metric]
    # In another order, among others, and as another kind of file.
    frame = pandas.read_csv(trained / f"{table}.csv")
    more = houses(30, seed=3)[frame.columns].assign(id=[f"N{number}" for number in range(30)])
    pandas.concat([more, frame]).sample(frac=1, random_state=0).to_csv("other.tsv", sep="\t", index=False)
    for path in (trained / f"{table}.csv", Path("other.tsv")):
        result = answer(capfd, trained / name, path, "--part", "test")
        assert result["metric"]["rows"] == summary["rows"]["test"]
        # Rows in another order are added up in another order.
        expected = reported if metric == "accuracy" else pytest.approx(reported, rel=1e-6)
        assert result["metric"]["value"] == expected
    capfd.readouterr()


def test_a_loss_is_measured_with_all_its_terms_and_compared_by_those_of_rows(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Weights have penalties, which count in the loss, and what a layer computes has one too."""
    for name, further in (("weights", ""), ("activations", "activity_regularizer=keras.regularizers.L2(10.0)")):
        Path(f"{name}.py").write_text(
            f"""
import keras

def build(x, y):
    dense = keras.layers.Dense(1, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(100.0), {further})
    model = keras.Sequential([keras.Input(x.shape[1:]), dense])
    model.compile(keras.optimizers.SGD(1e-6), "mae")
    return model
"""
        )
        words = ("--target", "price", "--ignore", "kind", "id", "--epochs", "1", "--quiet", "--run-dir", name)
        with quick_runs(), unmeasured_loops():
            assert run("fit", f"{name}.py", str(folder / "numbers.csv"), *words) == 0
        capfd.readouterr()
        test = summary_of(name)["best"]["test"]["loss"]
        assert run("predict", name, str(folder / "numbers.csv"), "--part", "test", "--to", f"{name}.csv", "--json") == 0
        assert json.loads(capfd.readouterr().out)["metric"]["value"] == pytest.approx(test, rel=1e-5)

    summary = summary_of("weights")
    rows = pandas.read_csv("weights.csv")
    # Of the mean absolute error alone: the penalty of a hundred times the squares of weights near 1.
    price = houses(ROWS)["price"].to_numpy()[rows["row"] - 1]
    error = float(np.abs(rows["prediction"] - price).mean())
    assert summary["best"]["test"]["loss"] > error + 100
    for baseline in summary["baselines"]:
        assert baseline["best"]["mean"] == pytest.approx(error - baseline["test"]["loss"], rel=1e-3)
    assert any("holds the penalties of its weights" in warning for warning in summary["warnings"])
    assert summary_of("activations")["test_interval"]["best"] is None


def test_code_of_the_users_runs_where_it_is_what_the_run_was_started_with(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    price, table, file = trained / "price", trained / "numbers.csv", trained / "layer.py"
    rows, text = printed(capfd, price, table)
    assert "executed" in text
    # In another file, which the user names.
    Path("moved.py").write_text(LAYER.replace("x / 2", "x / 4"))
    of_moved, _ = printed(capfd, price, table, "--code", "moved.py")
    np.testing.assert_allclose(of_moved["prediction"], rows["prediction"] / 2, rtol=1e-5)
    try:
        file.write_text(LAYER.replace("executed", "another text"))
        refused = error(capfd, price, table)
        assert "the model has code of yours (Halved)" in refused
        assert "its code has changed since the run was started" in refused
        assert "--code" in refused
        assert "\nanother text" not in refused
    finally:
        file.write_text(LAYER)
    Path("other.py").write_text(LAYER.replace("Halved", "Doubled"))
    assert "needs Halved, which" in error(capfd, price, table, "--code", "other.py", status=1)
    # A lambda is code in the model's file itself, which nobody can have read.
    shutil.copytree(price, "lambda")
    with zipfile.ZipFile(price / "checkpoints" / "best.keras") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    config["compile_config"]["loss"] = {"class_name": "__lambda__", "config": {"value": ["4wA=", None, None]}}
    with zipfile.ZipFile("lambda/checkpoints/best.keras", "w") as archive:
        for name, content in {**files, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, content)
    for words in ((), ("--code", trained / "layer.py")):
        assert "has a lambda, which is code in the file itself" in error(capfd, "lambda", table, *words, status=1)
    # A model's file with code, in the folder of a run without any.
    shutil.copytree(trained / "kind", "strange")
    shutil.copy(price / "checkpoints" / "best.keras", "strange/checkpoints")
    assert "the model needs Halved, and the run has no file" in error(capfd, "strange", table, status=1)
