"""The hooks of a callback of Keras, without importing Keras, for what records epochs."""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping
from typing import Any


def _ignore(callback: KerasHooks, *arguments: Any, **options: Any) -> None:
    """What the hooks for batches and predictions do: nothing."""


class KerasHooks(abc.ABC):
    """A callback of Keras by its methods only: `fit` calls the hooks, which call what subclasses define.

    Attributes, for subclasses:
        _in_fit: whether `fit` is running.
        _was_validated: whether the epoch that is running in it has been validated.
        _validation_seconds: of all epochs so far.
        _steps_per_epoch: updates of an epoch of the last `fit`; None where its data have no length.
    """

    # Keras need not wait for the hooks for batches, which do nothing.
    async_safe = True

    def __init__(self) -> None:
        self._in_fit = self._was_validated = False
        self._validation_seconds = self._test_start = 0.0
        self._steps_per_epoch: int | None = None
        self._params: Mapping[str, Any] = {}
        self._epochs = 0
        self._skipped: set[str] = set()

    @abc.abstractmethod
    def _begin_fit(self) -> None:
        """A `fit` begins."""

    @abc.abstractmethod
    def _plan(self, epochs: int) -> None:
        """Before an epoch: so many are planned from here on."""

    @abc.abstractmethod
    def _record_logs(self, metrics: Mapping[str, Any]) -> bool:
        """Record an epoch. Returns whether training is to stop."""

    @abc.abstractmethod
    def _end_fit(self) -> None:
        """A `fit` has ended; not where it ended in an error, of which Keras tells no callback."""

    @abc.abstractmethod
    def _warn(self, text: str) -> None:
        """Warn of something, in a sentence without a full stop."""

    def set_params(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    def on_train_begin(self, logs: Any = None) -> None:
        # Those of this fit: an evaluation in between has others.
        self._epochs, self._steps_per_epoch = self._params.get("epochs") or 0, self._params.get("steps") or None
        self._begin_fit()
        self._in_fit = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._was_validated = False
        self._plan(self._epochs - epoch)

    def on_test_begin(self, logs: Any = None) -> None:
        self._test_start = time.perf_counter()

    def on_test_end(self, logs: Any = None) -> None:
        if self._in_fit:
            self._was_validated = True
            self._validation_seconds += time.perf_counter() - self._test_start

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        metrics = {name: value for name, value in (logs or {}).items() if self._is_single(name, value)}
        if self._record_logs(metrics):
            self._model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        self._in_fit = False
        self._end_fit()

    def _is_single(self, name: str, value: Any) -> bool:
        """Whether a value of the logs is a single number; others are skipped, such as the F-scores of classes."""
        shape = getattr(value, "shape", ())
        if len(shape) and name not in self._skipped:
            self._skipped.add(name)
            self._warn(f"{name} has values of shape {tuple(shape)}, expected a single number; it is not recorded")
        return not len(shape)

    on_batch_begin = on_batch_end = on_train_batch_begin = on_train_batch_end = _ignore
    on_test_batch_begin = on_test_batch_end = _ignore
    on_predict_begin = on_predict_end = on_predict_batch_begin = on_predict_batch_end = _ignore
