"""The refit: a fresh model on the rows that train and those that validate, for as many updates as the saved one had.

It is a training like any other, with a folder of its own in the run's (`refit/`: metrics, times, exact states), so that
it is stopped and resumed by what stops and resumes a run. Nothing of it is read by the run, or changes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stopcli.configs.training import StopPlan
from stopcli.data.dataset import Splits
from stopcli.errors import CheckpointError, RecordError
from stopcli.quantities import counted
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.runner.resume import find_position
from stopcli.runs.folder import RunFolder
from stopcli.runs.status import RunState, StageStatus
from stopcli.runs.summary import ModelValues, Refit, RunSummary
from stopcli.stopping import AnyOf, BestEpoch, NonFinite
from stopcli.training.session import Observer, Progress, SaveCadence, Session, Stopwatch
from stopcli.training.state_file import StateStore, TrainState, differences, place_settings

if TYPE_CHECKING:
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.loop import Loop, State
    from stopcli.training.trainer import Experiment, Outcome

_STATES: dict[str, RunState] = {"interrupted": "interrupted", "time_budget": "paused", "non_finite": "failed"}


def keep_start(folder: RunFolder, start: State, fingerprint: Mapping[str, Any]) -> None:
    """Keep the state that a run starts from, for its refit, where its seed alone does not give it."""
    nothing: dict[str, tuple[int, float | None]] = {"watch": (0, None), "keep": (0, None)}
    state = TrainState(0, 0, start, {}, nothing, {}, {}, 0.0, dict(fingerprint))
    _starts(folder).save(state)


def _starts(folder: RunFolder) -> StateStore:
    return StateStore(folder.refit / "checkpoints" / "start")


@dataclass(frozen=True)
class RefitPlan:
    """What is trained again, and for how long.

    Attributes:
        experiment: in its initial state; its rows are those that train and those that validate together, and only
            these, so that nothing else is measured while it trains.
        epoch: of the run, at which its saved model had as many updates.
        updates: of training.
    """

    experiment: Experiment
    epoch: int
    updates: int

    @property
    def epochs(self) -> float:
        """The updates, in epochs of these rows."""
        return self.updates / self.experiment.steps_per_epoch


def plan_refit(run: Experiment, fresh: Experiment, epoch: int) -> RefitPlan:
    """The refit of a run.

    Args:
        run: as it was trained.
        fresh: the same in its initial state, with a model of its own.
        epoch: of the saved model.
    """
    rows = run.parts.train.joined(run.parts.validation)
    none, updates = rows.take(0, 0), epoch * run.steps_per_epoch
    whole, rest = divmod(updates, rows.batches(run.batch_size))
    experiment = replace(
        fresh,
        parts=Splits(rows, none, none),
        epochs=whole,
        last_steps=rest,
        plan=StopPlan(AnyOf((NonFinite(fresh.columns),)), BestEpoch("loss", "min")),
        loop_key=None if fresh.loop_key is None else f"refit {fresh.loop_key}",
        afterwards=None,
    )
    return RefitPlan(experiment, epoch, updates)


class _RefitObserver:
    """Shows how far a refit is: it has no best epoch, and no setting makes it shorter."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def stage(self, text: str) -> None:
        self._observer.stage(f"refit: {text}")

    def counted(self, what: str, done: int, total: int) -> None:
        self._observer.counted(what, done, total)

    def progress(self, progress: Progress) -> None:
        self._observer.progress(replace(progress, best_value=None, waiting="", projected_seconds=None))

    def note(self, text: str) -> None:
        self._observer.note(text)


def refit(
    config: Any,
    plan: RefitPlan,
    folder: RunFolder,
    session: Session,
    fingerprint: Mapping[str, Any],
    compiled: Callable[[Experiment, Session], Loop],
) -> tuple[Refit, tuple[str, ...]]:
    """Train a refit, or go on with one, and save its model.

    Args:
        folder: of the run, which this process holds.
        fingerprint: of the run.
        compiled: makes a compiled loop for an experiment, in its initial state.

    Returns:
        What it came to, its model not measured yet; and warnings, a sentence without a full stop each.
    """
    from stopcli.training.model_files import save_model
    from stopcli.training.run_log import RunLog
    from stopcli.training.trainer import Trainer

    own = Session(_RefitObserver(session.observer), session.request, Stopwatch())
    experiment, fingerprint = plan.experiment, {**fingerprint, "refit updates": plan.updates}
    part = RunFolder(folder.refit)
    part.status = StageStatus(folder.status, "refit", folder.status.epoch, experiment.steps_per_epoch)
    state, warnings = _position(folder, config, fingerprint)
    if state is None:
        _begin_again(folder)
    loop = compiled(experiment, own)
    start = _starts(folder).load().state
    if state is None and start is not None:
        loop.restore(start.live)
    own.observer.stage(f"training on {counted(experiment.parts.train.count, 'row')}")
    cadence = SaveCadence(config.save_every)
    steps, is_new = experiment.steps_per_epoch, not part.metrics.exists()
    with RunLog(part, loop.columns, steps, cadence, fingerprint, state, resumed=not is_new) as run_log:
        outcome = Trainer(experiment, loop, part, run_log, own, state).train()
    result = _result(plan, outcome)
    if result.state == "finished" and not all(np.isfinite(array).all() for array in outcome.final if _is_float(array)):
        result = replace(result, state="failed", reason="its weights are not finite")
    if result.state == "finished":
        save_model(experiment.whole(loop.model), folder.refit_model)
    return result, (*warnings, *outcome.warnings)


def _is_float(array: Any) -> bool:
    return bool(np.issubdtype(array.dtype, np.floating))


def _position(
    folder: RunFolder, config: Any, fingerprint: Mapping[str, Any]
) -> tuple[TrainState | None, tuple[str, ...]]:
    """The position that a refit goes on from, and warnings; None where it begins: it was not begun, its files cannot be
    used, or it was another one, because the run has trained on since and saved another epoch."""
    try:
        state, warnings = find_position(folder.refit, tensorboard=False)
    except (CheckpointError, RecordError) as error:
        return None, (f"the refit was begun again: {error.message}",)
    # When training is cut off is what the number of updates says.
    free = {*config.stopping_names, "epochs", *place_settings(config)}
    if state is None or differences(state.fingerprint, fingerprint, without=free):
        return None, ()
    return state, warnings


def _begin_again(folder: RunFolder) -> None:
    """Delete what another refit of the run has left, but for the state that the run started from."""
    part = RunFolder(folder.refit)
    folder.refit_model.unlink(missing_ok=True)
    if part.resume.exists():
        shutil.rmtree(part.resume)
    for file in (part.metrics, part.timing):
        file.unlink(missing_ok=True)
    part.path.mkdir(exist_ok=True)


def _result(plan: RefitPlan, outcome: Outcome) -> Refit:
    state = _STATES.get(outcome.verdict.reason, "finished")
    reason = "" if state == "finished" else outcome.verdict.rule
    if state == "failed":
        reason = f"a metric is not finite ({reason})"
    rows = plan.experiment.parts.train.count
    return Refit(updates=plan.updates, epochs=plan.epochs, rows=rows, state=state, reason=reason)


def with_refit(
    evaluation: Evaluation, run: Experiment, plan: RefitPlan, folder: RunFolder, result: Refit
) -> RunSummary:
    """A run's summary with that of its refit, whose model is read from its file and measured.

    Args:
        run: as it was trained, with the rows that test.
        result: of `refit`.
    """
    from stopcli.training.evaluate import evaluate_model, predictor_of
    from stopcli.training.model_rows import interval_on_rows, model_difference, model_on_rows
    from stopcli.training.row_scores import on_rows

    summary = evaluation.summary
    if result.state != "finished":
        # Of a run that could not be told by its rule, the refit says nothing.
        state = summary.state if result.state == "failed" else result.state
        return replace(summary, state=state, refit=result)
    headline, test = run.headline, run.parts.test
    parts = plan.experiment.parts
    measured = replace(plan.experiment, parts=Splits(parts.train, parts.validation, test))
    model = measured.load_saved(folder.refit_model)
    values, predictions = evaluate_model(measured, model, predictor_of(measured, model))
    result = replace(result, values=ModelValues(epoch=plan.epoch, **values))
    if predictions is None:
        return replace(summary, refit=result)
    rows = model_on_rows(model, predictions, values["test"].get(headline.name))
    ours = on_rows(run.model, headline, test, rows.predictions, rows.value, rows.regularization)
    saved = evaluation.on_rows.get("best")
    result = replace(result, difference=None if saved is None else model_difference(ours, saved, headline))
    intervals = {**summary.test_interval, "refit": interval_on_rows(ours, headline)}
    return replace(summary, refit=result, test_interval=intervals)


def evaluation_with_refit(
    loaded: LoadedConfig,
    experiment: Experiment,
    outcome: Outcome,
    evaluation: Evaluation,
    folder: RunFolder,
    session: Session,
    fingerprint: Mapping[str, Any],
    compiled: Callable[[Experiment, Session], Loop],
) -> Evaluation:
    """A run's results with those of its refit; as they are where its training has not ended, or no model was saved.

    Args:
        experiment: as it was trained.
        fingerprint, compiled: as for `refit`.
    """
    summary = evaluation.summary
    if summary.state != "finished" or summary.best is None:
        # That of an earlier session is of another number of updates.
        folder.refit_model.unlink(missing_ok=True)
        return evaluation
    config = loaded.config
    plan = plan_refit(experiment, recipe_for(config).build(loaded), outcome.best.epoch)
    result, warnings = refit(config, plan, folder, session, fingerprint, compiled)
    session.observer.stage("evaluating the refit")
    summary = with_refit(evaluation, experiment, plan, folder, result)
    return replace(evaluation, summary=replace(summary, warnings=(*summary.warnings, *warnings)))
