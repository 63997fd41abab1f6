"""Any stopping rule inside a plain `model.fit`."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from stopcli.errors import MetricError
from stopcli.stopping.rule import BestEpoch, BestState, Rule, RuleRunner, Verdict, monitored


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

    Only the metrics that the rule and `restore_best` monitor are read; others may have any shape.

    With `fit(validation_freq=…)`, a rule skips epochs without its metrics; of the rules in an `AnyOf`, only those skip
    that lack theirs, and of an `AllOf`, which only all of them stop, all. So patience counts validated epochs, as in
    `keras.callbacks.EarlyStopping`, and a strip of `ProgressQuotient` consists of them; `start_from_epoch` counts all
    epochs. `SuccessiveIncreases` and `AtCycleEnds` decide in epochs that are validated and also end a strip or a cycle.

    Raises:
        MetricError: at the end of the first epoch, where the logs lack a metric that is monitored; at that of the first
            validated one, where it is a metric of validation; at the end of training, where no epoch was validated.
            Also where a monitored metric is not a single number.
    """

    def __init__(self, rule: Rule[Any], *, restore_best: BestEpoch | None = None) -> None:
        super().__init__()
        self.rule = rule
        self.restore_best = restore_best
        self.verdict: Verdict | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.verdict = None
        self._runners = [RuleRunner(rule) for rule in self.rule.parts]
        self._best = BestState()
        self._best_variables: list[np.ndarray[Any, Any]] | None = None
        best = [] if self.restore_best is None else [self.restore_best.monitor]
        self._never_seen = dict.fromkeys([*self.rule.monitors, *best])
        self._monitors = tuple(self._never_seen)
        self._validated = self._warned = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._validated = False

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._validated = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        metrics = {name: _number(logs[name], name, epoch + 1) for name in self._monitors if name in logs}
        self._look_for_missing(logs, epoch + 1)
        # Every rule sees every epoch that it can, as those of an AnyOf do.
        runners = [runner for runner in self._runners if metrics.keys() >= set(runner.rule.monitors)]
        verdicts = [runner.update(epoch + 1, metrics) for runner in runners]
        verdict = next(filter(None, verdicts), None)
        # An epoch with a metric that is not finite is never the best, however good another metric of it is.
        if verdict is None or verdict.reason != "non_finite":
            self._keep_best(epoch + 1, metrics)
        if verdict is not None:
            self.verdict = verdict
            self.model.stop_training = True

    def _look_for_missing(self, logs: Mapping[str, Any], epoch: int) -> None:
        """Find out that a metric will never come, as early as that can be known."""
        for name in [name for name in self._never_seen if name in logs]:
            del self._never_seen[name]
        for name in self._never_seen:
            if self._validated or not name.startswith("val_"):
                monitored(logs, name, epoch)
        if self._never_seen and not self._warned:
            self._warned = True
            name = next(iter(self._never_seen))
            warnings.warn(
                f"epoch {epoch} has no {name}, because it was not validated. Rules on {name} decide only in validated "
                "epochs; without validation_data, there are none",
                stacklevel=2,
            )

    def _keep_best(self, epoch: int, metrics: Mapping[str, float]) -> None:
        if self.restore_best is None or self.restore_best.monitor not in metrics:
            return
        best = self.restore_best.update(self._best, epoch, metrics)
        if best != self._best:
            self._best = best
            self._best_variables = [variable.numpy().copy() for variable in self._variables()]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._best_variables is not None:
            for variable, value in zip(self._variables(), self._best_variables, strict=True):
                variable.assign(value)
        # Who stops training before may do so before the first epoch that is validated.
        if self._never_seen and not self.model.stop_training:
            name = next(iter(self._never_seen))
            raise MetricError(
                f"no epoch has a metric {name!r}, because none was validated; expected fit with validation_data, and a "
                "validation_freq that is not beyond its last epoch"
            )

    def _variables(self) -> list[Any]:
        # Metric variables are left out: they belong to the epoch that is running, not to the model.
        model = self.model
        return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]


def _number(value: Any, name: str, epoch: int) -> float:
    """A metric's value, or an error where it is not a single one."""
    values = keras.ops.convert_to_numpy(value)
    if values.size != 1:
        raise MetricError(
            f"epoch {epoch}: {name} has values of shape {values.shape}, expected a single number, such as that of a "
            "metric with average='macro'"
        )
    return float(values.reshape(()))
