"""The loop over short epochs: many of them a call, every epoch's metrics, and the state of any epoch on demand.

So that the host can still stop at, and save, the very epoch that a rule names, a call is a pure function of the state
at its start: any epoch of it is had again by running the call up to there. The metrics of that second run are compared
with the first to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.data.rows import Examples
from stopcli.errors import ReplayError
from stopcli.seeding import derive_seed
from stopcli.training.loop import Call, Loop, State
from stopcli.training.measures import Measure
from stopcli.training.pacing import Pacer
from stopcli.training.traced_epochs import CAPACITY, TracedEpochs
from stopcli.training.traced_step import TracedStep, run_traced

Tensor = Any


class EpochsLoop(Loop):
    """Trains a Keras model on rows in memory, many epochs a call.

    Args:
        model, optimizer, measures: as for Loop.
        loss: (targets, predictions) → scalar, such as a `keras.losses.Loss`.
        train: the rows to train on.
        watched: rows to measure after every epoch, by the prefix of the metrics' names.
        batch_size: rows a step, ≥ 1. An epoch of one batch has no order: its rows are taken as they stand.
        seed: the run's seed, from which the order of each epoch is drawn.
        shuffle: whether each epoch has an order of its own.
        jit_compile: whether XLA compiles the function. It pays for small dense models, not for convolutions on a CPU.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        measures: Iterable[Measure] = (),
        *,
        train: Examples,
        watched: Mapping[str, Examples] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        shuffle: bool = True,
        jit_compile: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"received batch_size {batch_size}, expected ≥ 1")
        measures, watched = tuple(measures), watched or {}
        batch_size = min(batch_size, train.count)
        super().__init__(model, optimizer, measures, watched, train.batches(batch_size))
        # Data are arguments, not constants of the function: XLA would spend its compile time on folding them.
        self._data = [tf.constant(array) for rows in [train, *watched.values()] for array in (rows.x, rows.y)]
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)
        step = TracedStep(model, optimizer, loss, measures)
        traced = TracedEpochs(step, batch_size, shuffle and batch_size < train.count)
        self._function = tf.function(traced.__call__, jit_compile=jit_compile, autograph=False)
        self._pacer = Pacer(CAPACITY)

    def compile(self) -> None:
        self._run(1, 0)

    def advance(self, epoch: int, most: int) -> Call | None:
        epochs = self._pacer.size(most)
        with self._pacer.timed(epochs):
            return self.run(epoch, epochs)

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

    def reset(self, state: State, seed: int) -> None:
        self.restore(state)
        self._order_seed = tf.constant(derive_seed(seed, "order"), tf.int32)

    def states_at(self, call: Call, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        """The states after some epochs of a call, by training through it again from its start, once for all of them.

        Args:
            epochs: epochs of the call, ascending. The one before the first stands for the call's start.

        Raises:
            ReplayError: the metrics differ from those of the first time, so the device does not compute the same thing
                twice and the state would not be the one that was measured.
        """
        at = call.first_epoch - 1
        self.restore(call.known)
        for epoch in epochs:
            while at < epoch:
                # All epochs of a run may be asked for as one call, and the compiled function goes only so far.
                until = min(epoch, at + CAPACITY)
                again = self._run(at + 1, until - at)
                first = call.metrics[at + 1 - call.first_epoch : until + 1 - call.first_epoch]
                if again.tobytes() != first.tobytes():
                    raise ReplayError(
                        f"epochs {at + 1} to {until} gave other metrics when they were trained again",
                        hint="This device does not compute the same thing twice, or the run was made on another; "
                        "no epoch's state can be recovered.",
                    )
                at = until
            yield epoch, self.state()

    def _run(self, first_epoch: int, epochs: int) -> NDArray[np.float32]:
        first, count = tf.constant(first_epoch, tf.int32), tf.constant(epochs, tf.int32)
        rows = run_traced(self._function, first, count, self._order_seed, self._data)
        metrics: NDArray[np.float32] = rows[:epochs].numpy().copy()
        return metrics
