"""The multilayer perceptron of a table: numbers, and an embedding of each column of words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# Numbers that the vector of a word has at the most.
_MOST_DIMENSIONS = 50
# Adam adds this to the root of a gradient's mean square, where targets have a deviation of 1.
_EPSILON = 1e-7
# Targets with deviations in this range train on their mean squared error as it is. Of others, the squares of its
# gradients would leave the range of float32.
_PLAIN_DEVIATIONS = (1e-6, 1e6)


def table_mlp(
    numbers: int,
    vocabularies: Sequence[int],
    outputs: int,
    hidden: Sequence[int],
    dropout: float,
    learning_rate: float,
    target_mean: float = 0.0,
    target_deviation: float = 1.0,
    precision: str = "float32",
) -> keras.Model:
    """A compiled perceptron on the encoded rows of a table: numbers beside the vectors of words → Dense(relu), with
    dropout after each → output.

    Everything random about it comes from Keras's global generator: `keras.utils.set_random_seed` before.

    Args:
        numbers: columns of numbers, ≥ 0.
        vocabularies: of each column of words, how many there are without 0, which stands for missing and unknown ones.
        outputs: 0 for a regression, else the number of classes, ≥ 2.
        hidden: units of each hidden layer, ≥ 1; empty for a linear model.
        dropout: share of units that each step leaves out, in [0, 1).
        learning_rate: of Adam.
        target_mean, target_deviation: of a regression's targets, > 0. The last layer brings a standardised number to
            them.
        precision: Keras's name of the dtype policy of the layers before the last, which computes in float32.

    Returns:
        A model that takes float32 [rows, numbers], or where there are words {"numbers": that, "words": int32
        [rows, columns of words]}. It predicts a number, float32 [rows, 1], trained on the mean squared error and
        measured by `rmse` and `mae`; of two classes the probability of the second, float32 [rows, 1], measured by
        `accuracy` and `auc`; of more the probability of each, float32 [rows, outputs], measured by `accuracy`. For
        targets float32 [rows], or class indices int32 [rows].
    """
    import keras

    inputs, x = _features(numbers, vocabularies, precision)
    for number, units in enumerate(hidden, start=1):
        x = keras.layers.Dense(units, activation="relu", dtype=precision, name=f"hidden_{number}")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, dtype=precision, name=f"dropout_{number}")(x)
    if not outputs:
        x = keras.layers.Dense(1, dtype="float32", name="standardised")(x)
        output = keras.layers.Rescaling(target_deviation, target_mean, dtype="float32", name="output")(x)
    elif outputs == 2:
        output = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="output")(x)
    else:
        output = keras.layers.Dense(outputs, activation="softmax", dtype="float32", name="output")(x)
    model = keras.Model(inputs, output, name="table_mlp")
    _compile(model, outputs, learning_rate, target_deviation, precision)
    return model


def dimensions_of(vocabulary: int) -> int:
    """Numbers in the vector of a word, of a vocabulary of so many: the root of their number and one, at most 50."""
    return min(_MOST_DIMENSIONS, math.isqrt(max(vocabulary, 1) - 1) + 2)


def _features(numbers: int, vocabularies: Sequence[int], precision: str) -> tuple[Any, Any]:
    """The inputs, and the features of a row that come of them."""
    import keras

    of_numbers = keras.Input((numbers,), name="numbers", dtype="float32")
    if not vocabularies:
        return of_numbers, of_numbers
    indices = keras.Input((len(vocabularies),), name="words", dtype="int32")
    parts = [of_numbers] if numbers else []
    for column, vocabulary in enumerate(vocabularies):
        dimensions, name = dimensions_of(vocabulary), f"word_{column + 1}"
        vectors = keras.layers.Embedding(vocabulary + 1, dimensions, dtype=precision, name=name)
        parts.append(vectors(indices[:, column]))
    features = keras.layers.Concatenate(dtype=precision, name="features")(parts) if len(parts) > 1 else parts[0]
    return {"numbers": of_numbers, "words": indices}, features


def _compile(model: keras.Model, outputs: int, learning_rate: float, target_deviation: float, precision: str) -> None:
    import keras

    from stopcli.models.layers import with_scaled_loss

    if outputs:
        metrics = ["accuracy", keras.metrics.AUC(name="auc")] if outputs == 2 else ["accuracy"]
        loss = "binary_crossentropy" if outputs == 2 else "sparse_categorical_crossentropy"
        model.compile(with_scaled_loss(keras.optimizers.Adam(learning_rate), precision), loss, metrics=metrics)
        return
    # Gradients of squared errors have the targets' unit squared. Adam's steps do not depend on it where epsilon has it.
    variance = target_deviation**2
    is_plain = _PLAIN_DEVIATIONS[0] <= target_deviation <= _PLAIN_DEVIATIONS[1]
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=_EPSILON * variance if is_plain else _EPSILON)
    model.compile(
        with_scaled_loss(optimizer, precision),
        "mse",
        loss_weights=None if is_plain else 1 / variance,
        metrics=[keras.metrics.RootMeanSquaredError(name="rmse"), keras.metrics.MeanAbsoluteError(name="mae")],
    )
