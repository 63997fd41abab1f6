"""What stands between the raw rows of a table and a network: standardised numbers, and indices of words.

A network is trained on encoded rows. The encoder is a Keras model too, of Keras's own layers, so that a file can hold
both as one model, which takes the rows of a table as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import OnProgress, ignore_progress
from stopcli.data.nest import Nest, leaves
from stopcli.errors import RequestError
from stopcli.quantities import counted
from stopcli.recipes.encoder_in_file import EncodedColumn, difference, encoded_columns
from stopcli.recipes.keras_policy import dtype_policy
from stopcli.recipes.model_identity import first_names
from stopcli.recipes.whole_model import core_of, whole_model

if TYPE_CHECKING:
    import keras

    from stopcli.data.table_columns import RawRows, TableColumns

# Words of a column that have an index of their own.
MOST_WORDS = 10_000
# Rows that are encoded at a time: enough that calls cost nothing, and little memory.
_BATCH = 1 << 16
# Rows that are measured at a time: so few that they stay in a processor's cache.
_CHUNK = 1 << 12


@dataclass(frozen=True)
class NumberStatistics:
    """A column of numbers, by the rows that train.

    Attributes:
        mean, deviation: of the values that are not missing, in float64; a deviation of 0 counts as 1.
        has_missing: whether values are missing, so that the network is told which.
    """

    mean: float
    deviation: float
    has_missing: bool


@dataclass(frozen=True)
class WordStatistics:
    """A column of words, by the rows that train.

    Attributes:
        vocabulary: the words, sorted; the index of the first one is 1.
        rarer: how many further words there were, which are treated as those that training never saw.
    """

    vocabulary: tuple[str, ...]
    rarer: int = 0


@dataclass(frozen=True)
class Statistics:
    """What an encoder knows of the rows that train.

    Attributes:
        numbers, vocabularies: of the columns of numbers and of words, by name.
        target_mean, target_deviation: of a regression's targets; 0 and 1 of classes.
    """

    numbers: Mapping[str, NumberStatistics]
    vocabularies: Mapping[str, WordStatistics]
    target_mean: float = 0.0
    target_deviation: float = 1.0

    @property
    def plain(self) -> dict[str, Any]:
        """The same of numbers, texts, lists and dicts, as JSON can hold it; `statistics_from` reads it."""
        return {
            "numbers": [
                {"column": name, "mean": one.mean, "deviation": one.deviation, "has_missing": one.has_missing}
                for name, one in self.numbers.items()
            ],
            "words": [
                {"column": name, "vocabulary": list(one.vocabulary), "rarer": one.rarer}
                for name, one in self.vocabularies.items()
            ],
            "target_mean": self.target_mean,
            "target_deviation": self.target_deviation,
        }


def statistics_from(plain: Mapping[str, Any]) -> Statistics:
    """Statistics from their plain form. Raises RequestError where it is none."""
    try:
        return Statistics(
            {
                str(one["column"]): NumberStatistics(
                    float(one["mean"]), float(one["deviation"]), bool(one["has_missing"])
                )
                for one in plain["numbers"]
            },
            {
                str(one["column"]): WordStatistics(tuple(map(str, one["vocabulary"])), int(one["rarer"]))
                for one in plain["words"]
            },
            float(plain["target_mean"]),
            float(plain["target_deviation"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(f"the statistics of a table are damaged ({type(error).__name__}: {error})") from error


def statistics_of(raw: RawRows, columns: TableColumns, rows: NDArray[np.intp] | None = None) -> Statistics:
    """Measure the rows that train.

    Args:
        raw: of these columns; with targets where they are numbers.
        rows: the indices of those that train; None for all.
    """
    rows, target = np.arange(raw.count) if rows is None else rows, (0.0, 1.0)
    if columns.task == "regression" and raw.target is not None:
        (of_target,) = _of_columns(raw.target[:, None], rows)
        target = of_target.mean, of_target.deviation
    return Statistics(
        dict(zip(columns.numbers, _of_columns(raw.numbers, rows), strict=True)),
        {name: _of_words(raw.words[rows, i]) for i, name in enumerate(columns.words)},
        *target,
    )


def _of_columns(numbers: NDArray[np.float32], rows: NDArray[np.intp]) -> list[NumberStatistics]:
    """Of each column of [any rows, columns] over some of the rows, in float64. Of no values, 0 and 1."""
    columns = numbers.shape[1]
    count, total, squares = np.zeros(columns, np.int64), np.zeros(columns), np.zeros(columns)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    # Some rows at a time, for all columns: a column by itself lies far apart in memory.
    chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    for chunk in map(numbers.__getitem__, chunks):
        smallest, largest = chunk.min(axis=0), chunk.max(axis=0)
        if np.isnan(smallest).any():
            present = ~np.isnan(chunk)
            count += present.sum(axis=0)
            total += np.where(present, chunk, 0).sum(axis=0, dtype=np.float64)
            smallest, largest = np.fmin.reduce(chunk, axis=0), np.fmax.reduce(chunk, axis=0)
        else:
            # Several times as fast, and the usual case.
            count += len(chunk)
            total += chunk.sum(axis=0, dtype=np.float64)
        low, high = np.fmin(low, smallest), np.fmax(high, largest)
    mean, any_missing = total / np.maximum(count, 1), bool((count < len(rows)).any())
    for chunk in map(numbers.__getitem__, chunks):
        difference = chunk - mean
        if any_missing:
            difference[np.isnan(difference)] = 0.0
        squares += np.einsum("ij,ij->j", difference, difference)
    deviation = np.sqrt(squares / np.maximum(count, 1))
    statistics = []
    for i in range(columns):
        # The mean of equal numbers may differ from them by rounding. A deviation whose reciprocal float32 cannot hold
        # is that of numbers which are all 0 to it.
        of_column = (float(low[i]), 1.0) if low[i] == high[i] else (float(mean[i]), float(deviation[i]))
        usable = of_column if of_column[1] > 1e-37 else (of_column[0], 1.0)
        statistics.append(NumberStatistics(*usable, bool(count[i] < len(rows))))
    return statistics


def _of_words(column: NDArray[Any]) -> WordStatistics:
    counts = Counter(column.tolist())
    counts.pop("", None)
    if len(counts) <= MOST_WORDS:
        return WordStatistics(tuple(sorted(counts)))
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
    return WordStatistics(tuple(sorted(frequent)), len(counts) - MOST_WORDS)


class Encoder:
    """Turns raw rows into those that a network takes, and a network for these into one for raw rows.

    Args:
        columns: the features.
        statistics: of the rows that train, or those of an ancestor, whose words keep their indices; a word that it has
            not seen has index 0.

    Raises:
        RequestError: the statistics are of other columns.
    """

    def __init__(self, columns: TableColumns, statistics: Statistics) -> None:
        self.columns, self.statistics = columns, statistics
        for kind, ours, theirs in (
            ("numbers", columns.numbers, statistics.numbers),
            ("words", columns.words, statistics.vocabularies),
        ):
            if set(ours) != set(theirs):
                raise RequestError(f"the statistics are of other columns of {kind}: {', '.join(theirs) or 'none'}")
        self._indicated = [i for i, name in enumerate(columns.numbers) if statistics.numbers[name].has_missing]

    @property
    def width(self) -> int:
        """Numbers of an encoded row: one for each column of numbers, and one for each that has missing values."""
        return len(self.columns.numbers) + len(self._indicated)

    @property
    def vocabulary_sizes(self) -> tuple[int, ...]:
        """Of each column of words, how many have an index of their own."""
        return tuple(len(self.statistics.vocabularies[name].vocabulary) for name in self.columns.words)

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers of an encoded row are."""
        return (*self.columns.numbers, *(f"{self.columns.numbers[i]} is missing" for i in self._indicated))

    @property
    def description(self) -> tuple[str, ...]:
        """What is done to the columns, a sentence without a full stop each."""
        sentences = []
        if self.columns.numbers:
            missing = f", {len(self._indicated)} with missing values" if self._indicated else ""
            sentences.append(
                f"{counted(len(self.columns.numbers), 'column')} of numbers{missing}, standardised by the training rows"
            )
        if self.columns.words:
            known = f"{sum(self.vocabulary_sizes):,}"
            sentences.append(
                f"{counted(len(self.columns.words), 'column')} of words, of which the training rows have {known}"
            )
        return tuple(sentences)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should be told, a sentence without a full stop each."""
        return tuple(
            f"{name} has {len(one.vocabulary) + one.rarer:,} different words in the training rows; the "
            f"{len(one.vocabulary):,} most frequent are told apart, all others count as unknown"
            for name, one in self.statistics.vocabularies.items()
            if one.rarer
        )

    @cached_property
    def identity(self) -> dict[str, str]:
        """A hash of what it computes, for the fingerprint of a run."""
        described = [self.columns.numbers, self.columns.words, self.statistics.plain]
        return {"encoder": hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()}

    def notes_on(self, raw: RawRows) -> tuple[str, ...]:
        """What the user should be told of rows that do not train, a sentence without a full stop each."""
        # Where not all words have an index, those without one may be training's, too.
        unknown = {
            name: count
            for name, count in self.unknown_words(raw).items()
            if not self.statistics.vocabularies[name].rarer
        }
        columns = ", ".join(f"{name} in {counted(count, 'row')}" for name, count in unknown.items())
        return (f"words that no row that trains has count as unknown: {columns}",) if columns else ()

    def unknown_words(self, raw: RawRows) -> dict[str, int]:
        """Of each column of words, in how many rows it has one without an index of its own; columns without such rows
        are left out."""
        result = {}
        for i, name in enumerate(self.columns.words):
            known = {"", *self.statistics.vocabularies[name].vocabulary}
            count = sum(times for word, times in Counter(raw.words[:, i].tolist()).items() if word not in known)
            if count:
                result[name] = count
        return result

    @cached_property
    def model(self) -> keras.Model:
        """From a list, of the numbers, float32 [rows, columns of numbers], where there are any, and of each column of
        words, [rows], to encoded rows."""
        import keras

        # The file of a run, in which these names stand, does not depend on what was built before.
        with dtype_policy("float32"), first_names():
            numbers = [keras.Input((len(self.columns.numbers),), dtype="float32")] if self.columns.numbers else []
            texts = [keras.Input((), dtype="string") for _ in self.columns.words]
            encoded: Any = self._encoded_numbers(numbers[0]) if numbers else None
            if texts:
                indices = self._encoded_words(texts)
                # Of no numbers, [rows, 0].
                encoded = keras.ops.cast(indices[:, :0], "float32") if encoded is None else encoded
                encoded = {"numbers": encoded, "words": indices}
            return keras.Model([*numbers, *texts], encoded, name="table_encoder")

    def _encoded_numbers(self, values: Any) -> Any:
        import keras

        ops, layers = keras.ops, keras.layers
        known = [self.statistics.numbers[name] for name in self.columns.numbers]
        missing = ops.isnan(values)
        # Two layers, because numbers that are large beside their deviation lose no digits by a subtraction; the second
        # adds what the mean has lost in float32. Keras's Normalization would take a deviation below 1e-7 for that, and
        # none above 1e19.
        means = [float(np.float32(one.mean)) for one in known]
        lost = [(mean - one.mean) / one.deviation for mean, one in zip(means, known, strict=True)]
        centred = layers.Rescaling(1.0, [-mean for mean in means], name="minus_mean")(values)
        standardised = layers.Rescaling([1 / one.deviation for one in known], lost, name="by_deviation")(centred)
        standardised = ops.where(missing, 0.0, standardised)
        if not self._indicated:
            return standardised
        indicators = ops.cast(ops.take(missing, np.array(self._indicated, np.int32), axis=1), "float32")
        return ops.concatenate([standardised, indicators], axis=1)

    def _encoded_words(self, columns: Sequence[Any]) -> Any:
        import keras

        indices = []
        for name, column in zip(self.columns.words, columns, strict=True):
            # Keras knows no empty vocabulary; this one has the word that counts as missing, and is not looked at.
            vocabulary = list(self.statistics.vocabularies[name].vocabulary)
            lookup = keras.layers.StringLookup(
                vocabulary=vocabulary or [""], mask_token=None, oov_token=_unused_word(vocabulary)
            )
            index = lookup(column)
            indices.append(index if vocabulary else index * 0)
        return keras.ops.cast(keras.ops.stack(indices, axis=1), "int32")

    @cached_property
    def _compiled(self) -> Any:
        """`model` of arrays, traced once for any number of rows."""
        import tensorflow as tf

        numbers = len(self.columns.numbers)
        signature = [
            *([tf.TensorSpec([None, numbers], tf.float32)] if numbers else []),
            *(tf.TensorSpec([None], tf.string) for _ in self.columns.words),
        ]
        return tf.function(lambda *arrays: self.model(list(arrays)), input_signature=signature, autograph=False)

    def encode(
        self, raw: RawRows, on_progress: OnProgress = ignore_progress, rows: NDArray[np.intp] | None = None
    ) -> Nest:
        """Encode rows by `model`, so that they are the same numbers as in the whole model.

        Args:
            raw: of these columns.
            rows: the indices of those that are encoded; None for all.

        Returns:
            float32 [rows, width]; where there are words, {"numbers": that, "words": int32 [rows, columns of words]}.
        """
        import tensorflow as tf

        compiled, total = self._compiled, raw.count if rows is None else len(rows)
        numbers = np.empty((total, self.width), np.float32)
        indices = np.empty((total, len(self.columns.words)), np.int32)
        for start in range(0, total, _BATCH):
            batch = slice(start, min(start + _BATCH, total))
            taken = batch if rows is None else rows[batch]
            arrays = [*([raw.numbers[taken]] if self.columns.numbers else []), *raw.words[taken].T]
            encoded = leaves(compiled(*map(tf.constant, arrays)))
            numbers[batch] = encoded[0].numpy()
            if self.columns.words:
                indices[batch] = encoded[1].numpy()
            on_progress("rows encoded", batch.stop, total)
        return {"numbers": numbers, "words": indices} if self.columns.words else numbers

    def whole(self, core: keras.Model) -> keras.Model:
        """A network with this encoder before it, compiled like the network, of the same variables.

        Returns:
            A model that takes {column: array [rows]}, of numbers in float32 with NaN for missing ones, of words texts
            with "" for missing ones. It is the same one until `core` is compiled anew.
        """
        dtypes = dict.fromkeys(self.columns.numbers, "float32") | dict.fromkeys(self.columns.words, "string")
        return whole_model(self.model, core, dtypes)

    def check_start(self, path: Path) -> None:
        """Find out whether a network in a file was trained on rows that were encoded like those of this encoder.

        Args:
            path: a .keras file.

        Raises:
            RequestError: it was not, and by which column; or it is no file of a table's model.
        """
        differs = difference(encoded_columns(path), self._columns)
        if differs:
            raise RequestError(
                f"{path}: {differs}",
                hint="--rows new takes columns, words and statistics of the run that is started from.",
            )

    @property
    def _columns(self) -> dict[str, EncodedColumn]:
        """As a file says them."""
        columns = {
            name: EncodedColumn("numbers", -float(np.float32(one.mean)), 1 / one.deviation, one.has_missing)
            for name, one in ((name, self.statistics.numbers[name]) for name in self.columns.numbers)
        }
        for name in self.columns.words:
            columns[name] = EncodedColumn("words", vocabulary=self.statistics.vocabularies[name].vocabulary)
        return columns

    def core_of(self, whole: keras.Model) -> keras.Model:
        """The network in a whole model, compiled like it."""
        return core_of(whole)


def _unused_word(vocabulary: Sequence[str]) -> str:
    """Keras's name for unknown words, which none of the known ones may have."""
    name, known = "[UNK]", set(vocabulary)
    while name in known:
        name += "_"
    return name
