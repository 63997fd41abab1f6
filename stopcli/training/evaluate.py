"""What a run comes to: its final and its best model, the latter loaded from its file, evaluated on all rows."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.configs.base import RunConfig
from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest, leaves, map_nest, replace_leaves
from stopcli.data.row_view import CHUNK_BYTES
from stopcli.models.twin import has_short_numbers, with_fast_kernels
from stopcli.report.run_results import MISSING
from stopcli.runs.environment import Environment
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import ACCURACY
from stopcli.runs.metrics import read_metrics
from stopcli.runs.predictions import PredictedClasses, write_predictions
from stopcli.runs.status import RunState
from stopcli.runs.summary import ModelValues, RowCounts, RunSummary, Selection
from stopcli.stats.intervals import compare_selection, proportion_of
from stopcli.training.loop import batch_of
from stopcli.training.model_rows import intervals_and_predictions, model_on_rows
from stopcli.training.row_scores import OnRows
from stopcli.training.session import Stopwatch
from stopcli.training.state_file import hash_of_rows
from stopcli.training.step import Batch, Carry, Step, count_of, even_batch, fold_batches, rows_at, run_traced
from stopcli.training.trainer import Experiment, Outcome, readable

Predict = Callable[[Nest], Nest]
"""From rows as they lie in memory to a model's predictions; nests where the model has several inputs or outputs."""

_STATES: dict[str, RunState] = {"interrupted": "interrupted", "time_budget": "paused", "non_finite": "failed"}


@dataclass(frozen=True)
class Evaluation:
    """The model that a run leaves, and what it came to.

    Attributes:
        model: the best one as loaded from its file; the final one where no checkpoint was saved.
        predict: with it.
        test_predictions: for the test rows, a nest where the model has several outputs; None where there are no such
            rows, or where the run was ended early and its epochs are long, so that evaluating the model would keep
            whoever stopped it waiting.
        summary: its results, without report and times.
        on_rows: the metric that counts on the test rows, row by row, of the `final` model, and where one was saved, of
            the `best` one, where its author compiled it.
    """

    model: keras.Model
    predict: Predict
    test_predictions: Nest | None
    summary: RunSummary
    on_rows: Mapping[str, OnRows] = field(default_factory=dict)


def evaluate_run(
    config: RunConfig,
    experiment: Experiment,
    trained: keras.Model,
    outcome: Outcome,
    folder: RunFolder,
    stopwatch: Stopwatch,
) -> Evaluation:
    """Measure the final and the best model, keep what they predict for the test rows, and sum the run up.

    Args:
        trained: the model in the outcome's final state.
    """
    predict, predictions = predictor_of(experiment, trained), None
    saved: keras.Model | None = None
    intervals: dict[str, Any] | None = None
    measured: Mapping[str, OnRows] = {}
    ended_early = outcome.verdict.reason in ("interrupted", "time_budget")
    with stopwatch.part("evaluate"):
        final, best = ModelValues(epoch=outcome.final_epoch), None
        rule = experiment.plan.best_checkpoint
        if outcome.best_state is not None and rule is not None:
            best = ModelValues(monitor=rule.monitor, epoch=outcome.best.epoch, value=outcome.best.value)
        if ended_early and experiment.long_epochs:
            final = replace(final, **_recorded(folder, experiment, outcome.final_epoch))
            # Those of an earlier session are of another model.
            folder.predictions.unlink(missing_ok=True)
            if experiment.step is not None:
                intervals = {"final": None, "best": None, MISSING: "the run was ended before its models were measured"}
        else:
            values, predictions = evaluate_model(experiment, trained, predict)
            final, by_final = replace(final, **values), predictions
            if best is not None:
                saved = experiment.load_saved(folder.best_model)
                predict = predictor_of(experiment, saved)
                values, predictions = evaluate_model(experiment, saved, predict)
                best = replace(best, **values)
            if experiment.step is None:
                _keep_predictions(experiment, folder, by_final, None if best is None else predictions)
            else:
                intervals, measured = _intervals(
                    experiment,
                    folder,
                    (trained, by_final, final),
                    None if best is None or saved is None else (saved, predictions, best),
                )
    summary = _summary(config, experiment, outcome, final, best, folder)
    if intervals is not None:
        summary = replace(summary, test_interval=intervals)
    return Evaluation(trained if saved is None else saved, predict, predictions, summary, measured)


def predictor_of(experiment: Experiment, model: keras.Model) -> Predict:
    """What predicts by a model, compiled once."""
    twin = model
    # Fused batch normalization makes a model that was loaded as fast as the one that was trained. In 16 bits it rounds
    # elsewhere than Keras's layers, and what a file is said to reach is what they reach.
    if experiment.long_epochs and experiment.step is None and not has_short_numbers(model):
        twin = with_fast_kernels(model)
    prepare = experiment.inputs.prepare if experiment.step is None else experiment.step.prepare
    compiled = tf.function(lambda x: twin(prepare(x), training=False), autograph=False, reduce_retracing=True)

    def predict(x: Nest) -> Nest:
        rows = count_of(x)
        size = even_batch(rows, experiment.evaluation_batch)
        parts = [run_traced(compiled, map_nest(itemgetter(slice(i, i + size)), x)) for i in range(0, rows, size)]
        outputs = [[_as_float32(tensor.numpy()) for tensor in leaves(part)] for part in parts]
        return replace_leaves(parts[0], [np.concatenate(arrays) for arrays in zip(*outputs, strict=True)])

    return predict


def _as_float32(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers of 16 bits as float32: NumPy counts and sums them in 16 bits too, and does not know all of them."""
    return array.astype(np.float32) if array.dtype in (tf.bfloat16.as_numpy_dtype, np.float16) else array


def evaluate_model(experiment: Experiment, model: keras.Model, predict: Predict) -> tuple[dict[str, Any], Nest | None]:
    """Loss (with the model's regularization) and metrics, outside the compiled loop.

    Returns:
        The values on the training, the test and, where they are others, the validation rows, as ModelValues names them,
        of those parts that have rows; and the predictions for the test rows, None where there are none.
    """
    parts = {"train": experiment.parts.train, "test": experiment.parts.test}
    if experiment.parts.test_is_held_out:
        parts["val"] = experiment.parts.validation
    parts = {name: rows for name, rows in parts.items() if rows.count}
    if experiment.step is not None:
        measure = _measurer(experiment, experiment.step.of(model))
        measured = {name: measure(rows) for name, rows in parts.items()}
        return measured, predict(parts["test"].x) if "test" in parts else None
    predictions = {name: predict(rows.x) for name, rows in parts.items()}
    values: dict[str, dict[str, float]] = {}
    for name, rows in parts.items():
        targets, predicted = tf.constant(rows.y), predictions[name]
        values[name] = {"loss": float(tf.add_n([experiment.loss(targets, tf.constant(predicted)), *model.losses]))}
        for metric in experiment.metrics:
            mean = tf.reduce_mean(metric.per_row(targets, predicted))
            values[name][metric.name] = float(metric.finish(mean))
    return values, predictions.get("test")


def _measurer(experiment: Experiment, step: Step) -> Callable[[Examples], dict[str, float]]:
    """What measures rows by a step, compiled once for each size of a batch."""

    def evaluate(size: int, rows: Batch, carry: Carry) -> Carry:
        def add(start: Any, count: int, carry: Carry) -> Carry:
            return step.evaluate(rows_at(rows, start, count), carry)

        measured: Carry = fold_batches(count_of(rows), size, add, carry)
        return measured

    def measure(rows: Examples) -> dict[str, float]:
        size = experiment.batch_size
        if step.rows_are_independent:
            size = even_batch(rows.count, experiment.evaluation_batch)
        compiled = tf.function(functools.partial(evaluate, size), autograph=False)
        row_bytes = sum(array.nbytes for array in leaves(batch_of(rows.take(0, 1))))
        chunk = size * max(1, CHUNK_BYTES // (size * row_bytes))
        carry = step.initial
        for start in range(0, rows.count, chunk):
            carry = run_traced(compiled, batch_of(rows.take(start, start + chunk)), carry)
        return dict(zip(step.columns, step.finish(carry, rows.count).numpy().tolist(), strict=True))

    return measure


def _intervals(
    experiment: Experiment,
    folder: RunFolder,
    final: tuple[keras.Model, Nest | None, ModelValues],
    saved: tuple[keras.Model, Nest | None, ModelValues] | None,
) -> tuple[dict[str, Any], Mapping[str, OnRows]]:
    """The intervals of the metric that counts over the test rows of a model that its author compiled, whose predictions
    are stored; and the metric row by row, as for `intervals_and_predictions`.

    Args:
        final, saved: models with what they predict for the test rows, and their values.
    """
    name, test = experiment.headline.name, experiment.parts.test
    on_rows = [
        None if model is None else model_on_rows(model[0], model[1], model[2].get("test", name))
        for model in (final, saved)
    ]
    assert on_rows[0] is not None
    intervals, predictions, measured = intervals_and_predictions(
        experiment.model, experiment.headline, test, on_rows[0], on_rows[1]
    )
    if predictions is None:
        # Those of an earlier session are of another model.
        folder.predictions.unlink(missing_ok=True)
    else:
        write_predictions(folder.predictions, predictions)
    return intervals, measured


def _keep_predictions(
    experiment: Experiment, folder: RunFolder, final: NDArray[Any] | None, saved: NDArray[Any] | None
) -> None:
    """Write the classes that the models predict for the test rows, where the experiment has classes."""
    if final is None or all(metric.name != ACCURACY.name for metric in experiment.metrics):
        return
    test = experiment.parts.test
    by_final, by_saved = _classes(final), None if saved is None else _classes(saved)
    target = test.y.reshape(test.count).astype(by_final.dtype)
    write_predictions(folder.predictions, PredictedClasses(hash_of_rows(test), target, by_final, by_saved))


def _classes(predictions: NDArray[Any]) -> NDArray[np.unsignedinteger]:
    """The classes of predictions: of one probability, or of one for each class; as small as they can be."""
    classes = predictions.shape[-1]
    if classes == 1:
        return (predictions.reshape(len(predictions)) > 0.5).astype(np.uint8)
    by_class: NDArray[np.intp] = np.argmax(predictions, axis=-1)
    return by_class.astype(np.uint8 if classes <= 256 else np.uint16)


def _recorded(folder: RunFolder, experiment: Experiment, epoch: int) -> dict[str, Any]:
    """A complete epoch's metrics as they were recorded, as `evaluate_model` gives them; empty without such an epoch."""
    columns = read_metrics(folder.metrics)
    parts, held_out = experiment.parts, experiment.parts.test_is_held_out
    prefixes = {"train": "", "test": "test_", "val": "val_"} if held_out else {"train": "", "test": "val_"}
    empty = {name for name, part in (("test", parts.test), ("val", parts.validation)) if part.count == 0}
    rows = [i for i, number in enumerate(columns["epoch"].tolist()) if number == epoch]
    return {
        part: {name: float(columns[prefix + name][rows[0]]) for name in experiment.columns} if rows else {}
        for part, prefix in prefixes.items()
        if part not in empty
    }


def _summary(
    config: RunConfig,
    experiment: Experiment,
    outcome: Outcome,
    final: ModelValues,
    best: ModelValues | None,
    folder: RunFolder,
) -> RunSummary:
    verdict, parts, headline = outcome.verdict, experiment.parts, experiment.headline
    rows = parts.train.count * experiment.inputs.copies * outcome.steps / experiment.steps_per_epoch
    projected = outcome.projected_seconds
    return RunSummary(
        command=config.command,
        name=config.name,
        state=_STATES.get(verdict.reason, "finished"),
        scale=config.scale,
        dataset=experiment.dataset,
        seed=config.seed,
        epochs=verdict.epoch,
        max_epochs=experiment.epochs,
        steps=outcome.steps,
        steps_per_epoch=experiment.steps_per_epoch,
        parameters=experiment.model.count_params(),
        copies=experiment.inputs.copies,
        rows=RowCounts(parts.train.count, parts.validation.count, parts.test.count),
        monitor=experiment.plan.best_monitored.monitor,
        stop=verdict,
        final=final,
        best=best,
        test_interval={
            name: None if model is None else proportion_of(model.get("test", headline.name), parts.test.count, headline)
            for name, model in (("final", final), ("best", best))
        },
        selection=_selection(experiment, folder),
        run_dir=str(folder.path),
        warnings=(*config.warnings(), *outcome.warnings),
        samples_per_second=round(rows / outcome.train_seconds, 1) if outcome.train_seconds else None,
        train_seconds=round(outcome.train_seconds - outcome.validation_seconds, 3),
        validation_seconds=round(outcome.validation_seconds, 3),
        train_and_validation_seconds=round(outcome.train_seconds, 3),
        projected_train_seconds=None if projected is None else round(projected, 3),
        headline=headline,
        exact=getattr(config, "exact", None),
    )


def _selection(experiment: Experiment, folder: RunFolder) -> Selection | None:
    """What choosing the epoch on the test rows would have claimed; None where they do choose it, or where no rows
    validate or test."""
    parts = experiment.parts
    if not (parts.test_is_held_out and parts.validation.count and parts.test.count):
        return None
    metrics = read_metrics(folder.metrics)
    columns = tuple(name for name in metrics if name not in ("epoch", "step"))
    return compare_selection(
        metrics,
        experiment.plan.best_checkpoint or experiment.plan.best_monitored,
        readable(columns),
        experiment.headline,
    )


def devices(precision: str) -> Environment:
    """What TensorFlow computes on, for environment.json. A thread count of 0 means: as many as there are cores."""
    return {
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "threads": {
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
        },
        "precision": precision,
    }
