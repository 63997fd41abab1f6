"""Runs of this process without tracing: what they compute, a step at a time.

Tracing takes seconds, and far longer than a hundred steps of a small network. The numbers are those of the compiled
loop up to rounding; tests that compare numbers to the bit compare two runs of the same kind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock


@contextlib.contextmanager
def eager_runs() -> Iterator[None]:
    """Within the block, the functions of a run are called as Python has them."""
    import tensorflow as tf

    from stopcli.data.nest import map_nest
    from stopcli.training import evaluate, steps_loop

    def tensor(value: Any) -> Any:
        return tf.constant(value, tf.int32) if isinstance(value, int) else tf.convert_to_tensor(value)

    def run(function: Any, *inputs: Any) -> Any:
        return function.python_function(*(map_nest(tensor, nest) for nest in inputs))

    with mock.patch.object(evaluate, "run_traced", run), mock.patch.object(steps_loop, "run_traced", run):
        yield


@contextlib.contextmanager
def unmeasured_loops() -> Iterator[None]:
    """Within the block, runs of a file or a table that are begun take single steps without XLA, and no network is built
    to measure which way is the fastest: no number depends on that."""
    from stopcli.recipes.loop_choice import LoopChoice

    chosen = LoopChoice("steps", "no", exact=True, reason="as the settings say")

    def with_loop(config: Any, *_: Any) -> tuple[Any, LoopChoice]:
        return config.with_loop("steps", "no", exact=True), chosen

    with mock.patch("stopcli.recipes.fit._with_loop", with_loop):
        yield
