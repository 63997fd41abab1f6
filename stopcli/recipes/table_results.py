"""What a run on a table leaves beside that of any fit: how its models compare with simpler answers, how the target is
distributed, and the worst rows as they stand in the table."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples, Splits
from stopcli.data.nest import leaves
from stopcli.errors import RequestError
from stopcli.recipes.fit_results import Outputs, Share, fit_figures, fit_tables, outputs_of, table_of_rows, worst_rows
from stopcli.report.baselines import baselines_table
from stopcli.report.document import Table
from stopcli.report.drawing import Draw, Figures
from stopcli.runs.summary import BaselineValues, RunSummary
from stopcli.stats.differences import NONE

if TYPE_CHECKING:
    from stopcli.recipes.table_baselines import Baseline
    from stopcli.runs.metrics import Columns
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.row_scores import OnRows
    from stopcli.training.trainer import Experiment

_ABSOLUTE = ("mae", "mean_absolute_error")
# Columns of a table that are shown of its worst rows, and letters of a word.
_MOST_COLUMNS, _LONGEST_WORD = 5, 40
# In bytes.
_LARGEST_FILE = 1 << 26
# Of probabilities as logits.
_LEAST_PROBABILITY = 1e-7

_PENALTY = (
    "the network's loss holds the penalties of its weights, which simpler answers have none of; the differences from "
    "these are without them"
)


# Of each table, by whether absolute errors count: runs of a sweep share its rows.
_FITTED: WeakKeyDictionary[Any, dict[bool, tuple[tuple[Baseline, ...], tuple[str, ...]]]] = WeakKeyDictionary()
_FITTING = threading.Lock()


def baselines_beside(experiment: Experiment) -> tuple[tuple[Baseline, ...], tuple[str, ...]]:
    """The baselines of a table's rows, fitted once for all seeds; and notes, as for `baselines_of`."""
    from stopcli.recipes.table_baselines import baselines_of

    absolute, classes = experiment.headline.name in _ABSOLUTE, len(experiment.table.columns.classes)
    with _FITTING:
        fitted = _FITTED.setdefault(experiment.table, {})
        if absolute not in fitted:
            parts = experiment.parts
            # The network has learned from those of earlier runs too.
            earlier = experiment.table.trained_before()
            train = parts.train if earlier is None else parts.train.joined(earlier)
            fitted[absolute] = baselines_of(train, parts.validation, classes, 0, absolute=absolute)
        return fitted[absolute]


def with_baselines(experiment: Experiment, evaluation: Evaluation) -> RunSummary:
    """The run's summary with what baselines come to on its test rows, measured as its models were; without any where no
    rows test, or the model predicts something else."""
    summary, rows = evaluation.summary, experiment.parts.test
    if not rows.count or evaluation.test_predictions is None:
        return summary
    baselines, notes = baselines_beside(experiment)
    values = [_values_of(experiment, evaluation, rows, baseline) for baseline in baselines]
    of_baselines = [note for baseline in baselines for note in baseline.notes]
    if baselines and any(of_model.scores and of_model.scores.shift for of_model in evaluation.on_rows.values()):
        of_baselines.append(_PENALTY)
    return replace(
        summary,
        baselines=tuple(value for value in values if value is not None),
        warnings=(*summary.warnings, *notes, *of_baselines),
    )


def _values_of(
    experiment: Experiment, evaluation: Evaluation, rows: Examples, baseline: Baseline
) -> BaselineValues | None:
    """None where the model's outputs are not of the kind that a baseline predicts."""
    from stopcli.training.model_rows import interval_on_rows, model_difference
    from stopcli.training.row_scores import on_rows, value_on_rows

    headline, model = experiment.headline, experiment.model
    predictions = _as_outputs(baseline.predict(rows.x), evaluation.test_predictions, experiment.loss)
    value = None if predictions is None else value_on_rows(model, headline, rows, predictions)
    if predictions is None or value is None or not math.isfinite(value):
        return None
    measured = on_rows(model, headline, rows, predictions, value)
    interval = interval_on_rows(measured, headline)
    differences = {
        name: model_difference(_without_penalty(of_model), measured, headline)
        for name, of_model in evaluation.on_rows.items()
    }
    return BaselineValues(
        name=baseline.name,
        is_linear=baseline.is_linear,
        fitted=baseline.fitted,
        test={headline.name: value},
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        **differences,
    )


def _without_penalty(on_rows: OnRows) -> OnRows:
    """Without what a loss has for the model's weights, which says nothing of its predictions and no baseline has."""
    return on_rows if on_rows.scores is None else replace(on_rows, scores=replace(on_rows.scores, shift=0.0))


def _as_outputs(predicted: NDArray[np.float32], outputs: Any, loss: Any) -> NDArray[np.float32] | None:
    """Numbers, or probabilities, in the form of a model's outputs; None where these are of another kind.

    Args:
        predicted: of a baseline, [rows, 1 or classes].
        outputs: of the model, for the same rows.
        loss: that it was compiled with.
    """
    from stopcli.training.task import from_logits

    arrays = leaves(outputs)
    if len(arrays) != 1 or len(arrays[0]) != len(predicted):
        return None
    width = math.prod(arrays[0].shape[1:])
    if predicted.shape[1] == 1:
        return predicted.reshape(arrays[0].shape) if width == 1 else None
    if width not in (predicted.shape[1], 1) or (width == 1 and predicted.shape[1] != 2):
        return None
    if from_logits(loss):
        logs = np.log(np.maximum(predicted, _LEAST_PROBABILITY))
        predicted = logs[:, 1:] - logs[:, :1] if width == 1 else logs
    elif width == 1:
        predicted = predicted[:, 1:]
    shaped: NDArray[np.float32] = predicted.reshape(arrays[0].shape)
    return shaped


def table_figures(config: Any, experiment: Experiment, evaluation: Evaluation, metrics: Columns) -> Figures:
    """The figures of any fit, and how the target is distributed by part."""
    from stopcli.report.table_figures import target_classes, target_numbers

    figures: dict[str, Draw] = dict(fit_figures(config, experiment, evaluation, metrics))
    columns, parts = experiment.table.columns, _targets(experiment.parts)
    if columns.task == "regression":
        figures["target"] = lambda: target_numbers(parts, columns.target, f"{columns.target} by part")
    else:
        figures["target"] = lambda: target_classes(parts, columns.classes, f"{columns.target} by part")
    return figures


def _targets(parts: Splits) -> dict[str, NDArray[Any]]:
    """The targets of each part that has rows."""
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    if not parts.test_is_held_out:
        del named["validation"]
    return {name: np.asarray(rows.y) for name, rows in named.items() if rows.count}


def table_tables(experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
    """Simpler answers beside the network; the table by class; the worst rows as they stand in the table; and its
    parts."""
    table, summary = experiment.table, evaluation.summary
    tables = {"baselines": baselines_table(summary)} if summary.baselines else {}
    tables |= fit_tables(experiment, evaluation)
    outputs = outputs_of(experiment, evaluation)
    if "worst" in tables and outputs is not None:
        # Of a run that did not finish, nothing was fitted, and whoever stopped it does not wait for it.
        baselines = baselines_beside(experiment)[0] if summary.state == "finished" else ()
        tables["worst"] = _worst(outputs, table, telling_columns(table.columns, baselines))
    return {**tables, "parts": parts_table(table, experiment.parts)}


def telling_columns(columns: Any, baselines: Sequence[Baseline], most: int = _MOST_COLUMNS) -> tuple[str, ...]:
    """The columns that move a linear model's predictions farthest, the first ones of the table where there is none.

    Args:
        columns: the table's TableColumns.
    """
    features = (*columns.numbers, *columns.words)
    linear = next((baseline for baseline in baselines if baseline.is_linear), None)
    if linear is None:
        return features[:most]
    # Behind the numbers of columns are those that say which are missing.
    effects = (*linear.number_effects[: len(columns.numbers)], *linear.word_effects)
    order = sorted(range(len(features)), key=lambda i: -effects[i])
    return tuple(features[i] for i in order[:most])


def _worst(outputs: Outputs, table: Any, shown: Sequence[str]) -> Table:
    """The rows that were predicted worst, where they stand in the file, with values of some columns.

    Args:
        table: the run's TableData.
    """
    worst, columns = worst_rows(outputs), table.columns
    in_file = [int(outputs.numbers[i]) for i in worst.indices]
    # Rows without a target are in the file, and not among the raw ones.
    raw = table.raw.at(np.searchsorted(table.table.frame.index.to_numpy(), in_file))
    values = [
        raw.numbers[:, columns.numbers.index(name)]
        if name in columns.numbers
        else raw.words[:, columns.words.index(name)]
        for name in shown
    ]
    where, positions = _positions(table.table, in_file)
    rows = [
        (position, *cells, *(_raw(of_column[i]) for of_column in values))
        for i, (position, cells) in enumerate(zip(positions, worst.cells, strict=True))
    ]
    return table_of_rows(f"Worst {outputs.rows}", (where, *worst.columns, *shown), rows, _cell)


def _positions(table: Any, rows: Sequence[int]) -> tuple[str, list[int]]:
    """Where rows of a TableFile stand: their lines in a CSV file; else, and in large files, of which reading the lines
    again would take longer than it helps, their numbers, counted from 1."""
    from stopcli.data.table_file import lines_of

    with contextlib.suppress(OSError, RequestError):
        # It may have been moved since it was read.
        if table.layout is not None and table.path.stat().st_size <= _LARGEST_FILE:
            return "line", lines_of(table, rows)
    return "row", [row + 1 for row in rows]


def _raw(value: Any) -> Any:
    """A value of a column; None where it is missing."""
    if isinstance(value, str):
        return value or None
    return value if math.isfinite(value) else None


def _cell(value: Any) -> str:
    """A value for a table: numbers with four digits or more, and no exponent where that says as much."""
    if value is None:
        return NONE
    if isinstance(value, str):
        flat = " ".join(value.split())
        return flat if len(flat) <= _LONGEST_WORD else f"{flat[: _LONGEST_WORD - 1]}…"
    if isinstance(value, (int, Share)):
        return f"{value:.3f}" if isinstance(value, Share) else str(value)
    number = float(value)
    if not math.isfinite(number) or (number and not 1e-4 <= abs(number) < 1e9):
        return f"{number:.4g}"
    if number == round(number):
        return f"{number:.0f}"
    digits = max(0, 3 - math.floor(math.log10(abs(number))))
    return f"{number:.{digits}f}"


def parts_table(table: Any, parts: Splits) -> Table:
    """How many rows, groups and times each part has, and of numbers the mean and the standard deviation of the target.

    Args:
        table: the run's TableData.
    """
    targets, rows = _targets(parts), []
    for part in table.row_parts.table:
        row = dict(part)
        of_part = targets.get(str(part["part"]))
        if table.columns.task == "regression" and of_part is not None:
            row["mean target"] = float(np.mean(of_part, dtype=float))
            row["sd"] = float(np.std(of_part, dtype=float))
        rows.append(row)
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return table_of_rows("Rows by part", columns, [[row.get(name) for name in columns] for row in rows], _part_cell)


def _part_cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else _cell(value)
