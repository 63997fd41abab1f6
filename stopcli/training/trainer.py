"""The one path of a run: calls of the compiled loop, rules after each, the states that are to be kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import MetricsFile, TimingFile
from stopcli.stopping import BestEpoch, BestState, Judge, Verdict
from stopcli.training.checkpoint import save_model
from stopcli.training.experiment import Experiment, readable
from stopcli.training.interruption import StopRequest
from stopcli.training.loop import Call, CompiledLoop, State
from stopcli.training.observer import Observer, Progress
from stopcli.training.pacing import Pacer, Stopwatch
from stopcli.training.traced import CAPACITY

# While a run improves for hours, its best model is written this often, so that a crash costs little.
SAVE_BEST_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        verdict: why it stopped, and at which epoch.
        final: the state of the final model: that of the last epoch, or of the best one where it was restored.
        final_epoch: the epoch that `final` belongs to; 0 for the model before training.
        best: the best epoch for checkpoints, or epoch 0 where no epoch counted.
        best_state: the state after that epoch; None where there is none.
    """

    verdict: Verdict
    final: State
    final_epoch: int
    best: BestState
    best_state: State | None


class _Tracked:
    """The best epoch by a metric, with the call that it lies in, from which its state can be had when it is needed."""

    def __init__(self, best: BestEpoch | None) -> None:
        self._rule = best
        self.best = BestState()
        self.call: Call | None = None

    def update(self, epoch: int, metrics: dict[str, float], call: Call) -> None:
        if self._rule is None:
            return
        best = self._rule.update(self.best, epoch, metrics)
        if best.epoch != self.best.epoch:
            self.best, self.call = best, call

    def state(self, loop: CompiledLoop) -> State | None:
        """The state after the best epoch. Leaves the loop in it."""
        if self.call is None:
            return None
        return next(state for _, state in loop.states_at(self.call, [self.best.epoch]))


class Trainer:
    """Trains an experiment and records it in a run folder: metrics, times, the models that are asked for.

    Args:
        loop: compiled or not yet; in the experiment's initial state.
    """

    def __init__(
        self,
        experiment: Experiment,
        loop: CompiledLoop,
        folder: RunFolder,
        observer: Observer,
        request: StopRequest,
        stopwatch: Stopwatch,
    ) -> None:
        self._experiment, self._plan, self._loop = experiment, experiment.plan, loop
        self._folder, self._observer, self._request, self._stopwatch = folder, observer, request, stopwatch
        self._judge = Judge(self._plan.rule)
        self._watched = _Tracked(self._plan.watch)
        self._kept = _Tracked(self._plan.keep)
        self._saved_epoch, self._saved_at = 0, time.monotonic()
        self._readable = readable(loop.columns)
        self._places = [loop.columns.index(name) for name in self._readable]
        self._train_seconds = 0.0

    def train(self) -> Outcome:
        """Train until a rule stops, the epochs are over, or a stop is asked for; write the models."""
        metrics_file = MetricsFile(self._folder.metrics, self._loop.columns)
        timing_file = TimingFile(self._folder.timing)
        try:
            verdict = self._train(metrics_file, timing_file)
        finally:
            metrics_file.close()
            timing_file.close()
        with self._stopwatch.part("save"):
            return self._conclude(verdict)

    def _train(self, metrics_file: MetricsFile, timing_file: TimingFile) -> Verdict:
        epochs = self._experiment.epochs
        pacer = Pacer(CAPACITY)
        epoch = 0
        while epoch < epochs:
            if self._request.asked:
                return self._with_best(Verdict("interrupted", self._request.words, epoch))
            start = time.perf_counter()
            call = self._loop.run(epoch + 1, pacer.size(epochs - epoch))
            seconds = time.perf_counter() - start
            pacer.took(len(call.metrics), seconds)
            self._train_seconds += seconds
            self._stopwatch.add("train", seconds)

            verdict, last = self._judge_call(call)
            metrics_file.append(epoch + 1, self._experiment.steps_per_epoch, call.metrics[: last - epoch])
            timing_file.append(epoch + 1, last, seconds)
            epoch = last
            with self._stopwatch.part("save"):
                self._settle(call, last)
            self._folder.status.beat(epoch)
            self._report(epoch, call.metrics[last - call.first_epoch])
            if verdict is not None:
                return self._with_best(verdict)
        return self._with_best(Verdict("completed", f"{epochs} epochs", epoch))

    def _judge_call(self, call: Call) -> tuple[Verdict | None, int]:
        """Let the rules see the epochs of a call one by one. Returns the verdict and the last epoch that counts."""
        for i, row in enumerate(call.metrics[:, self._places].tolist()):
            epoch = call.first_epoch + i
            metrics = dict(zip(self._readable, row, strict=True))
            verdict = self._judge.update(epoch, metrics)
            # The model of an epoch whose loss is no number is broken, however good another metric of it looks.
            if verdict is None or verdict.reason != "non_finite":
                self._watched.update(epoch, metrics, call)
                self._kept.update(epoch, metrics, call)
            if verdict is not None:
                return verdict, epoch
        return None, call.last_epoch

    def _settle(self, call: Call, last: int) -> None:
        """Write the models of a call that are due, and leave the loop in the state after its last epoch that counts."""
        every = self._plan.keep_every
        due = [e for e in range(call.first_epoch, last + 1) if every and e % every == 0]
        # Epochs before the last one, or beyond the stop, make the loop go through the call again.
        if (due and due != [call.last_epoch]) or last < call.last_epoch:
            for epoch, _ in self._loop.states_at(call, sorted({*due, last})):
                if epoch in due:
                    save_model(self._loop.model, self._folder.epoch_model(epoch))
        elif due:
            save_model(self._loop.model, self._folder.epoch_model(last))

        if self._kept.best.epoch > self._saved_epoch and time.monotonic() - self._saved_at > SAVE_BEST_SECONDS:
            live = self._loop.state()
            self._save_best()
            self._loop.restore(live)

    def _save_best(self) -> State | None:
        state = self._kept.state(self._loop)
        if state is not None and self._kept.best.epoch != self._saved_epoch:
            save_model(self._loop.model, self._folder.best_model)
            self._saved_epoch, self._saved_at = self._kept.best.epoch, time.monotonic()
        return state

    def _with_best(self, verdict: Verdict) -> Verdict:
        """The verdict with the best epoch by the monitored metric, which every run has."""
        best = self._watched.best
        return replace(verdict, best_epoch=best.epoch, best_value=best.value)

    def _conclude(self, verdict: Verdict) -> Outcome:
        final, final_epoch = self._loop.state(), verdict.epoch
        if self._plan.restore_best:
            restored = self._watched.state(self._loop)
            if restored is not None:
                final, final_epoch = restored, self._watched.best.epoch
        best_state = self._save_best()
        self._loop.restore(final)
        # A model whose weights are no numbers is no use to anyone; what led to it stands in metrics.csv.
        if self._plan.keep is not None and verdict.reason != "non_finite":
            save_model(self._loop.model, self._folder.final_model)
        return Outcome(verdict, final, final_epoch, self._kept.best, best_state)

    def _report(self, epoch: int, row: np.ndarray) -> None:
        best = self._watched.best
        self._observer.progress(
            Progress(
                epoch,
                self._experiment.epochs,
                dict(zip(self._readable, row[self._places].tolist(), strict=True)),
                self._plan.watch.monitor,
                best.epoch,
                best.value,
                self._judge.progress(),
                epoch * self._experiment.parts.train.count / max(self._train_seconds, 1e-9),
                self._train_seconds,
            )
        )
