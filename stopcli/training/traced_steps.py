"""What the loop over long epochs computes: some steps of an epoch, or of an evaluation, as compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stopcli.training.order import rows_at
from stopcli.training.traced_step import TracedStep, run_traced

Tensor = Any

# Most steps that one call can run: the size of the log's buffer in the compiled function.
STEPS_CAPACITY = 4096


class TracedSteps:
    """The functions that a StepsLoop compiles, one for each size of a batch.

    Args:
        step: what is done with a batch.
        jit_compile: whether XLA compiles them.
    """

    def __init__(self, step: TracedStep, *, jit_compile: bool) -> None:
        self._step, self._jit = step, jit_compile
        self._compiled: dict[tuple[str, int], Any] = {}

    def train(
        self,
        size: int,
        start: int,
        steps: int,
        before: int,
        order: Tensor,
        data: tuple[Tensor, Tensor],
        augment_seed: Tensor,
        sums: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Train on consecutive batches of an epoch.

        Args:
            size: rows of each.
            start: where in the order the first of them begins.
            steps: how many, 0 … STEPS_CAPACITY.
            before: updates of the run that were made before them.
            order: int32 [rows]. data: x and y of all rows. augment_seed: scalar int32.
            sums: float32 [2 + measures]: so far in the epoch, and the last learning rate.

        Returns:
            The sums with those of the batches added; learning rate and loss of each step, float32 [steps, 2].
        """
        numbers = [tf.constant(number, tf.int32) for number in (start, steps, before)]
        inputs = (*numbers, order, *data, augment_seed, tf.constant(sums))
        found, log = run_traced(self._function("train", size, self._train), *inputs)
        return found.numpy(), log[:steps].numpy()

    def evaluate(
        self, size: int, start: int, batches: int, data: tuple[Tensor, Tensor], sums: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Evaluate consecutive batches of `size` rows from row `start` on. Returns the sums with theirs added."""
        numbers = [tf.constant(number, tf.int32) for number in (start, batches)]
        function = self._function("evaluate", size, self._evaluate)
        found: NDArray[np.float32] = run_traced(function, *numbers, *data, tf.constant(sums)).numpy()
        return found

    def finish(self, sums: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
        """From the sums over rows to the values that are reported, float32 [1 + measures]."""
        values: NDArray[np.float32] = self._step.finish(tf.constant(sums) / rows).numpy()
        return values

    def _function(self, name: str, size: int, of: Any) -> Any:
        if (name, size) not in self._compiled:

            def sized(*args: Tensor) -> Any:
                return of(size, *args)

            self._compiled[name, size] = tf.function(sized, autograph=False, jit_compile=self._jit)
        return self._compiled[name, size]

    def _train(
        self,
        size: int,
        start: Tensor,
        steps: Tensor,
        before: Tensor,
        order: Tensor,
        x: Tensor,
        y: Tensor,
        augment_seed: Tensor,
        sums: Tensor,
    ) -> tuple[Tensor, Tensor]:
        def body(i: Tensor, sums: Tensor, log: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            places = tf.slice(order, [start + i * size], [size])
            found, rate = self._step.train(tf.gather(x, places), tf.gather(y, places), before + i, augment_seed)
            row = tf.stack([rate, found[0] / size])
            return (
                i + 1,
                tf.concat([sums[:-1] + found, [rate]], axis=0),
                tf.tensor_scatter_nd_update(log, [[i]], [row]),
            )

        log = tf.zeros([STEPS_CAPACITY, 2])
        _, sums, log = tf.while_loop(lambda i, *_: i < steps, body, (tf.constant(0), sums, log))
        return sums, log

    def _evaluate(self, size: int, start: Tensor, batches: Tensor, x: Tensor, y: Tensor, sums: Tensor) -> Tensor:
        def body(i: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
            at = start + i * size
            return i + 1, sums + self._step.evaluate(rows_at(x, at, size), rows_at(y, at, size))

        return tf.while_loop(lambda i, _: i < batches, body, (tf.constant(0), sums))[1]
