"""Loss and metrics of a model on rows, outside the compiled loop: what is reported of a model that was saved.

After training: the saved model is loaded from its file and measured, and the run is summed up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.configs.base import RunConfig
from stopcli.data.dataset import Examples
from stopcli.models.fused_batch_norm import with_fused_batch_norm
from stopcli.runs.environment import Environment
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.runs.status import RunState
from stopcli.runs.summary import ModelValues, RowCounts, RunSummary, Selection, Values
from stopcli.stats.intervals import Proportion, proportion_of
from stopcli.stats.selection import compare_selection
from stopcli.training.experiment import Experiment, readable
from stopcli.training.model_files import load_model
from stopcli.training.session import Stopwatch
from stopcli.training.step import Inputs, Metric, even_batch, run_traced
from stopcli.training.trainer import Outcome

Tensor = Any
Predict = Callable[[NDArray[Any]], NDArray[Any]]


def predictor(model: keras.Model, inputs: Inputs, batch_size: int) -> Predict:
    """A function from rows as they lie in memory to the model's predictions, compiled once.

    Args:
        batch_size: rows that are predicted at a time, at most.
    """

    predict = tf.function(lambda x: model(inputs.prepare(x), training=False), autograph=False, reduce_retracing=True)

    def all_of(x: NDArray[Any]) -> NDArray[Any]:
        size = even_batch(len(x), batch_size)
        batches = (tf.constant(x[i : i + size]) for i in range(0, len(x), size))
        return np.concatenate([run_traced(predict, batch).numpy() for batch in batches])

    return all_of


def evaluate(
    model: keras.Model,
    loss: Callable[[Any, Any], Any],
    metrics: Iterable[Metric],
    rows: Examples,
    predictions: NDArray[Any],
) -> dict[str, float]:
    """Loss (with the model's regularization) and metrics by name, over all rows.

    Args:
        predictions: the model's, for the rows.
    """
    targets = tf.constant(rows.y)
    values = {"loss": float(tf.add_n([loss(targets, tf.constant(predictions)), *model.losses]))}
    for metric in metrics:
        values[metric.name] = float(metric.finish(tf.reduce_mean(metric.per_row(targets, predictions))))
    return values


_STATES: dict[str, RunState] = {"interrupted": "interrupted", "time_budget": "paused", "non_finite": "failed"}


@dataclass(frozen=True)
class Evaluation:
    """The model that a run leaves, and what it came to.

    Attributes:
        predict: from rows as they lie in memory to predictions of the best model as loaded from its file; of the final
            one where no checkpoint was kept.
        test_predictions: what it gives for the test rows; None where the run was left before its end and its epochs are
            long, so that measuring the model would keep whoever stopped it waiting.
        summary: its results, without report and times.
    """

    predict: Predict
    test_predictions: NDArray[Any] | None
    summary: RunSummary


def evaluate_run(
    config: RunConfig,
    experiment: Experiment,
    trained: keras.Model,
    outcome: Outcome,
    folder: RunFolder,
    stopwatch: Stopwatch,
) -> Evaluation:
    """Measure the final and the best model and sum the run up.

    Args:
        trained: the model in the outcome's final state.
    """
    predict, predictions = predictor_of(experiment, trained), None
    ended_early = outcome.verdict.reason in ("interrupted", "time_budget")
    with stopwatch.part("evaluate"):
        best: ModelValues | None = None
        if outcome.best_state is not None and experiment.plan.best_checkpoint is not None:
            best = ModelValues(
                monitor=experiment.plan.best_checkpoint.monitor, epoch=outcome.best.epoch, value=outcome.best.value
            )
        if ended_early and experiment.long_epochs:
            final = _recorded(folder, experiment, outcome.final_epoch)
        else:
            values, predictions = evaluate_model(experiment, trained, predict)
            final = _with_values(ModelValues(epoch=outcome.final_epoch), values)
            if best is not None:
                saved = load_model(folder.best_model)
                predict = predictor_of(experiment, saved)
                values, predictions = evaluate_model(experiment, saved, predict)
                best = _with_values(best, values)
    return Evaluation(predict, predictions, _summary(config, experiment, outcome, final, best, folder))


def predictor_of(experiment: Experiment, model: keras.Model) -> Predict:
    """What predicts by a model, for rows as they lie in memory."""
    # The twin makes a model that was loaded as fast as the one that was trained.
    twin = with_fused_batch_norm(model) if experiment.long_epochs else model
    return predictor(twin, experiment.inputs, experiment.evaluation_batch)


def evaluate_model(
    experiment: Experiment, model: keras.Model, predict: Predict
) -> tuple[dict[str, dict[str, float]], NDArray[Any]]:
    """Loss and metrics of a model on the training, the test and, where they are others, the validation rows.

    Returns:
        The values by part, and the predictions for the test rows.
    """
    parts = {"train": experiment.parts.train, "test": experiment.parts.test}
    if experiment.parts.test_is_held_out:
        parts["val"] = experiment.parts.validation
    predictions = {name: predict(rows.x) for name, rows in parts.items()}
    values = {
        name: evaluate(model, experiment.loss, experiment.metrics, rows, predictions[name])
        for name, rows in parts.items()
    }
    return values, predictions["test"]


def _with_values(model: ModelValues, values: Mapping[str, Values]) -> ModelValues:
    """A model with its values by part."""
    return replace(model, train=values["train"], test=values["test"], val=values.get("val"))


def _recorded(folder: RunFolder, experiment: Experiment, epoch: int) -> ModelValues:
    """A complete epoch's metrics, as they were recorded in training; none where there is no such epoch."""
    columns = read_metrics(folder.metrics)
    names = ["loss", *(metric.name for metric in experiment.metrics)]
    tested = "test" if experiment.parts.test_is_held_out else "val"
    prefixes = {"train": "", "test": f"{tested}_", **({"val": "val_"} if tested == "test" else {})}
    rows = [i for i, number in enumerate(columns["epoch"].tolist()) if number == epoch]
    values = {
        part: {name: float(columns[prefix + name][rows[0]]) for name in names} if rows else {}
        for part, prefix in prefixes.items()
    }
    return _with_values(ModelValues(epoch=epoch), values)


def _summary(
    config: RunConfig,
    experiment: Experiment,
    outcome: Outcome,
    final: ModelValues,
    best: ModelValues | None,
    folder: RunFolder,
) -> RunSummary:
    verdict, parts = outcome.verdict, experiment.parts
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
        test_interval={"final": _interval(final, parts.test.count), "best": _interval(best, parts.test.count)},
        selection=_selection(experiment, folder),
        run_dir=str(folder.path),
        warnings=(*config.warnings(), *outcome.warnings),
        samples_per_second=round(rows / outcome.train_seconds, 1) if outcome.train_seconds else None,
        train_seconds=round(outcome.train_seconds - outcome.validation_seconds, 3),
        validation_seconds=round(outcome.validation_seconds, 3),
        train_and_validation_seconds=round(outcome.train_seconds, 3),
        projected_train_seconds=None if projected is None else round(projected, 3),
    )


def _interval(model: ModelValues | None, rows: int) -> Proportion | None:
    """How sure a model's test accuracy is; None where it was not measured."""
    accuracy = None if model is None else model.get("test", "accuracy")
    return None if accuracy is None else proportion_of(accuracy, rows)


def _selection(experiment: Experiment, folder: RunFolder) -> Selection | None:
    """What choosing the epoch on the test rows would have claimed; None where they do choose it."""
    if not experiment.parts.test_is_held_out:
        return None
    metrics = read_metrics(folder.metrics)
    columns = tuple(name for name in metrics if name not in ("epoch", "step"))
    return compare_selection(
        metrics, experiment.plan.best_checkpoint or experiment.plan.best_monitored, readable(columns)
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
