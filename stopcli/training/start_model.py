"""The model that a run of a table starts from: kept in the run's folder, and measured on the run's test rows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stopcli.data.dataset import Splits
from stopcli.runs.files import replacing
from stopcli.runs.folder import RunFolder
from stopcli.runs.predictions import write_predictions
from stopcli.runs.summary import Before
from stopcli.training.evaluate import Evaluation, evaluate_model, predictor_of
from stopcli.training.model_rows import intervals_and_predictions, model_difference, model_on_rows
from stopcli.training.row_scores import OnRows
from stopcli.training.trainer import Experiment


@dataclass(frozen=True, eq=False)
class StartOnRows:
    """What the model that a run starts from comes to on the run's test rows.

    Attributes:
        values: its loss and metrics.
        interval: of the metric that counts, as in a summary's `test_interval`.
        on_rows: the metric that counts, row by row.
    """

    values: Mapping[str, float]
    interval: Any
    on_rows: OnRows


def keep_start(source: Path, folder: RunFolder) -> None:
    """Copy the model that a run starts from into its folder: from then on it needs its ancestor no more."""
    if folder.start_model.exists():
        return
    folder.start_model.parent.mkdir(exist_ok=True)
    with replacing(folder.start_model) as new:
        shutil.copyfile(source, new)


def measure_start(experiment: Experiment, folder: RunFolder) -> StartOnRows | None:
    """Measure the model that a run starts from, and keep what it predicts for the test rows in before.npz; None where
    no rows test."""
    test = experiment.parts.test
    if not test.count:
        return None
    # As it lies in its file: what was trained may be another function of the same weights.
    model = experiment.load_saved(folder.start_model)
    none = test.take(0, 0)
    alone = replace(experiment, parts=Splits(none, none, test))
    values, predictions = evaluate_model(alone, model, predictor_of(experiment, model))
    measured = values["test"]
    headline = experiment.headline
    on_test = model_on_rows(model, predictions, measured.get(headline.name))
    intervals, stored, by_model = intervals_and_predictions(experiment.model, headline, test, on_test, None)
    if stored is not None:
        write_predictions(folder.before, stored)
    return StartOnRows(measured, intervals["final"], by_model["final"])


def before_and_after(start: StartOnRows, run: str, experiment: Experiment, evaluation: Evaluation) -> Before:
    """What a run's start came to, with how far its final and its saved model are from it.

    Args:
        run: the folder of the run that it started from, or the file.
    """
    differences = {
        name: model_difference(after, start.on_rows, experiment.headline) for name, after in evaluation.on_rows.items()
    }
    return Before(
        run=run,
        test=start.values,
        test_interval=start.interval,
        final=differences.get("final"),
        best=differences.get("best"),
    )
