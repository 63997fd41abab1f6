"""Reducing the learning rate where a metric stops improving, as a pure state machine.

The rule is that of Keras's `ReduceLROnPlateau` with an absolute `min_delta`: an epoch is better where it beats the best
value by more than that; after `patience` epochs that are not, the rate is multiplied by `factor`, the wait starts
again, and for `cooldown` epochs no epoch counts as waiting.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from stopcli.quantities import counted
from stopcli.schedules.policy import Policy, Settings, check_lr_min
from stopcli.stopping.rule import Direction, is_below, resolve_direction


class PlateauState(NamedTuple):
    """What the reduction remembers: the best value, epochs of waiting, and epochs of cooldown left."""

    best: float | None = None
    wait: int = 0
    cooldown: int = 0


@dataclass(frozen=True)
class Plateau:
    """When to reduce, and by how much.

    Attributes:
        monitor: the metric that it reads.
        direction: whether a lower or a higher value is better.
        factor: in (0, 1).
        patience: epochs without an improvement, ≥ 1.
        min_delta: a change of no more than this is no improvement, ≥ 0.
        cooldown: epochs after a reduction that do not count as waiting, ≥ 0.
        least: the rate never goes below this, ≥ 0.
    """

    monitor: str
    direction: Direction
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 1e-4
    cooldown: int = 0
    least: float = 0.0

    def update(self, state: PlateauState, value: float, rate: float) -> tuple[PlateauState, float]:
        """Look at an epoch.

        Args:
            value: the monitored metric; one that is not finite never becomes the best.
            rate: the learning rate until now.

        Returns:
            The state after the epoch, and the learning rate from now on.
        """
        best, wait, cooldown = state
        if cooldown > 0:
            cooldown, wait = cooldown - 1, 0
        if best is None or self._better(value, best):
            return PlateauState(value if math.isfinite(value) else best, 0, cooldown), rate
        if cooldown > 0:
            return PlateauState(best, wait, cooldown), rate
        wait += 1
        # In float32, as the optimizer holds it; a rate that is as low as it may be stays, and so does its wait.
        if wait < self.patience or not is_below(self.least, rate):
            return PlateauState(best, wait, cooldown), rate
        return PlateauState(best, 0, self.cooldown), max(rate * self.factor, self.least)

    def _better(self, value: float, best: float) -> bool:
        # As Keras does it, which subtracts first and compares as float32: else a rounding would decide ties.
        if self.direction == "min":
            return is_below(value + self.min_delta, best)
        return is_below(best, value - self.min_delta)

    def state_from_dict(self, values: dict[str, Any]) -> PlateauState:
        return PlateauState(**values)


class ReduceOnPlateau(Policy):
    """Reduced after epochs in which the monitored metric has not improved."""

    reads = ("learning_rate", "lr_min", "lr_factor", "lr_patience")
    follows_monitor = True

    def check(self, settings: Settings) -> None:
        check_lr_min(settings)

    def warnings(self, settings: Settings) -> list[str]:
        # The first epoch is better than none, and what the last one changes is never trained with.
        if 1 + settings.lr_patience < settings.epochs:
            return []
        of = counted(settings.epochs, "epoch")
        return [f"lr_patience {settings.lr_patience} reduces the learning rate in no training of {of}"]

    def describe(self, settings: Settings) -> str:
        patience = counted(settings.lr_patience, "epoch")
        return (
            f"learning rate {settings.learning_rate:g}, ×{settings.lr_factor:g} where {settings.monitor} has not "
            f"improved for {patience}"
        )

    def plateau(self, settings: Settings) -> Plateau:
        direction = resolve_direction(settings.monitor, settings.mode)
        return Plateau(settings.monitor, direction, settings.lr_factor, settings.lr_patience, least=settings.lr_min)
