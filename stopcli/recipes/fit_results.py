"""What a run of `stopcli fit`, and a sweep of its arms, leaves: figures and tables by what its model predicts."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stopcli.analysis.arm_results import arm_conclusions, arm_values, arms_table, classes_by_arm, measure_of_arms
from stopcli.analysis.sweep import SweepResults, job_row, reference_of, seeds_in, sweep_arms
from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest, named_leaves
from stopcli.errors import in_a_line
from stopcli.quantities import counted
from stopcli.recipes.base import run_marks, val_rows, which_model
from stopcli.recipes.class_results import classes_table, confusion_figure
from stopcli.report.after import FOLDER
from stopcli.report.document import Table, csv_of
from stopcli.report.drawing import Draw, Figures, drawn_name
from stopcli.runs.files import is_disk_fault
from stopcli.runs.headline import ROWS_IN_WORDS
from stopcli.sweeps.plan import JobResult

if TYPE_CHECKING:
    from stopcli.runs.folder import RunFolder
    from stopcli.runs.metrics import Columns
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.task import Task
    from stopcli.training.trainer import Experiment

# Rows of the table of the worst ones, and columns of what the model was shown of them.
WORST, WORST_COLUMNS = 10, 4
# Outputs whose values have columns in it.
_MOST_OUTPUTS = 3
# How the warning of a failed after() begins.
_FAILED = "after() failed"
# Letters that there is room for beside a panel.
_LONGEST_LOSS = 16
# Classes whose confusions can be seen.
MOST_CLASSES = 100
# Rows that are predicted for figures where none test.
_MOST_PREDICTED = 50_000


@dataclass(frozen=True)
class Outputs:
    """What the model that a run leaves predicts.

    Attributes:
        rows: for which rows, in words: `test rows`; those that validate where none test, or those that train.
        numbers: of these rows in what `data()` returned, or in their part where it returned parts; int [rows].
        examples: the rows.
        task: what was predicted, and how it is shown.
        model: which one, in words.
        classes: names, where there are classes.
    """

    rows: str
    numbers: NDArray[Any]
    examples: Examples
    task: Task
    model: str
    classes: tuple[str, ...]


def outputs_of(experiment: Experiment, evaluation: Evaluation) -> Outputs | None:
    """What the model predicts for the test rows, or where there are none, for others; None where the run ended before
    it was measured."""
    from stopcli.training.task import task_of

    parts = experiment.parts
    name, rows = next(
        (name, rows)
        for name, rows in (("test", parts.test), ("validation", parts.validation), ("training", parts.train))
        if rows.count
    )
    numbers, predictions = np.arange(rows.count), evaluation.test_predictions
    if name != "test":
        if evaluation.summary.final.train is None:
            return None
        numbers = np.linspace(0, rows.count - 1, min(rows.count, _MOST_PREDICTED)).astype(int)
        rows = rows.at(numbers)
        predictions = evaluation.predict(rows.x)
    if predictions is None:
        return None
    drawn = parts.numbers.get("train" if name == "training" else name)
    numbers = numbers if drawn is None else drawn[numbers]
    task = task_of(experiment.loss, rows.y, predictions)
    classes: tuple[str, ...] = ()
    if task.kind == "classes":
        named = len(experiment.classes) == task.predicted.shape[1]
        classes = experiment.classes if named else tuple(map(str, range(task.predicted.shape[1])))
    return Outputs(f"{name} rows", numbers, rows, task, which_model(evaluation.summary), classes)


def fit_figures(config: Any, experiment: Experiment, evaluation: Evaluation, metrics: Columns) -> Figures:
    """The curves; and of numbers, predictions against true values and residuals, of classes their confusions, of scores
    how they are distributed by target."""
    from stopcli.report.curves import learning_curves, panels_of
    from stopcli.report.predictions import MOST_PANELS, predicted_against_true, residuals, scores_by_target

    summary = evaluation.summary
    figures: dict[str, Draw] = {}
    if len(metrics["epoch"]) and panels_of([metrics], summary.headline):
        title = f"{drawn_name(_title(config))}: seed {config.seed}"
        loss, marks = _loss_name(experiment.loss), run_marks(config, summary)
        figures["curves"] = lambda: learning_curves(
            metrics, val_rows(config), marks, title, summary.headline, loss_name=loss
        )
    outputs = outputs_of(experiment, evaluation)
    if outputs is None:
        return figures
    task, model = outputs.task, outputs.model
    if task.kind == "regression":
        true, predicted, row = task.true, task.predicted, outputs.rows.removesuffix("s")
        if true.shape[1] > MOST_PANELS:
            # Of an image or a series, every value is a dot.
            true, predicted, row = true.reshape(-1, 1), predicted.reshape(-1, 1), row.replace(" row", " value")
        value = "value" if experiment.table is None else experiment.table.columns.target
        # Errors are in the unit of what is predicted, where they are no squares or shares of it.
        unit = summary.headline.unit if summary.headline.name in ("mae", "rmse", *_SAME_UNIT) else ""
        figures["predicted"] = lambda: predicted_against_true(true, predicted, model, row, unit, value)
        figures["residuals"] = lambda: residuals(true, predicted, model, row, unit, value)
    elif task.kind == "scores":
        figures["scores"] = lambda: scores_by_target(task.true[:, 0], task.predicted[:, 0], f"{model}, {outputs.rows}")
    elif task.kind == "classes" and len(outputs.classes) <= MOST_CLASSES:
        figures["confusion_matrix"] = lambda: confusion_figure(
            task.true, task.predicted_classes, outputs.classes, model, outputs.rows
        )
    return figures


_SAME_UNIT = ("mean_absolute_error", "root_mean_squared_error")


def fit_tables(experiment: Experiment, evaluation: Evaluation) -> dict[str, Table]:
    """Of classes the table by class; of classes and numbers the rows that were predicted worst."""
    outputs = outputs_of(experiment, evaluation)
    if outputs is None:
        return {}
    tables = {}
    if outputs.task.kind == "classes":
        of_rows = outputs.task.true, outputs.task.predicted_classes
        tables["classes"] = classes_table(*of_rows, outputs.classes, outputs.model, outputs.rows)
    worst = _worst(outputs)
    return {**tables, **({"worst": worst} if worst.rows else {})}


@dataclass(frozen=True)
class WorstRows:
    """The rows that were predicted worst, the worst first.

    Attributes:
        indices: among those that were predicted.
        columns, cells: what was predicted of each, names and values.
    """

    indices: tuple[int, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Any, ...], ...]


def worst_rows(outputs: Outputs) -> WorstRows:
    """The misclassified rows, the most confident first; of numbers those that are farthest off; none of other tasks."""
    task = outputs.task
    if task.kind not in ("classes", "regression"):
        return WorstRows((), (), ())
    if task.kind == "classes":
        predicted = task.predicted_classes
        confidence = task.predicted[np.arange(len(predicted)), predicted]
        wrong = np.flatnonzero(predicted != task.true)
        worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST]
        columns: tuple[str, ...] = ("true", "predicted", "confidence")
        cells: list[tuple[Any, ...]] = [
            (outputs.classes[task.true[i]], outputs.classes[predicted[i]], Share(confidence[i])) for i in worst
        ]
    else:
        rest = task.predicted - task.true
        outputs_of_row = rest.shape[1]
        # Of a few outputs, which may have units of their own, each counts by how far it is off in all rows; of many,
        # such as those of an image or a series, what the table shows.
        spread = np.abs(rest).mean(axis=0, dtype=float) if outputs_of_row <= _MOST_OUTPUTS else np.ones(1)
        size = (np.abs(rest) / np.where(spread > 0, spread, 1)).mean(axis=1)
        worst = np.argsort(-size, kind="stable")[:WORST]
        if outputs_of_row <= _MOST_OUTPUTS:
            names = [""] if outputs_of_row == 1 else [f" {i}" for i in range(outputs_of_row)]
            columns = tuple(f"{what}{name}" for name in names for what in ("true", "predicted", "error"))
            by_output = np.stack([task.true, task.predicted, rest], axis=2)
            cells = [tuple(by_output[row].ravel().tolist()) for row in worst]
        else:
            columns = ("mean |error|", "largest |error|")
            cells = [(float(np.abs(rest[row]).mean()), float(np.abs(rest[row]).max())) for row in worst]
    return WorstRows(tuple(worst.tolist()), columns, tuple(cells))


def _worst(outputs: Outputs) -> Table:
    """The rows that were predicted worst, with the first values of what the model was shown of them."""
    worst, shown = worst_rows(outputs), _shown_columns(outputs.examples.x)
    rows = [
        (int(outputs.numbers[row]), *cells, *(values[row].item() for values in shown.values()))
        for row, cells in zip(worst.indices, worst.cells, strict=True)
    ]
    return table_of_rows(f"Worst {outputs.rows}", ("row", *worst.columns, *shown), rows)


def table_of_rows(
    title: str, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], cell: Callable[[Any], str] | None = None
) -> Table:
    """A table of values of any kind, in full precision in CSV.

    Args:
        cell: how a value is shown; floats with four digits where it is left out.
    """
    exact = tuple(tuple("" if value is None else str(value) for value in row) for row in rows)
    return Table(title, columns, tuple(tuple(map(cell or _cell, row)) for row in rows), exact=exact)


def _shown_columns(x: Nest) -> dict[str, NDArray[Any]]:
    """The first columns of what a model is shown, by name, where it is a table of single values."""
    columns: dict[str, NDArray[Any]] = {}
    for name, array in named_leaves(x):
        if array.ndim > 2 or array.dtype.kind not in "biufSU":
            return {}
        values = array[:, None] if array.ndim == 1 else array
        of_array = f"x {name}".strip()
        for i in range(min(values.shape[1], WORST_COLUMNS)):
            columns[of_array if values.shape[1] == 1 else f"{of_array}[{i}]"] = values[:, i]
    return dict(list(columns.items())[:WORST_COLUMNS])


class Share(float):
    """A number in [0, 1], shown as such: 1.000 and not 1."""


def _cell(value: object) -> str:
    if isinstance(value, Share):
        return f"{value:.3f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _title(config: Any) -> str:
    name = str(config.data_name)
    return name if config.arm == config.rules else f"{name}, {config.arm.replace('-', ' ')}"


def _loss_name(loss: Any) -> str:
    """What the loss is, for an axis; empty where that is not one function, or there is no room for it."""
    name = loss if isinstance(loss, str) else getattr(loss, "name", "") or getattr(loss, "__name__", "")
    text = str(name).replace("_", " ")
    return text if len(text) <= _LONGEST_LOSS else ""


def run_after(call: Callable[[Path], None], folder: RunFolder) -> tuple[str, ...]:
    """Let the user's `after` write to the run's folder `after/`, which is new or emptied.

    Args:
        call: with that folder.

    Returns:
        A warning, a sentence without a full stop, where it failed; its lines are in the log.

    Raises:
        OSError: the disk is full, broken or read-only.
    """
    path = folder.path / FOLDER
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        # What an earlier session left is of another model.
        shutil.rmtree(path)
    path.mkdir()
    try:
        call(path)
    except Exception as error:
        cause = error.__cause__ or error
        if is_disk_fault(cause if isinstance(cause, Exception) else error):
            raise
        folder.note(f"after() failed:\n{error}\n{traceback.format_exc()}")
        return (f"{_FAILED}, and nothing else of the run depends on it: {_in_lines(error)}",)
    finally:
        # A folder without anything in it says nothing.
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return ()


def _in_lines(error: Exception) -> str:
    """The user's own frames, where an error shows them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " / ".join(lines) if len(lines) > 1 else in_a_line(error)


def with_failures_of_after(sweep: SweepResults, results: Sequence[JobResult]) -> SweepResults:
    """A sweep's results with a sentence on runs whose `after` failed, where there are any."""
    warnings = [
        warning
        for result in results
        if result.summary is not None
        for warning in result.summary.warnings
        if warning.startswith(_FAILED)
    ]
    if not warnings:
        return sweep
    sentence = f"In {len(warnings)} of {counted(len(results), 'run')} {warnings[0]}."
    return replace(sweep, conclusions=(*sweep.conclusions, sentence))


def fit_sweep_results(config: Any, results: Sequence[JobResult]) -> SweepResults:
    """A row for each arm, with mean, standard deviation and interval over its seeds, and its paired differences to the
    first; F1 by class of each, where there are classes."""
    arms = sweep_arms(config, results)
    base, measure = reference_of(config, arms), measure_of_arms(config.headline, results)
    final = "restored" if config.restore_best else "final"
    values = [arm_values(arm, base, measure, "arm") for arm in arms]
    rows = f"{ROWS_IN_WORDS[measure.rows]} rows"
    by_class = classes_by_arm(arms, results, "saved model" if config.checkpoint else "final model", rows)
    return SweepResults(
        f"fit: {config.data_name}, {counted(len(arms), 'arm')}, {counted(seeds_in(results), 'seed')}",
        (arms_table(arms, base, measure, "arm", final, intervals=True), *([by_class] if by_class else [])),
        {
            "table.csv": csv_of(values),
            "jobs.csv": csv_of([job_row(result, measure.headline) for result in results]),
            **({"classes.csv": by_class.csv()} if by_class else {}),
        },
        arm_conclusions(arms, base, measure, "arm", f"{final} model"),
        {"arms": values},
    )


def fit_sweep_figures(config: Any, results: Sequence[JobResult]) -> Figures:
    """Loss and the metric that counts by epoch over each other, a colour for each arm, and what each run came to."""
    from stopcli.report.arm_curves import ValueRow, overlaid_curves, value_strips
    from stopcli.report.curves import RunGroup, curves_of, panels_of

    arms = sweep_arms(config, results)
    finished = [arm for arm in arms if arm.runs]
    measure, headline = measure_of_arms(config.headline, results), config.headline
    title = drawn_name(config.data_name)
    groups = [RunGroup(arm.label, arm.index, [result.run.metrics for result in arm.runs]) for arm in finished]
    runs = [run for group in groups for run in group.runs]
    panels: dict[str, str] = {}
    for metric in panels_of(runs, headline):
        rows, column = list(curves_of(runs[0], metric).items())[-1]
        panels[column] = f"{val_rows(config) if rows == 'val' else ROWS_IN_WORDS[rows]} {metric.axis}"
    strips: dict[str, list[ValueRow]] = {}
    for model in ("final", "saved"):
        name = f"{model}_{measure.rows}_{headline.name}"
        intervals = [arm.interval(name) for arm in finished]
        if any(intervals):
            strips[f"{measure.label} of the {model} model"] = [
                ValueRow(arm.label, arm.values(name), interval.bounds if interval else None)
                for arm, interval in zip(finished, intervals, strict=True)
            ]
    figures: dict[str, Draw] = {}
    if panels:
        figures["curves"] = lambda: overlaid_curves(groups, panels, title)
    if strips:
        figures["values"] = lambda: value_strips(strips, title)
    return figures
