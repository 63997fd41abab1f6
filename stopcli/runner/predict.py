"""What a table's model predicts for the rows of another table, and how right that is where the table has the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.data.row_hash import row_hashes
from stopcli.data.table_columns import RawRows, TableColumns, raw_rows
from stopcli.data.table_file import TableFile, cell_at, read_table
from stopcli.errors import CheckpointError, RequestError, shown
from stopcli.quantities import agreeing, counted
from stopcli.recipes.table_encoder import Encoder, Statistics, statistics_from
from stopcli.runner.table_model import TableModel
from stopcli.runs.table_record import ROWS_NAME, TABLE_NAME, TESTED, TRAINED, VALIDATED, KnownRows, read_known_rows
from stopcli.training.tf_setup import hush_short_numbers

if TYPE_CHECKING:
    import keras
    import pandas

    from stopcli.training.session import Observer

Part = Literal["all", "train", "validation", "test", "new"]
# Rows that the model predicts at a time, and those that are written at a time.
_BATCH = 1 << 13
_CHUNK = 1 << 16
_WHAT = {"train": "trained", "validation": "validated", "test": "tested"}
# How far the sum of a row's probabilities may be from 1.
_ROUNDING = 1e-3

Outputs = NDArray[np.float32]
"""Of a model, a number or several for each row: [rows, outputs]."""


@dataclass(frozen=True, eq=False)
class RowsToPredict:
    """Rows of a table that a model can predict.

    Attributes:
        numbers: which of the table's rows they are, counted from 0, int64 [rows].
        raw: their values; `raw.target` is None where it cannot be measured how right a prediction is.
        key: the columns by which the run knows a row, as texts, [rows] each.
        known: how many of them trained, validated or tested in the run or one that it started from, and how many are
            new; empty where that is not known.
        trained: how many trained the model or one that it started from.
        unknown: of each column of words, in how many rows it has one that training has not seen, and where the first of
            them is.
        notes: what the user should be told, a sentence without a full stop each.
        unused: columns of the table that nothing needs.
    """

    table: TableFile
    numbers: NDArray[np.int64]
    raw: RawRows
    key: Mapping[str, NDArray[Any]]
    known: Mapping[str, int]
    trained: int
    unknown: Mapping[str, tuple[int, str]]
    notes: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.numbers)


@dataclass(frozen=True)
class Measurement:
    """What a model comes to.

    Attributes:
        rows: that have a target.
        value: of the metric that counts on these; None where there are none, or no such metric.
    """

    rows: int
    value: float | None


def read_rows(model: TableModel, path: Path, part: Part, observer: Observer) -> RowsToPredict:
    """Read a table, and select those rows of it that are to be predicted. Needs no TensorFlow.

    Raises:
        RequestError: it cannot be read, lacks a column, has one of another kind, or has no such rows; or it cannot be
            told which rows are of a part.
    """
    observer.stage(f"reading {path.name}")
    table = read_table(path, observer.counted)
    columns, notes = model.columns, list(table.notes)
    statistics = _statistics(model)
    raw = _values(table, columns, notes)
    hashes = _hashes(model, table, columns, part)
    numbers = np.arange(len(table.frame))
    known: dict[str, int] = {}
    trained = 0
    if hashes is not None:
        rows = read_known_rows(model.run)
        if part != "all":
            numbers = _selected(rows, hashes, part, model, table)
            raw = raw.at(numbers)
        parts = rows.parts_of(hashes[numbers])
        known, trained = _counts(parts), int(np.count_nonzero(parts & model.training_bits))
    return RowsToPredict(
        table,
        numbers,
        raw,
        {name: table.written(name).to_numpy()[numbers] for name in model.record.key if name in table.frame},
        known,
        trained,
        _unknown_words(table, columns, raw, numbers, statistics),
        (*notes, *_missing_numbers(columns, raw, statistics)),
        tuple(name for name in table.columns if name not in {*columns.features, columns.target, *model.record.key}),
    )


def _statistics(model: TableModel) -> Statistics:
    """What training knew of its rows."""
    try:
        # Checks that they are of these columns.
        return Encoder(model.columns, statistics_from(model.record.statistics)).statistics
    except RequestError as error:
        raise RequestError(f"{model.run / TABLE_NAME}: damaged ({error.message})") from None


def _values(table: TableFile, columns: TableColumns, notes: list[str]) -> RawRows:
    """The values of all rows, without targets where the table has none that could be measured, of which a note says."""
    if columns.target not in table.frame:
        return raw_rows(table, columns, with_target=False)
    try:
        return raw_rows(table, columns)
    except RequestError as error:
        raw = raw_rows(table, columns, with_target=False)
        # Of the target, then: its values are not needed to predict.
        notes.append(f"it is not measured how right the predictions are: {error.message}")
        return raw


def _hashes(model: TableModel, table: TableFile, columns: TableColumns, part: Part) -> NDArray[np.uint64] | None:
    """By which rows are known; None where that is not asked for and cannot be told."""
    needed = {columns.target, *model.record.key}
    if part == "all" and not (needed <= set(table.frame) and (model.run / ROWS_NAME).is_file()):
        return None
    return row_hashes(table, columns, model.record.key)


def _selected(
    known: KnownRows, hashes: NDArray[np.uint64], part: Part, model: TableModel, table: TableFile
) -> NDArray[np.int64]:
    selected = np.flatnonzero(known.parts_of(hashes) == 0 if part == "new" else known.is_in(part, hashes))
    if not len(selected):
        counts = _counts(known.parts_of(hashes))
        has = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        which = "is one that the run does not know" if part == "new" else f"{_WHAT[part]} the model of this run"
        raise RequestError(
            f"{table.path}: none of its {counted(len(hashes), 'row')} {which}",
            hint=f"Of its rows, in {model.run.name} and the runs that it started from: {has}.",
        )
    return selected


def _counts(parts: NDArray[np.uint8]) -> dict[str, int]:
    bits = {"trained": TRAINED, "validated": VALIDATED, "tested": TESTED}
    counts = {what: int(np.count_nonzero(parts & bit)) for what, bit in bits.items()}
    return {**counts, "new": int(np.count_nonzero(parts == 0))}


def _unknown_words(
    table: TableFile, columns: TableColumns, raw: RawRows, numbers: NDArray[np.int64], statistics: Statistics
) -> dict[str, tuple[int, str]]:
    import pandas

    unknown: dict[str, tuple[int, str]] = {}
    for i, name in enumerate(columns.words):
        vocabulary = {"", *statistics.vocabularies[name].vocabulary}
        codes, texts = pandas.factorize(raw.words[:, i])
        rows = np.flatnonzero(np.array([text not in vocabulary for text in texts], bool)[codes])
        if len(rows):
            first = f"{cell_at(table, int(numbers[rows[0]]), name)}: {shown(raw.words[rows[0], i])}"
            unknown[name] = len(rows), first
    return unknown


def _missing_numbers(columns: TableColumns, raw: RawRows, statistics: Statistics) -> Iterator[str]:
    """Notes on values that are missing where none was when the model was trained."""
    for i, name in enumerate(columns.numbers):
        count = int(np.count_nonzero(np.isnan(raw.numbers[:, i])))
        if count and not statistics.numbers[name].has_missing:
            verb = agreeing(count, "has", "have")
            yield (
                f"{counted(count, 'row')} {verb} no {name}, which no training row lacked: "
                f"{agreeing(count, 'it is', 'they are')} predicted as with the mean {name} of those"
            )


def predict(
    model: TableModel,
    keras_model: keras.Model,
    rows: RowsToPredict,
    write: Callable[[pandas.DataFrame], None],
    observer: Observer,
) -> Measurement:
    """Predict rows, a chunk at a time, so that memory is needed for one.

    Args:
        keras_model: of `model`, loaded.
        write: receives each chunk's table: `row`, counted from 1; the columns of the key; `prediction`, a number or a
            class's name; and of classes the probability of each.

    Raises:
        CheckpointError: the model does not predict what the run's target is.
    """
    measurer = _Measurer(keras_model, model.headline.name)
    outputs_of = _predictor(model, keras_model, rows.raw)
    classes = _Classes(model, keras_model) if model.record.classes else None
    for start in range(0, rows.count, _CHUNK):
        stop = min(start + _CHUNK, rows.count)
        parts = []
        for begin in range(start, stop, _BATCH):
            batch = slice(begin, min(begin + _BATCH, stop))
            outputs, added = outputs_of(batch)
            parts.append(outputs)
            measurer.add(rows.raw, batch, outputs, added)
            observer.counted("rows predicted", batch.stop, rows.count)
        predicted = np.concatenate(parts)
        content = {"prediction": predicted[:, 0]} if classes is None else classes.table(predicted)
        write(_frame(rows, slice(start, stop), content))
    return measurer.result()


def _predictor(model: TableModel, keras_model: Any, raw: RawRows) -> Callable[[slice], tuple[Outputs, float]]:
    """What predicts some of the rows, [rows, outputs], and tells what the model adds to their loss: penalties of its
    weights, and of what its layers compute of these rows."""
    import tensorflow as tf

    def call(x: Any) -> tuple[Any, Any]:
        outputs = keras_model(x, training=False)
        # Outside the graph they cannot be read.
        return outputs, sum((tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in keras_model.losses), tf.zeros([]))

    hush_short_numbers(keras_model)
    compiled = tf.function(call, autograph=False, reduce_retracing=True)
    numbers, texts = model.record.numbers, model.record.words

    def outputs_of(batch: slice) -> tuple[Outputs, float]:
        x = {name: tf.constant(raw.numbers[batch, i]) for i, name in enumerate(numbers)}
        x |= {name: tf.constant(raw.words[batch, i]) for i, name in enumerate(texts)}
        outputs, added = compiled(x)
        rows = batch.stop - batch.start
        expected = "one number a row" if model.record.task == "regression" else "a number a row for each class"
        if isinstance(outputs, (dict, list, tuple)) or outputs.shape[:1] != (rows,) or len(outputs.shape) > 2:
            raise CheckpointError(f"{model.file}: its predictions are not {expected}")
        array: Outputs = outputs.numpy().astype(np.float32).reshape(rows, -1)
        if array.shape[1] not in _widths(len(model.record.classes)):
            raise CheckpointError(f"{model.file}: predicts {array.shape[1]} numbers a row, expected {expected}")
        return array, float(added)

    return outputs_of


def _widths(classes: int) -> tuple[int, ...]:
    """How many numbers a model may give for a row."""
    return {0: (1,), 2: (1, 2)}.get(classes, (classes,))


class _Classes:
    """Turns a model's outputs into classes and their probabilities."""

    def __init__(self, model: TableModel, keras_model: Any) -> None:
        import keras

        self._names = np.array(model.record.classes, object)
        self._logits = any(map(_takes_logits, keras.tree.flatten(keras_model.loss)))
        # What the numbers are, by those of the first rows.
        self._kind = ""

    def table(self, outputs: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """The columns of some rows. Outputs that are no probabilities are scores.

        Args:
            outputs: [rows, classes], or of two classes [rows, 1]: that of the second.
        """
        if outputs.shape[1] == 1:
            second = 1 / (1 + np.exp(-outputs)) if self._logits else outputs
            values: NDArray[np.float32] = np.hstack([1 - second, second])
            index = (second[:, 0] > 0.5).astype(int)
        else:
            values, index = _softmax(outputs) if self._logits else outputs, outputs.argmax(axis=1)
        is_probability = values.min() >= 0 and np.abs(values.sum(axis=1) - 1).max() < _ROUNDING
        self._kind = self._kind or ("probability" if is_probability else "score")
        return {
            "prediction": self._names[index],
            **{f"{self._kind}_{name}": values[:, i] for i, name in enumerate(self._names)},
        }


def _takes_logits(loss: Any) -> bool:
    try:
        return bool(loss.get_config().get("from_logits"))
    # A name, a function, or a class of the user's that does not say.
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return False


def _softmax(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


class _Measurer:
    """Measures predictions, batch by batch, by the metrics and the loss that a model was compiled with."""

    def __init__(self, model: Any, name: str) -> None:
        self._model, self._name = model, name
        self._rows, self._loss = 0, 0.0
        model.reset_metrics()

    def add(self, raw: RawRows, batch: slice, outputs: NDArray[np.float32], added: float) -> None:
        """Add some of the rows; those without a target do not count.

        Args:
            outputs, added: what the model predicts for them, and adds to their loss.
        """
        if raw.target is None:
            return
        target = raw.target[batch]
        present = ~np.isnan(target) if target.dtype.kind == "f" else target >= 0
        target, outputs = target[present], outputs[present]
        if not len(target):
            return
        self._rows += len(target)
        if self._name == "loss":
            # Of all its terms the mean over rows.
            self._loss += (float(self._model._compile_loss(target, outputs)) + added) * len(target)
        else:
            self._model.compute_metrics(None, target, outputs)

    def result(self) -> Measurement:
        if not self._rows:
            return Measurement(0, None)
        if self._name == "loss":
            return Measurement(self._rows, self._loss / self._rows)
        value = self._model.get_metrics_result().get(self._name)
        return Measurement(self._rows, None if value is None else float(value))


def _frame(rows: RowsToPredict, chunk: slice, content: Mapping[str, NDArray[Any]]) -> pandas.DataFrame:
    import pandas

    columns: dict[str, Any] = {"row": rows.numbers[chunk] + 1}
    for name, texts in rows.key.items():
        columns[_free_name(name, [*columns, *content])] = texts[chunk]
    return pandas.DataFrame({**columns, **content})


def _free_name(name: str, used: Sequence[str]) -> str:
    while name in used:
        name += "_"
    return name
