"""Keras's own callbacks, driven with values that are given."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any


class StubModel:
    """As much of a Keras model as the callbacks touch. Its one weight is the number of the epoch."""

    def __init__(self) -> None:
        self.stop_training = False
        self.metrics: list[Any] = []
        self.weight = 0
        self.saved: list[int] = []

    def get_weights(self) -> int:
        return self.weight

    def set_weights(self, weight: int) -> None:
        self.weight = weight

    def save_weights(self, path: str, overwrite: bool) -> None:
        self.saved.append(self.weight)


def keras_stop(values: Sequence[float | None], **options: Any) -> tuple[int | None, int]:
    """(epoch at which Keras's EarlyStopping stops, or None; epoch whose weights it restores), counted from 1.

    Args:
        values: of val_loss; None after an epoch without validation.
    """
    import keras

    callback = keras.callbacks.EarlyStopping(monitor="val_loss", restore_best_weights=True, **options)
    model = StubModel()
    callback.set_model(model)
    callback.on_train_begin()
    stopped = None
    for epoch, value in enumerate(values):
        model.weight = epoch + 1
        with warnings.catch_warnings():
            # That the metric is not there.
            warnings.simplefilter("ignore")
            callback.on_epoch_end(epoch, {} if value is None else {"val_loss": value})
        if model.stop_training:
            stopped = epoch + 1
            break
    callback.on_train_end()
    return stopped, model.weight
