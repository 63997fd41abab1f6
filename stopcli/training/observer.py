"""What a run tells to whoever is watching it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        epoch, epochs: epochs done and epochs at most.
        metrics: the last complete epoch's, without those of held-out test rows; empty before the first is complete.
        monitor, best_epoch, best_value: the best epoch so far by the monitored metric; None before the first.
        waiting: how near the stopping rule is to stopping, such as `wait 37/200`.
        samples_per_second: training rows a second, over the whole run so far.
        seconds: spent training so far.
        fraction: of the next epoch's work that is done, in [0, 1).
        projected_seconds: what training to the last epoch will take in all, as measured on the first steps; None
            before that.
    """

    epoch: int
    epochs: int
    metrics: Mapping[str, float]
    monitor: str
    best_epoch: int
    best_value: float | None
    waiting: str
    samples_per_second: float
    seconds: float
    fraction: float = 0.0
    projected_seconds: float | None = None

    @property
    def seconds_left(self) -> float:
        """Until the last epoch, at the speed so far."""
        done = self.epoch + self.fraction
        return self.seconds * (self.epochs - done) / max(done, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """What status.json says of it."""
        return {
            "metrics": dict(self.metrics),
            "samples_per_second": round(self.samples_per_second, 1),
            "seconds": round(self.seconds, 3),
            "seconds_left": round(self.seconds_left, 1),
        }


class Observer(Protocol):
    """Is told what happens in a run. Calls come from the thread that trains."""

    def stage(self, text: str) -> None:
        """Something that takes a while begins, such as `compiling`."""

    def counted(self, what: str, done: int, total: int) -> None:
        """Something that can be counted goes on, such as images that are decoded."""

    def progress(self, progress: Progress) -> None:
        """A call of the loop has ended."""


class Silent:
    """An observer that tells nobody."""

    def stage(self, text: str) -> None:
        pass

    def counted(self, what: str, done: int, total: int) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass
