"""Compiled models with their rows, and what Keras's `fit` logs of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stopcli.data.dataset import Examples
from stopcli.seeding import derive_seed

SEED = 3


@dataclass(frozen=True)
class Case:
    """A compiled model and its rows.

    Attributes:
        build: makes the model; twice the same.
        rows: so many are made; a seed makes others.
        columns: what `fit` logs.
    """

    build: Callable[[], Any]
    rows: Callable[[int, int], Examples]
    columns: tuple[str, ...]


def seeded(build: Callable[[], Any]) -> Any:
    import keras

    keras.utils.set_random_seed(SEED)
    return build()


def noise(rows: int, *shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=(rows, *shape)).astype(np.float32)


def regression() -> Any:
    """Per-row weights, a regularizer, a schedule in the optimizer."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(16, activation="tanh", kernel_regularizer=keras.regularizers.L2(0.01)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.02, 20, 0.9)),
        "mse",
        metrics=[keras.metrics.RootMeanSquaredError(name="rmse"), "mae", keras.metrics.R2Score(name="r2")],
        weighted_metrics=[keras.metrics.MeanAbsoluteError(name="weighted")],
    )
    return model


def weighted_rows(count: int, seed: int) -> Examples:
    x = noise(count, 5, seed=seed)
    y = 2 * x[:, :1] ** 2 + 0.5 * x[:, 1:2]
    return Examples(x, y, np.random.default_rng(seed).uniform(0.2, 2.0, count).astype(np.float32))


def sequence_model() -> Any:
    """Dropout, whose noise is the same because its generators' states are."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((6, 3)),
            keras.layers.LSTM(8, dropout=0.2),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
    return model


def sequences(count: int, seed: int) -> Examples:
    x = noise(count, 6, 3, seed=seed)
    return Examples(x, (x[:, :, 0].sum(axis=1) > 0).astype(np.int32))


def two_towers() -> Any:
    """Inputs by name, and their rows' dot product."""
    import keras

    user, book = (keras.Input((1,), name=name, dtype="int32") for name in ("user", "book"))
    vectors = [
        keras.layers.Flatten()(keras.layers.Embedding(size, 6)(entry)) for entry, size in ((user, 20), (book, 30))
    ]
    model = keras.Model({"user": user, "book": book}, keras.layers.Dot(1, normalize=True)(vectors))
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    return model


def pairs(count: int, seed: int) -> Examples:
    draw = np.random.default_rng(seed)
    user, book = draw.integers(0, 20, (count, 1)), draw.integers(0, 30, (count, 1))
    y = np.where(user % 3 == book % 3, 1.0, -1.0).astype(np.float32)
    return Examples({"user": user.astype(np.int32), "book": book.astype(np.int32)}, y)


def small_cnn() -> Any:
    """Without a bias before the normalization: its gradient is rounding alone, of which Adam makes steps."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")],
    )
    return model


def pictures(count: int, seed: int) -> Examples:
    y = np.random.default_rng(seed).integers(0, 3, count)
    x = noise(count, 8, 8, 1, seed=seed)
    x[:, ::2] += y[:, None, None, None]
    return Examples(x, y)


def two_outputs() -> Any:
    import keras

    layers = keras.layers
    entry = keras.Input((4,))
    hidden = layers.Dense(12, activation="relu", activity_regularizer=keras.regularizers.L1(1e-3))(entry)
    size = layers.Dense(1, name="size")(hidden)
    kind = layers.Dense(3, activation="softmax", name="kind")(hidden)
    model = keras.Model(entry, {"size": size, "kind": kind})
    model.compile(
        keras.optimizers.RMSprop(0.01, clipnorm=1.0),
        {"size": "huber", "kind": "categorical_crossentropy"},
        loss_weights={"size": 2.0, "kind": 0.5},
        metrics={"size": ["mae"], "kind": ["accuracy", keras.metrics.F1Score("macro", name="f1")]},
    )
    return model


def two_targets(count: int, seed: int) -> Examples:
    x = noise(count, 4, seed=seed)
    kinds = np.argmax(x[:, :3], axis=1)
    return Examples(x, {"size": x.sum(axis=1, keepdims=True), "kind": np.eye(3, dtype=np.float32)[kinds]})


def own_functions() -> Any:
    """A loss and a metric that look at a whole batch, and a layer of one's own; two inputs in a list."""
    import keras

    def root_mean_square(targets: Any, outputs: Any) -> Any:
        return keras.ops.sqrt(keras.ops.mean((targets - outputs) ** 2))

    def share_above(targets: Any, outputs: Any) -> Any:
        return keras.ops.max(outputs) - keras.ops.mean(targets)

    entries = [keras.Input((2,)), keras.Input((3,))]
    model = keras.Model(entries, keras.layers.Dense(1)(keras.layers.Concatenate()(entries)))
    model.compile(keras.optimizers.SGD(0.05), root_mean_square, metrics=[share_above])
    return model


def two_arrays(count: int, seed: int) -> Examples:
    x = noise(count, 5, seed=seed)
    # With an error, or the loss would come down to rounding alone.
    y = x.sum(axis=1) + noise(count, seed=seed)
    return Examples((x[:, :2], x[:, 2:].astype(np.float64)), y)


CASES = {
    "regression": Case(regression, weighted_rows, ("loss", "rmse", "mae", "r2", "weighted")),
    "lstm": Case(sequence_model, sequences, ("loss", "accuracy", "auc")),
    "two towers": Case(two_towers, pairs, ("loss", "mae")),
    "cnn": Case(small_cnn, pictures, ("loss", "accuracy", "top2")),
    "two outputs": Case(
        two_outputs,
        two_targets,
        ("loss", "kind_accuracy", "kind_f1", "size_mae", "size_loss", "kind_loss"),
    ),
    "own functions": Case(own_functions, two_arrays, ("loss", "share_above")),
}


def fit_of(case: Case, train: Examples, test: Examples, batch_size: int, epochs: int) -> dict[str, list[float]]:
    """What `fit` logs in the loop's order of rows, an epoch a call, and `evaluate` after each. An evaluation also moves
    the generator of a recurrent layer with dropout, which is put back: the noise of training is then the same."""
    import tensorflow as tf

    from stopcli.training.step import epoch_order

    def nest(x: Any) -> Any:
        return list(x) if isinstance(x, tuple) else x

    model = seeded(case.build)
    history: dict[str, list[float]] = {}
    for epoch in range(1, epochs + 1):
        order = epoch_order(tf.constant(derive_seed(SEED, "order")), tf.constant(epoch), train.count).numpy()
        rows = train.at(order)
        options = {"batch_size": batch_size, "verbose": 0}
        logs = model.fit(nest(rows.x), rows.y, sample_weight=rows.weight, shuffle=False, **options).history
        before = [variable.numpy() for variable in model.non_trainable_variables]
        measured = model.evaluate(nest(test.x), test.y, sample_weight=test.weight, return_dict=True, **options)
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(value)
        values = {name: series[0] for name, series in logs.items()} | {f"val_{k}": v for k, v in measured.items()}
        for name, value in values.items():
            history.setdefault(name, []).append(value)
    return history


def loop_of(
    case: Case,
    train: Examples,
    test: Examples | None,
    batch_size: int,
    *,
    short: bool,
    jit: bool = False,
    **options: Any,
) -> Any:
    from stopcli.training.compiled_step import CompiledStep
    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.steps_loop import StepsLoop

    step = CompiledStep(seeded(case.build), train, **options)
    kind: Any = EpochsLoop if short else StepsLoop
    evaluated = {} if test is None else {"val": test}
    return kind(step, train=train, evaluated=evaluated, batch_size=batch_size, seed=SEED, jit_compile=jit)


def measured(loop: Any, epochs: int) -> dict[str, np.ndarray]:
    rows: list[np.ndarray] = []
    while len(rows) < epochs:
        block = loop.advance(len(rows) + 1, epochs - len(rows))
        rows.extend([] if block is None else block.metrics)
    return dict(zip(loop.columns, np.stack(rows).T, strict=True))


def largest_difference(ours: dict[str, np.ndarray], theirs: dict[str, list[float]]) -> dict[str, float]:
    """By name, relative to the metric's size."""
    return {
        name: float(np.max(np.abs(ours[name] - values) / np.maximum(np.abs(values), 1e-3)))
        for name, values in theirs.items()
    }
