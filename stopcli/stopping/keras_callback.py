"""Any stopping rule inside a plain `model.fit`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from stopcli.stopping.best import BestEpoch, BestState
from stopcli.stopping.rule import Judge, Rule, Verdict


class StopOnRule(keras.callbacks.Callback):
    """Stops `model.fit` at the epoch that a rule names.

    Example::

        stop = StopOnRule(Patience(20, monitor="val_loss"), restore_best=BestEpoch("val_loss"))
        model.fit(x, y, validation_data=(vx, vy), epochs=500, callbacks=[stop])
        print(stop.verdict)

    Args:
        rule: the rule; it sees every epoch's logs.
        restore_best: at the end of training, put back the weights, the other variables and the optimizer's state of
            the epoch that is best by this. None: the model stays as the last epoch left it.

    Attributes:
        verdict: why training stopped; None while it runs and where it ran to its last epoch.

    Raises:
        MetricError: at the end of the first epoch, where the logs lack a metric that the rule reads.
    """

    def __init__(self, rule: Rule[Any], *, restore_best: BestEpoch | None = None) -> None:
        super().__init__()
        self.rule = rule
        self.restore_best = restore_best
        self.verdict: Verdict | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.verdict = None
        self._judge = Judge(self.rule)
        self._best = BestState()
        self._best_variables: list[np.ndarray[Any, Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        verdict = self._judge.update(epoch + 1, metrics)
        # An epoch whose metrics are no numbers is never the best, however good another metric of it looks.
        if self.restore_best is not None and (verdict is None or verdict.reason != "non_finite"):
            best = self.restore_best.update(self._best, epoch + 1, metrics)
            if best != self._best:
                self._best = best
                self._best_variables = [variable.numpy().copy() for variable in self._variables()]
        if verdict is not None:
            self.verdict = verdict
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._best_variables is not None:
            for variable, value in zip(self._variables(), self._best_variables, strict=True):
                variable.assign(value)

    def _variables(self) -> list[Any]:
        # Metric variables are left out: they belong to the epoch that is running, not to the model.
        model = self.model
        return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
