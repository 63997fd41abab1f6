"""Four models as users write them: `stopcli fit` beside Keras's `fit`, in one process.

This file is itself one that `stopcli fit` takes: `stopcli fit benchmarks/own_models.py --set case=lstm`. Model, rows,
batch size, validation and number of epochs are the same for both, and the loop is the one that `stopcli fit` measures
as the faster one. Both are warm: tracing and compiling are not in the times. They take turns, and are compared round by
round.

    python benchmarks/own_models.py [--only dense lstm books images] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from timing import in_turn, ratio, seconds

BATCHES = {"dense": 32, "lstm": 32, "books": 1024, "images": 32}
# Epochs of a round: long enough to be measured, for Keras and for the loop alike.
EPOCHS = {"dense": 10, "lstm": 5, "books": 1, "images": 5}
LABELS = {
    "dense": "a dense net of 64 units, 10,000 rows of 20, batch 32",
    "lstm": "LSTM(32), 2,000 sequences of 20 × 4, batch 32",
    "books": "two embeddings and their cosine, 1,000,000 pairs, batch 1,024",
    "images": "a small CNN with batch normalization, 2,000 images of 16 × 16, batch 32",
}


def data(*, case="dense"):
    draw = np.random.default_rng(0)
    count = {"dense": 10_000, "lstm": 2_000, "books": 1_000_000, "images": 2_000}[case]
    rows = count + count // 5
    if case == "dense":
        x = draw.normal(size=(rows, 20)).astype("float32")
        y = x[:, :1] ** 2 + x[:, 1:2]
    elif case == "lstm":
        x = draw.normal(size=(rows, 20, 4)).astype("float32")
        y = x.mean(axis=1)
    elif case == "books":
        x = {name: draw.integers(most, size=rows).astype("int32") for name, most in (("book", 2000), ("page", 3000))}
        y = draw.integers(2, size=(rows, 1)).astype("float32")
    else:
        x = draw.normal(size=(rows, 16, 16, 3)).astype("float32")
        y = draw.integers(10, size=rows)

    def part(rows):
        return {name: values[rows] for name, values in x.items()} if isinstance(x, dict) else x[rows]

    train, validation = slice(0, count), slice(count, rows)
    return {"train": (part(train), y[train]), "validation": (part(validation), y[validation])}


def build(x, y, *, case="dense"):
    import keras
    from keras import layers

    if case == "books":
        book, page = (keras.Input((), dtype="int32", name=name) for name in ("book", "page"))
        vectors = [layers.Embedding(2000, 50)(book), layers.Embedding(3000, 50)(page)]
        link = layers.Dense(1, "sigmoid")(layers.Dot(1, normalize=True)(vectors))
        model = keras.Model({"book": book, "page": page}, link)
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        return model
    middle = {
        "dense": [layers.Dense(64, "relu"), layers.Dense(1)],
        "lstm": [layers.LSTM(32), layers.Dense(4)],
        "images": [
            *(layers.Conv2D(16, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()),
            layers.MaxPooling2D(),
            *(layers.Conv2D(32, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()),
            *(layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")),
        ],
    }
    model = keras.Sequential([keras.Input(x.shape[1:]), *middle[case]])
    if case == "images":
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    else:
        model.compile("adam", "mse", metrics=[keras.metrics.RootMeanSquaredError(name="rmse")])
    return model


def measure(case: str, rounds: int) -> None:
    """Print how long an epoch takes, by Keras and by the loop that `stopcli fit` chooses."""
    from stopcli.configs.base import parse
    from stopcli.configs.fit import FitConfig
    from stopcli.recipes.fit import Fit
    from stopcli.training.session import NullObserver

    recipe, epochs = Fit(), EPOCHS[case]
    file = str(Path(__file__).resolve())
    config = parse(FitConfig, {"file": file, "settings": {"case": case}, "batch_size": BATCHES[case], "epochs": 1000})
    loaded = recipe.load(config, NullObserver())
    experiment, reference = recipe.build(loaded), recipe.build(loaded).model
    train, validation = experiment.parts.train, experiment.parts.validation
    loop = experiment.make_loop()
    loop.compile()
    epoch = 1

    def ours() -> float:
        return seconds(train_epochs) / epochs

    def train_epochs() -> None:
        nonlocal epoch
        end = epoch + epochs
        while epoch < end:
            block = loop.advance(epoch, end - epoch)
            epoch = epoch if block is None else block.last_epoch + 1

    def theirs() -> float:
        settings = {"batch_size": BATCHES[case], "validation_data": (validation.x, validation.y), "verbose": 0}
        return seconds(lambda: reference.fit(train.x, train.y, epochs=epochs, **settings)) / epochs

    ours(), theirs()
    keras, compiled = in_turn(rounds, theirs, ours)
    chosen = f"{type(loop).__name__}, {'with' if loaded.config.xla == 'yes' else 'without'} XLA"
    print(f"{LABELS[case]}")
    print(f"  Keras fit    {statistics.median(keras) * 1e3:8.1f} ms an epoch")
    print(f"  stopcli fit  {statistics.median(compiled) * 1e3:8.1f} ms an epoch ({chosen})")
    print(f"  ratio        {ratio(keras, compiled, '{:.1f}')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=BATCHES, nargs="+", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=5)
    options: Any = parser.parse_args()
    for case in options.only:
        measure(case, options.rounds)


if __name__ == "__main__":
    main()
