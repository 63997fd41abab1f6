"""After training: the saved model is loaded from its file and measured, and the run is summed up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from stopcli.config import RunConfig
from stopcli.runs.folder import RunFolder
from stopcli.training.checkpoint import load_model
from stopcli.training.evaluate import evaluate
from stopcli.training.experiment import Experiment
from stopcli.training.pacing import Stopwatch
from stopcli.training.trainer import Outcome

_STATES = {"interrupted": "interrupted", "time_budget": "paused", "non_finite": "failed"}


@dataclass(frozen=True)
class Conclusion:
    """The model that a run leaves, and what it came to.

    Attributes:
        model: the best model as loaded from its file; the final one where no checkpoint was kept.
        summary: the content of summary.json.
    """

    model: Any
    summary: dict[str, Any]


def measure_parts(experiment: Experiment, model: keras.Model) -> dict[str, dict[str, float]]:
    """Loss and measures of a model on the training, the test and, where they are others, the validation rows."""
    parts = {"train": experiment.parts.train, "test": experiment.parts.test}
    if experiment.parts.test_is_held_out:
        parts["val"] = experiment.parts.validation
    return {name: evaluate(model, experiment.loss, experiment.measures, rows) for name, rows in parts.items()}


def conclude(
    config: RunConfig,
    experiment: Experiment,
    trained: keras.Model,
    outcome: Outcome,
    folder: RunFolder,
    stopwatch: Stopwatch,
) -> Conclusion:
    """Measure the final and the best model and sum the run up.

    Args:
        trained: the model in the outcome's final state.
    """
    verdict = outcome.verdict
    with stopwatch.part("evaluate"):
        final = measure_parts(experiment, trained)
        best, model = None, trained
        if outcome.best_state is not None and experiment.plan.keep is not None:
            model = load_model(folder.best_model)
            best = {
                "monitor": experiment.plan.keep.monitor,
                "epoch": outcome.best.epoch,
                "value": outcome.best.value,
                **measure_parts(experiment, model),
            }
    rows = verdict.epoch * experiment.parts.train.count
    summary = {
        "command": config.command,
        "name": config.name,
        "state": _STATES.get(verdict.reason, "finished"),
        "scale": config.scale,
        "dataset": config.command,
        "seed": config.seed,
        "epochs": verdict.epoch,
        "max_epochs": experiment.epochs,
        "steps": verdict.epoch * experiment.steps_per_epoch,
        "parameters": experiment.model.count_params(),
        "rows": {
            "train": experiment.parts.train.count,
            "validation": experiment.parts.validation.count,
            "test": experiment.parts.test.count,
        },
        "monitor": experiment.plan.watch.monitor,
        "stop": asdict(verdict),
        "final": {"epoch": outcome.final_epoch, **final},
        "best": best,
        "run_dir": str(folder.path),
        "warnings": config.warnings(),
        "samples_per_second": round(rows / outcome.train_seconds, 1) if outcome.train_seconds else None,
    }
    return Conclusion(model, summary)


def devices() -> dict[str, Any]:
    """What TensorFlow computes on, for environment.json. A thread count of 0 means: as many as there are cores."""
    return {
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
        "threads": {
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
        },
        "precision": keras.config.floatx(),
    }
