"""A schedule for an optimizer that was compiled with a number."""

from collections.abc import Callable
from typing import Any

import keras


class ScheduleLearningRate(keras.callbacks.Callback):
    """Sets the learning rate of every update of `model.fit` from a schedule.

    For an optimizer that was compiled with a number; one with a schedule needs no callback. `fit` continues where an
    earlier one ended, by the optimizer's own count of updates, so that resumed training continues in the cycle.

    Args:
        schedule: from the number of updates that were made before to the next one's learning rate, such as `CyclicLR`.

    Raises:
        ValueError: at the start of training, where the optimizer has its own schedule, or `compile` was given
            `steps_per_execution`, with which Keras calls no callback between updates.

    The history has the learning rate of each epoch's last update as `learning_rate`.
    """

    def __init__(self, schedule: Callable[[Any], Any]) -> None:
        super().__init__()
        self.schedule = schedule
        self._rate = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if self.model.steps_per_execution != 1:
            executed = self.model.steps_per_execution
            raise ValueError(f"steps_per_execution: received {executed}, expected 1, or updates would share a rate")
        # Where losses are scaled, the optimizer with the rate is an inner one.
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            name = type(optimizer._learning_rate).__name__
            raise ValueError(f"optimizer: received one with its own schedule ({name}), expected a number")

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        optimizer = self.model.optimizer
        self._rate = float(self.schedule(int(optimizer.iterations)))
        optimizer.learning_rate = self._rate

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self._rate
