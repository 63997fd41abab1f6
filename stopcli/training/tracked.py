"""The best epoch of a run together with the state after it, which is had only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping

from stopcli.stopping import BestEpoch, BestState
from stopcli.training.loop import Call, Loop, State


class TrackedBest:
    """Follows the best epoch by a metric.

    It remembers the call in which the epoch lies; the state is had by training up to the epoch again, once.

    Args:
        rule: what is the best; None to follow nothing.
    """

    def __init__(self, rule: BestEpoch | None) -> None:
        self.rule = rule
        self.best = BestState()
        self._call: Call | None = None
        self._state: State | None = None

    def update(self, epoch: int, metrics: Mapping[str, float], call: Call) -> None:
        """Look at an epoch of a call."""
        if self.rule is None:
            return
        best = self.rule.update(self.best, epoch, metrics)
        if best.epoch != self.best.epoch:
            self.best, self._call, self._state = best, call, None

    def resume(self, best: tuple[int, float | None], state: State | None, call: Call | None = None) -> None:
        """Go on from a saved best epoch.

        Args:
            state: after that epoch; None where it was not kept.
            call: one that the epoch lies in, from which the state can then be had; None where it is not needed.
        """
        self.best, self._call, self._state = BestState(*best), call, state

    def state(self, loop: Loop) -> State | None:
        """The state after the best epoch, None where there is none. The loop's own state stays as it is."""
        if self._state is None and self._call is not None:
            live = loop.state()
            self._state = next(state for _, state in loop.states_at(self._call, [self.best.epoch]))
            loop.restore(live)
            # The call holds a state of its own, which is not needed any more.
            self._call = None
        return self._state
