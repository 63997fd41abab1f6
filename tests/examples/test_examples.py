"""The files in examples/ as their first lines say to run them, from an empty folder, with fewer epochs and rows."""

from __future__ import annotations

import csv
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program import run, summary_of
from quick_runs import quick_runs

from stopcli.runs.metrics import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]

PROJECT = Path(__file__).parent.parent.parent
FILES = sorted((PROJECT / "examples").glob("*.py"))


@pytest.fixture
def quick(tensorflow: None) -> Iterator[None]:
    """Runs of this process draw no figures of their own."""
    with quick_runs():
        yield


def copied(name: str) -> str:
    """A file of examples/, copied to this folder. Returns its text."""
    return Path(shutil.copy(PROJECT / "examples" / name, name)).read_text(encoding="utf-8")


def run_example(name: str, *options: str) -> Path:
    """Run an example by the command in its docstring, and then these options. Returns the run's folder."""
    command = re.search(r"^Run it by: stopcli (.*)$", copied(name), re.MULTILINE)
    assert command is not None
    assert run(*shlex.split(command[1]), *options, "--quiet", "--run-dir", "runs/example") == 0
    return Path("runs/example")


def test_every_example_has_a_page_that_shows_its_command() -> None:
    for file in FILES:
        page = (PROJECT / "docs" / "examples" / f"{file.stem.replace('_', '-')}.md").read_text(encoding="utf-8")
        command = re.search(r"^Run it by: (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        assert command is not None
        assert command[1] in page


def test_rooms_keeps_every_epoch_and_its_results_are_those_of_its_model() -> None:
    import keras

    folder = run_example("rooms.py", "--epochs", "3", "--checkpoint-every", "all")
    names = {path.name for path in (folder / "checkpoints").glob("*.keras")}
    assert names == {"best.keras", "final.keras", *(f"epoch_{epoch:04d}.keras" for epoch in (1, 2, 3))}
    columns = read_metrics(folder / "metrics.csv")
    assert (np.diff(columns["loss"]) < 0).all()
    np.testing.assert_allclose(np.sqrt(columns["loss"]), columns["rmse"], rtol=1e-5)

    # On all rows, from the formula: the means over parts are those of the summary.
    x = np.random.default_rng(0).normal(size=(2000, 28, 3)).astype("float32")
    model = keras.saving.load_model(folder / "checkpoints" / "final.keras")
    squares = np.mean((model.predict(x, verbose=0) - (2 * x**2 + 0.5 * x + 10)) ** 2)
    final, rows = summary_of(folder)["final"], summary_of(folder)["rows"]
    parts = {name: rows[name] for name in ("train", "validation", "test")}
    assert parts == {"train": 1280, "validation": 320, "test": 400}
    names = {"train": "train", "validation": "val", "test": "test"}
    expected = sum(parts[part] * final[name]["rmse"] ** 2 for part, name in names.items()) / 2000
    np.testing.assert_allclose(squares, expected, rtol=1e-5)
    assert run("replay", "example", "--monitor", "loss", "--patience", "0", "3", "10", "--quiet") == 0


def test_the_sequences_have_the_shapes_that_the_notes_give() -> None:
    folder = run_example("lstm.py", "--epochs", "2", "--set", "sequences=300", "ahead=3")
    import keras

    model = keras.saving.load_model(folder / "checkpoints" / "best.keras")
    assert [type(layer).__name__ for layer in model.layers] == ["LSTM", "Dense", "Reshape"]
    assert (model.input_shape, model.output_shape) == ((None, 20, 4), (None, 3, 4))
    assert summary_of(folder)["headline"]["name"] == "rmse"


def test_the_neighbours_of_books_are_those_of_their_vectors() -> None:
    import keras

    folder = run_example("books.py", "--epochs", "3", "--set", "books=200")
    (written,) = folder.rglob("neighbours.csv")
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200 * 9
    vectors = keras.saving.load_model(folder / "checkpoints" / "best.keras").get_layer("books").get_weights()[0]
    for row in rows[::50]:
        a, b = vectors[int(row["book"])], vectors[int(row["neighbour"])]
        assert float(row["cosine"]) == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), abs=6e-4)
        assert int(row["same_series"]) == (int(row["book"]) // 10 == int(row["neighbour"]) // 10)
    # By chance 9 of 199 would be.
    assert np.mean([int(row["same_series"]) for row in rows]) > 0.1
    assert (written.parent / "books.png").stat().st_size > 5000


def test_half_of_a_batch_of_links_becomes_other_pairs() -> None:
    import tensorflow as tf

    books = runpy.run_path(str(PROJECT / "examples" / "books.py"))
    x = {name: tf.range(1000, dtype=tf.int64) for name in ("book", "page")}
    drawn: list[Any] = [books["augment"](x, tf.ones((1000, 1)), tf.constant([3, update])) for update in (0, 0, 1)]
    pages, targets = zip(*((x["page"].numpy(), y.numpy()[:, 0]) for x, y in drawn), strict=True)
    np.testing.assert_array_equal(pages[0], pages[1])
    assert (pages[0] != pages[2]).any()
    assert 400 < targets[0].sum() < 600
    np.testing.assert_array_equal(pages[0][targets[0] == 1], np.flatnonzero(targets[0] == 1))
    assert np.mean(pages[0][targets[0] == 0] == np.flatnonzero(targets[0] == 0)) < 0.02


def test_activations_are_arms_with_a_picture_each() -> None:
    folder = run_example("activations.py", "--epochs", "2", "--seeds", "1")
    pictures = {path.name: path for path in folder.rglob("after/*.png")}
    arms = ("relu", "prelu", "sigmoid", "linear")
    assert set(pictures) == {f"{arm}.png" for arm in arms}
    assert all(path.stat().st_size > 5000 for path in pictures.values())
    models = {read.parent.parent.name for read in folder.rglob("best.keras")}
    assert models == {f"activation-{arm}-seed0" for arm in arms}


def test_the_loop_by_hand_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    copied("by_hand.py")
    monkeypatch.setattr(sys, "argv", ["by_hand.py", "--epochs", "2", "--scale", "0.5"])
    runpy.run_path("by_hand.py", run_name="__main__")
    (folder,) = Path("runs").iterdir()
    columns = read_metrics(folder / "metrics.csv")
    assert columns["epoch"].tolist() == [1, 2]
    assert columns["rmse"][1] < columns["rmse"][0]
    assert "scale = 0.5" in (folder / "config.toml").read_text()
    assert keras.saving.load_model(folder / "best.keras").output_shape == (None, 2, 2)


@pytest.mark.parametrize(("page", "index"), [("README.md", 0), ("docs/guides/own-training.md", 0)])
def test_the_files_in_the_pages_train(page: str, index: int) -> None:
    block = re.findall(r"```python\n(.*?)```", (PROJECT / page).read_text(encoding="utf-8"), re.DOTALL)[index]
    Path("FILE.py").write_text(block, encoding="utf-8")
    assert run("fit", "FILE.py", "--epochs", "2", "--patience", "20", "--quiet", "--run-dir", "run") == 0
    assert summary_of("run")["epochs"] == 2
