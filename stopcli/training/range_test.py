"""A training in which the learning rate rises from update to update, until it is over or the loss has run away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.training.loop import Loop
from stopcli.training.session import StopRequest

Ended = Literal["complete", "diverged", "non_finite", "interrupted"]


@dataclass(frozen=True)
class RangeCurve:
    """The updates of a range test.

    Attributes:
        rates, losses: of each update, shape [updates]. Of a test that ended by the loss, the updates until then.
        ended: why: all updates were made, the loss ran away, it was not finite any more, or the test was interrupted.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    ended: Ended


def run_range(
    loop: Loop,
    iterations: int,
    request: StopRequest,
    diverged: Callable[[NDArray[np.float64]], int | None],
    on_updates: Callable[[int], None],
) -> RangeCurve:
    """Train on until a number of updates is reached.

    Args:
        loop: in its initial state, with a schedule that rises, no rows to evaluate, and a log of its steps.
        diverged: from the losses so far to the index at which they have run away; None where they have not.
        on_updates: called with the number of updates that are done.
    """
    log = np.empty((0, 2))
    epoch = 1
    ended: Ended = "complete"
    while len(log) < iterations and ended == "complete":
        # A time budget is for whoever runs several of these: a single one is short.
        if request.interrupted:
            ended = "interrupted"
            break
        epoch += loop.advance(epoch, 1) is not None
        steps = loop.take_log()
        assert steps is not None, "the loop logs its steps"
        log = np.concatenate([log, steps.values.astype(np.float64)])[:iterations]
        on_updates(len(log))
        broken = np.flatnonzero(~np.isfinite(log[:, 1]))
        if len(broken):
            log, ended = log[: broken[0]], "non_finite"
        # Before a loss is not finite it has often run away already.
        end_index = diverged(log[:, 1])
        if end_index is not None:
            log, ended = log[: end_index + 1], "diverged"
    return RangeCurve(log[:, 0], log[:, 1], ended)
