"""The compiled training loop: many epochs a call, every epoch's metrics, and the state of any epoch on demand.

Keras's `fit` returns to Python for every batch, which on a small model costs a thousand times the training itself.
Here one `tf.function` runs whole epochs (the order of the rows, the steps, their metrics, validation) and hands back a
row of metrics for each. So that the host can still stop at, and save, the very epoch that a rule names, a call is a
pure function of the state at its start: any epoch of it is had again by running the call up to there. The metrics of
that second run are compared with the first to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.rows import Rows
from stopcli.errors import ReplayError
from stopcli.seeding import derive_seed
from stopcli.training.measures import Measure
from stopcli.training.traced import CAPACITY, Tensor, TracedEpochs

State = tuple[NDArray[Any], ...]
"""The values of the model's variables (weights, statistics, seed generators), then of the optimizer's."""


@dataclass(frozen=True)
class Call:
    """Epochs that were run in one call.

    Attributes:
        first_epoch: counted from 1.
        metrics: float32, shape [epochs, columns], a row an epoch.
        start: the state before the first of the epochs.
    """

    first_epoch: int
    metrics: NDArray[np.float32]
    start: State

    @property
    def last_epoch(self) -> int:
        return self.first_epoch + len(self.metrics) - 1


def initial_state(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> State:
    """The state of a model and its optimizer as they stand, in a loop's order."""
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return tuple(variable.numpy().copy() for variable in [*model.variables, *optimizer.variables])


class CompiledLoop:
    """Trains a Keras model on rows in memory, many epochs a call.

    Args:
        model: a built Keras model with one input and one output. Its variables are the loop's: every call changes them.
        optimizer: a Keras optimizer, built by the loop where it is not yet.
        loss: (targets, predictions) → scalar, such as a `keras.losses.Loss`.
        measures: further metrics.
        train: the rows to train on.
        watched: rows to measure after every epoch, by the prefix of the metrics' names (`val` gives `val_loss`, …).
        batch_size: rows a step, ≥ 1. An epoch of one batch has no order: its rows are taken as they stand.
        seed: the run's seed, from which the order of each epoch is drawn.
        shuffle: whether each epoch has an order of its own.
        jit_compile: whether XLA compiles the function. It pays for small dense models, not for convolutions on a CPU.

    Attributes:
        columns: the names of the metrics in the order of a call's columns; `learning_rate` is that of the epoch's last
            update.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        measures: Iterable[Measure] = (),
        *,
        train: Rows,
        watched: Mapping[str, Rows] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        shuffle: bool = True,
        jit_compile: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"received batch_size {batch_size}, expected ≥ 1")
        self.model = model
        measures = tuple(measures)
        names = ["loss", *(measure.name for measure in measures)]
        prefixes = ["", *(f"{prefix}_" for prefix in watched or {})]
        self.columns = (*(prefix + name for prefix in prefixes for name in names), "learning_rate")
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        # Data are arguments, not constants of the function: XLA would spend its compile time on folding them.
        self._data = [tf.constant(array) for rows in [train, *(watched or {}).values()] for array in (rows.x, rows.y)]
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)
        self._variables = [variable.value for variable in [*model.variables, *optimizer.variables]]
        batch_size = min(batch_size, train.count)
        traced = TracedEpochs(model, optimizer, loss, measures, batch_size, shuffle and batch_size < train.count)
        self._function = tf.function(traced.__call__, jit_compile=jit_compile, autograph=False)

    def compile(self) -> None:
        """Compile the function by running no epoch. The state stays as it is."""
        self._run(1, 0)

    def run(self, first_epoch: int, epochs: int) -> Call:
        """Train some epochs.

        Args:
            first_epoch: the number of the first of them, counted from 1: the epoch after the state that the loop is in.
            epochs: how many, 1 … CAPACITY.

        Raises:
            ValueError: an argument is out of its range.
        """
        if first_epoch < 1 or not 1 <= epochs <= CAPACITY:
            raise ValueError(f"received first_epoch {first_epoch}, epochs {epochs}; expected ≥ 1 and 1 to {CAPACITY}")
        start = self.state()
        return Call(first_epoch, self._run(first_epoch, epochs), start)

    def state(self) -> State:
        """A copy of everything that training changes."""
        return tuple(variable.numpy().copy() for variable in self._variables)

    def restore(self, state: State) -> None:
        """Put a state back."""
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def reset(self, state: State, seed: int) -> None:
        """Begin another run of the same model and data, without compiling again.

        Args:
            state: the initial state of the run, such as `initial_state` gives it.
            seed: the run's seed.
        """
        self.restore(state)
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)

    def states_at(self, call: Call, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        """The states after some epochs of a call, exactly as the call went through them.

        Training goes through the call again from its start, once for all the epochs, and leaves the loop in the state
        of the last of them. `restore` puts another one back.

        Args:
            call: one of this run's calls, the last or an earlier one.
            epochs: epochs of the call, ascending. The one before the first stands for the call's start.

        Raises:
            ReplayError: the metrics differ from those of the first time, so the device does not compute the same thing
                twice and the state would not be the one that was measured.
        """
        at = call.first_epoch - 1
        self.restore(call.start)
        for epoch in epochs:
            if epoch > at:
                again = self._run(at + 1, epoch - at)
                first = call.metrics[at + 1 - call.first_epoch : epoch + 1 - call.first_epoch]
                if again.tobytes() != first.tobytes():
                    raise ReplayError(
                        f"epochs {at + 1} to {epoch} gave other metrics when they were trained again",
                        hint="This device does not compute the same thing twice; no epoch's state can be recovered.",
                    )
                at = epoch
            yield epoch, self.state()

    def _run(self, first_epoch: int, epochs: int) -> NDArray[np.float32]:
        first, count = tf.constant(first_epoch, tf.int32), tf.constant(epochs, tf.int32)
        rows = self._function(first, count, self._order_seed, self._data)
        metrics: NDArray[np.float32] = rows[:epochs].numpy().copy()
        return metrics
