"""An experiment, and its training: epoch by epoch, until a rule stops it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from stopcli.configs.training import StopPlan
from stopcli.data.dataset import Splits
from stopcli.errors import MetricError
from stopcli.quantities import agreeing
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import ACCURACY, Headline
from stopcli.runs.metrics import read_rows
from stopcli.schedules.plateau import Plateau, PlateauState
from stopcli.stopping import BestEpoch, BestState, RuleRunner, Verdict
from stopcli.training.epochs_loop import EVALUATION_BATCH as SHORT_EVALUATION_BATCH
from stopcli.training.epochs_loop import EpochsLoop
from stopcli.training.loop import EpochBlock, Loop, Partial, State, initial_state
from stopcli.training.model_files import load_model, save_model
from stopcli.training.run_log import RunLog
from stopcli.training.session import Progress, Session
from stopcli.training.state_file import TrainState
from stopcli.training.step import Inputs, Metric, RowsStep, Schedule, Step
from stopcli.training.steps_loop import EVALUATION_BATCH as LONG_EVALUATION_BATCH
from stopcli.training.steps_loop import StepsLoop


@dataclass(frozen=True)
class Experiment:
    """A model with its data, how it is trained, and when training stops.

    Attributes:
        model: compiled with `optimizer` and `loss`, so that its file holds them.
        loss, metrics: means over rows, as of RowsStep; not used where there is a `step`.
        parts: rows in memory.
        batch_size, epochs, seed: as in the run's config.
        last_steps: of one more epoch, with which training ends within it; 0 for none, else fewer than an epoch has.
        dataset: what the rows are, in a word or a path.
        jit_compile: whether XLA compiles the loop.
        long_epochs: whether an epoch is trained in several calls, rather than several epochs in a call.
        inputs, schedule, momentum: as for RowsStep; only for long epochs.
        log_steps: as for StepsLoop; only for long epochs.
        plateau: reduces the learning rate after an epoch; only for long epochs, because a call of short ones runs on.
        classes: the names of the classes, where the targets are class indices and the predictions probabilities.
        headline: the metric that counts, one of `metrics`.
        step: what is computed on a batch, where it is not the loss and the metrics above, such as what the model was
            compiled with.
        whole: makes of the model that is trained the one that files hold, with the same variables and optimizer, such
            as with what prepares its inputs before it.
        load_saved: reads the model that was trained from such a file.
        check_start: raises RequestError where the weights in such a file mean something else in this experiment.
        loop_key: what experiments of a sweep, whose seeds differ, have in common where they can share a compiled loop;
            None where they cannot.
        identity: what else its numbers depend on, beside settings, versions and rows: by name, hashes that must be the
            same when it is resumed.
        afterwards: what is computed once training has ended, from the loop in its last state and from the run's folder;
            returns fields of the run's summary.
        table: the table that the rows are encoded from, for figures and tables; None where they are of none.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    loss: Callable[[Any, Any], Any]
    metrics: tuple[Metric, ...]
    parts: Splits
    batch_size: int
    epochs: int
    seed: int
    plan: StopPlan
    dataset: str
    jit_compile: bool = True
    long_epochs: bool = False
    inputs: Inputs = field(default_factory=Inputs)
    schedule: Schedule | None = None
    momentum: Schedule | None = None
    log_steps: bool = False
    last_steps: int = 0
    plateau: Plateau | None = None
    classes: tuple[str, ...] = ()
    headline: Headline = ACCURACY
    step: Step | None = None
    whole: Callable[[keras.Model], keras.Model] = lambda model: model
    load_saved: Callable[[Path], keras.Model] = load_model
    check_start: Callable[[Path], None] = lambda path: None
    loop_key: str | None = ""
    afterwards: Callable[[Loop, RunFolder], Mapping[str, Any]] | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    table: Any = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What is measured, without the prefixes of parts: `loss` first."""
        return ("loss", *(metric.name for metric in self.metrics)) if self.step is None else self.step.columns

    @property
    def evaluation_batch(self) -> int:
        """Rows that are evaluated at a time."""
        return LONG_EVALUATION_BATCH if self.long_epochs else SHORT_EVALUATION_BATCH

    @property
    def steps_per_epoch(self) -> int:
        return self.parts.train.batches(self.batch_size)

    def initial_state(self) -> State:
        return initial_state(self.model, self.optimizer)

    def with_few_rows(self, rows: int) -> "Experiment":
        """The same on its first `rows` (≥ 1) rows at most, and a batch of those that are evaluated: for a measurement
        of steps alone."""
        parts = self.parts
        few = [part.take(0, min(part.count, self.batch_size)) for part in (parts.validation, parts.test)]
        validation, test = few if parts.test_is_held_out else (few[0], few[0])
        return replace(self, parts=Splits(parts.train.take(0, min(parts.train.count, rows)), validation, test))

    def make_loop(self, *, shuffle: bool = True) -> Loop:
        """A loop for this experiment; other seeds of it can use the same one after `reset`. Raises MetricError where a
        rule reads a metric that the loop does not report, or one of held-out test rows.

        Args:
            shuffle: False for a measurement of steps alone, of short epochs that take their rows as they stand.
        """
        shared: dict[str, Any] = {
            "train": self.parts.train,
            "evaluated": self.parts.evaluated(),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "jit_compile": self.jit_compile,
        }
        step = self.step
        if step is None:
            options = (self.inputs, self.schedule, self.momentum) if self.long_epochs else ()
            step = RowsStep(self.model, self.optimizer, self.loss, self.metrics, *options, fused=self.long_epochs)
        loop: Loop
        if self.long_epochs:
            loop = StepsLoop(step, log_steps=self.log_steps, **shared)
        else:
            loop = EpochsLoop(step, shuffle=shuffle, **shared)
        unknown = sorted(self.plan.monitors - set(readable(loop.columns)))
        if unknown:
            names = ", ".join(readable(loop.columns))
            raise MetricError(f"no metric {unknown[0]!r} can be monitored; there are: {names}")
        return loop


def readable(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that rules may read: no learning rate, and nothing of held-out test rows."""
    return tuple(name for name in columns if name != "learning_rate" and not name.startswith("test_"))


class BestTracker:
    """Follows the best epoch by a metric.

    It keeps the block in which the epoch lies; the state is recovered by training up to the epoch again, once.

    Args:
        rule: which epoch is the best; None to follow nothing.
    """

    def __init__(self, rule: BestEpoch | None) -> None:
        self.rule = rule
        self.best = BestState()
        self._block: EpochBlock | None = None
        self._state: State | None = None

    def update(self, epoch: int, metrics: Mapping[str, float], block: EpochBlock) -> None:
        """Look at an epoch of a call."""
        if self.rule is None:
            return
        best = self.rule.update(self.best, epoch, metrics)
        if best.epoch != self.best.epoch:
            self.best, self._block, self._state = best, block, None

    def resume(self, best: tuple[int, float | None], state: State | None, block: EpochBlock | None = None) -> None:
        """Resume from a saved best epoch.

        Args:
            state: after that epoch; None where it was not saved.
            block: one that the epoch lies in, to recover the state from; None where it is not needed.
        """
        self.best, self._block, self._state = BestState(*best), block, state

    def state(self, loop: Loop) -> State | None:
        """The state after the best epoch, None where there is none. The loop's own state stays as it is."""
        if self._state is None and self._block is not None:
            live = loop.state()
            self._state = next(state for _, state in loop.replay_states(self._block, [self.best.epoch]))
            loop.restore(live)
            # The call holds a state of its own, which is not needed any more.
            self._block = None
        return self._state


# While a run improves for hours, its best model is written this often, so that a crash costs little.
SAVE_BEST_SECONDS = 60.0
# Epochs' models that are written after one call at the most; each takes some hundredths of a second.
MODELS_A_CALL = 8
# Training for this long tells how long all of it will take.
SETTLED_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        verdict: why it stopped, and at which epoch.
        final: the state of the final model: that of the last epoch, or of the best one where it was restored.
        final_epoch: the epoch that `final` belongs to; 0 for the model before training.
        best: the best epoch for checkpoints, or epoch 0 where no epoch counted.
        best_state: the state after that epoch; None where there is none.
        steps: of training, those of an unfinished epoch too.
        train_seconds: spent training and validating, in all sessions.
        validation_seconds: of these, spent in calls that only measure; 0 where calls do both.
        projected_seconds: what that was projected to be on the first steps; None where it was over before.
        warnings: what the user should know of this session, a sentence each.
    """

    verdict: Verdict
    final: State
    final_epoch: int
    best: BestState
    best_state: State | None
    steps: int
    train_seconds: float
    validation_seconds: float
    projected_seconds: float | None
    warnings: tuple[str, ...] = ()


class Trainer:
    """Trains an experiment and records it in a run folder: metrics, times, exact states, the models that settings name.

    Args:
        loop: compiled or not yet; in the experiment's initial state, also where the run is resumed.
        run_log: opened at the same position as `state`.
        state: the position to resume from; None for a new run.
    """

    def __init__(
        self,
        experiment: Experiment,
        loop: Loop,
        folder: RunFolder,
        run_log: RunLog,
        session: Session,
        state: TrainState | None = None,
    ) -> None:
        self._experiment, self._plan, self._loop = experiment, experiment.plan, loop
        self._folder, self._run_log = folder, run_log
        self._observer, self._request, self._stopwatch = session.observer, session.request, session.stopwatch
        self._rule_runner = RuleRunner(self._plan.rule)
        self._best_monitored = BestTracker(self._plan.best_monitored)
        self._best_checkpoint = BestTracker(self._plan.best_checkpoint)
        # By their names in a saved state.
        self._trackers = {"watch": self._best_monitored, "keep": self._best_checkpoint}
        self._saved_epoch, self._saved_at = 0, time.monotonic()
        self._readable = readable(loop.columns)
        self._readable_indices = [loop.columns.index(name) for name in self._readable]
        self._epoch, self._train_seconds, self._validation_seconds = 0, 0.0, 0.0
        # Of the epochs that are not recorded yet; a run may be resumed within one.
        self._epoch_seconds = 0.0
        self._metrics: dict[str, float] = {}
        self._projected: float | None = None
        self._plateau_state = PlateauState()
        self._stopped: Verdict | None = None
        self._warnings: tuple[str, ...] = ()
        if state is not None:
            self._resume(state)

    def _resume(self, state: TrainState) -> None:
        for name, tracker in self._trackers.items():
            tracker.resume(state.best[name], state.best_states.get(name))
        if self._plan.restore_best and state.best["watch"][0] > 0 and "watch" not in state.best_states:
            # Other rules have another best epoch, whose state nobody needed until now. Recovered at once, so that a
            # failure is known before anything is trained.
            recorded = EpochBlock(1, read_rows(self._folder.metrics, self._loop.columns), self._loop.state())
            self._best_monitored.resume(state.best["watch"], None, recorded)
            self._best_monitored.state(self._loop)
        partial = None
        # With another number of steps an epoch, which had to be forced, the sums are of other batches: start it over.
        if state.partial_sums and state.steps_per_epoch == self._loop.steps_per_epoch:
            steps = state.step - state.epoch * self._loop.steps_per_epoch
            partial = Partial(steps, state.partial_sums)
        self._loop.resume(state.live, partial)
        if self._experiment.plateau is not None:
            self._plateau_state = self._experiment.plateau.state_from_dict(state.plateau_state)
        self._rule_runner.state = self._plan.rule.state_from_dict(state.rule_state)
        self._epoch, self._epoch_seconds = state.epoch, state.partial_seconds
        self._train_seconds, self._validation_seconds = state.train_seconds, state.validation_seconds
        if state.stopped is not None:
            self._stopped = Verdict(**state.stopped)

    def train(self) -> Outcome:
        """Train until a rule stops it, its epochs are over, or a stop is requested; save the state and the models."""
        ended = self._stopped or self._train()
        best, monitor = self._best_monitored.best, self._plan.best_monitored.monitor
        verdict = ended.with_best(monitor, best.epoch, best.value)
        # A run that was only interrupted has not stopped: it resumes from here.
        self._commit(None if verdict.reason in ("interrupted", "time_budget") else verdict)
        with self._stopwatch.part("models"):
            return self._finish(verdict)

    def _train(self) -> Verdict:
        epochs = self._experiment.epochs
        calls = 0
        while not self._is_complete:
            verdict = self._request.verdict(self._epoch, trained=calls > 0)
            if verdict is not None:
                if verdict.reason == "time_budget" and calls == 1:
                    self._warnings = (self._request.spent_on_one("call of the training loop"),)
                return verdict
            room = self._run_log.cadence.room(self._epoch) or epochs
            if self._plan.checkpoint_every:
                # Writing a call's models is part of its time: few enough that Ctrl-C does not wait for them.
                room = min(room, self._plan.checkpoint_every * MODELS_A_CALL)
            start, evaluates = time.perf_counter(), self._loop.evaluates_next
            block = self._advance(room)
            seconds = time.perf_counter() - start
            self._train_seconds += seconds
            self._epoch_seconds += seconds
            self._validation_seconds += seconds if evaluates else 0.0
            self._stopwatch.add("validate" if evaluates else "train", seconds)
            self._run_log.append_steps(self._loop.take_log())
            calls += 1
            verdict = None if block is None else self._complete(block)
            if verdict is None and not self._is_complete and self._run_log.cadence.due(self._epoch):
                self._commit(None)
            progress = self._progress()
            self._folder.status.beat(self._epoch, progress.for_status())
            self._observer.progress(progress)
            if verdict is not None:
                return verdict
        return Verdict("completed", f"{epochs} {agreeing(epochs, 'epoch', 'epochs')}", self._epoch)

    @property
    def _is_complete(self) -> bool:
        """Whether all epochs are done, and the steps after them."""
        experiment = self._experiment
        return self._epoch >= experiment.epochs and self._steps_within >= experiment.last_steps

    def _advance(self, room: int) -> EpochBlock | None:
        """Train on for a call. Returns the epochs that it completed, at most `room`; None for none."""
        remaining = self._experiment.epochs - self._epoch
        if remaining > 0:
            return self._loop.advance(self._epoch + 1, min(remaining, room))
        self._loop.advance_part(self._epoch + 1, self._experiment.last_steps)
        return None

    def _complete(self, block: EpochBlock) -> Verdict | None:
        """Judge, record and settle epochs that are complete. Returns the verdict where one of them is the last."""
        verdict, last = self._judge_block(block)
        self._run_log.append(block, last, self._epoch_seconds)
        self._epoch, self._epoch_seconds = last, 0.0
        with self._stopwatch.part("models"):
            self._settle(block, last)
        # In the last epoch too: a run that is resumed under other rules trains on as if nothing had stopped it.
        if self._experiment.plateau is not None:
            plateau, before = self._experiment.plateau, self._loop.learning_rate
            value = self._metrics[plateau.monitor]
            self._plateau_state, rate = plateau.update(self._plateau_state, value, before)
            if rate != before:
                self._loop.set_learning_rate(rate)
        return verdict

    def _judge_block(self, block: EpochBlock) -> tuple[Verdict | None, int]:
        """Show the rules the epochs of a block one by one. Returns the verdict and the last epoch that counts."""
        for i, row in enumerate(block.metrics[:, self._readable_indices].tolist()):
            epoch = block.first_epoch + i
            self._metrics = dict(zip(self._readable, row, strict=True))
            verdict = self._rule_runner.update(epoch, self._metrics)
            # The model of an epoch whose loss is not finite is broken, however good another metric of it looks.
            if verdict is None or verdict.reason != "non_finite":
                for tracker in self._trackers.values():
                    tracker.update(epoch, self._metrics, block)
            if verdict is not None:
                return verdict, epoch
        return None, block.last_epoch

    def _settle(self, block: EpochBlock, last: int) -> None:
        """Write the models of a call that are due, and leave the loop in the state after its last epoch that counts."""
        every = self._plan.checkpoint_every
        due = [e for e in range(block.first_epoch, last + 1) if every and e % every == 0]
        # Epochs before the last one, or beyond the stop, make the loop go through the call again.
        if (due and due != [block.last_epoch]) or last < block.last_epoch:
            for epoch, _ in self._loop.replay_states(block, sorted({*due, last})):
                if epoch in due:
                    self._save_model(self._folder.epoch_model(epoch))
        elif due:
            self._save_model(self._folder.epoch_model(last))
        if time.monotonic() - self._saved_at > SAVE_BEST_SECONDS:
            self._save_best()

    def _save_model(self, path: Path) -> None:
        save_model(self._experiment.whole(self._loop.model), path)

    def _save_best(self) -> State | None:
        """Write best.keras where there is a better one than it holds. Returns the best epoch's state."""
        state = self._best_checkpoint.state(self._loop)
        if state is not None and self._best_checkpoint.best.epoch != self._saved_epoch:
            live = self._loop.state()
            self._loop.restore(state)
            self._save_model(self._folder.best_model)
            self._loop.restore(live)
            self._saved_epoch, self._saved_at = self._best_checkpoint.best.epoch, time.monotonic()
        return state

    def _commit(self, stopped: Verdict | None) -> None:
        def fields() -> dict[str, Any]:
            # The state of the best monitored epoch is needed only where the run ends with it.
            needed = self._trackers if self._plan.restore_best else {"keep": self._best_checkpoint}
            states = {name: tracker.state(self._loop) for name, tracker in needed.items()}
            partial = self._loop.partial
            return {
                "live": self._loop.state(),
                "partial_sums": partial.sums if partial else (),
                "partial_seconds": self._epoch_seconds,
                "plateau_state": self._plateau_state._asdict(),
                "rule_state": self._plan.rule.state_to_dict(self._rule_runner.state),
                "best": {name: tuple(tracker.best) for name, tracker in self._trackers.items()},
                "best_states": {name: state for name, state in states.items() if state is not None},
                "train_seconds": self._train_seconds,
                "validation_seconds": self._validation_seconds,
                "stopped": asdict(stopped) if stopped else None,
            }

        with self._stopwatch.part("save"):
            self._run_log.commit(self._epoch, self._steps_within, fields)

    @property
    def _steps_within(self) -> int:
        """Steps of the epoch that is not complete."""
        partial = self._loop.partial
        return partial.steps if partial else 0

    def _finish(self, verdict: Verdict) -> Outcome:
        final, final_epoch = self._loop.state(), verdict.epoch
        if self._plan.restore_best:
            restored = self._best_monitored.state(self._loop)
            if restored is not None:
                final, final_epoch = restored, self._best_monitored.best.epoch
        best_state = self._save_best()
        self._loop.restore(final)
        # A model whose weights are not finite is no use to anyone; metrics.csv shows what led to it.
        broken = verdict.reason == "non_finite" and final_epoch == verdict.epoch
        if broken:
            # Of a session before, which is not the final model any more.
            self._folder.final_model.unlink(missing_ok=True)
        elif self._plan.best_checkpoint is not None and final_epoch > 0:
            self._save_model(self._folder.final_model)
        return Outcome(
            verdict,
            final,
            final_epoch,
            self._best_checkpoint.best,
            best_state,
            self._epoch * self._loop.steps_per_epoch + self._steps_within,
            self._train_seconds,
            self._validation_seconds,
            self._projected,
            self._warnings,
        )

    def _progress(self) -> Progress:
        best, experiment = self._best_monitored.best, self._experiment
        done = self._epoch + self._loop.fraction
        if self._projected is None and self._train_seconds >= SETTLED_SECONDS and done < experiment.epochs:
            self._projected = self._train_seconds * experiment.epochs / done
        rows = self._epoch * experiment.parts.train.count + self._steps_within * experiment.batch_size
        return Progress(
            self._epoch,
            experiment.epochs + (experiment.last_steps > 0),
            self._metrics,
            self._plan.best_monitored.monitor,
            best.epoch,
            best.value,
            self._rule_runner.progress(),
            rows * experiment.inputs.copies / max(self._train_seconds, 1e-9),
            self._train_seconds,
            self._loop.fraction,
            self._projected,
        )
